"""The integration bridge of a host: its ports, its tunnels and wires, and the flows that decide what passes."""
