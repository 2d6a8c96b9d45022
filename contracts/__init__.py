"""The wire language between control plane and agents: what is on the queues, and nothing else.

Installed on both sides; imports neither Django, apps nor agent. A shape that changes gets a new version module or a
bumped `VERSION`; `tests/contract` holds the fingerprints.
"""
