"""The worker process on a hypervisor or storage host: no Django, no database of the control plane, no one else's secrets."""

VERSION = "0.1.0"
