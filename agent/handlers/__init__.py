"""Handlers: from a decoded command to driver calls. One module per subject, at most 20 lines per handler."""
