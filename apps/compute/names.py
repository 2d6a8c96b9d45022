"""Names of the operation kinds (what each one does stands in `kinds.py`), and of sizes."""

BUILD = "instance.build"
DELETE = "instance.delete"
PURGE = "instance.purge"
ATTACH = "instance.attach"
DETACH = "instance.detach"
CONSOLE = "instance.console"
EVICT = "domain.evict"
SNAPSHOT = "instance.snapshot"
# What flavors and instances have of each, under the names by which quotas count it.
SIZES = ("vcpus", "memory_mb", "disk_gb")
POWER = {action: f"instance.{action}" for action in ("start", "stop", "reboot_soft", "reboot_hard")}
