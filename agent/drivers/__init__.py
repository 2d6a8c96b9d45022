"""Drivers: how a handler's wish becomes machines, disks and ports. `base.py` has the Protocols that each one keeps."""
