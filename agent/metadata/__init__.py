"""What instances are told about themselves: over HTTP at a well-known address, and on their config drive."""
