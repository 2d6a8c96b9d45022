"""Resource providers, inventories and allocations: all facts of capacity, and nothing about what it is used for."""
