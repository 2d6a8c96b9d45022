"""The operations, a module per family. Each takes a `Call`, makes one call of a service or selector, and renders."""
