"""Flavors, key pairs, instances and their life."""
