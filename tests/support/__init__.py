"""What control-plane tests build on: databases, fakes of the bus and of hosts, builders of rows."""
