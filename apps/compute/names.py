"""Names of the operation kinds; what each one does stands in `kinds.py`."""

BUILD = "instance.build"
DELETE = "instance.delete"
PURGE = "instance.purge"
CONSOLE = "instance.console"
EVICT = "domain.evict"
POWER = {action: f"instance.{action}" for action in ("start", "stop", "reboot_soft", "reboot_hard")}
