"""The kinds of operations on instances, as data."""

from apps.compute.names import ATTACH, BUILD, CONSOLE, DELETE, DETACH, EVICT, POWER, PURGE, SNAPSHOT
from apps.compute.services import interfaces, reports, snapshot, strays
from apps.operations.kinds import Kind, Step
from contracts import topics

KINDS = (
    Kind(
        BUILD, "instance",
        (
            Step("schedule", "scheduler", topics.PLACE, "place_timeout_s"),
            Step("build", "compute", topics.COMPUTE_BUILD, "build_timeout_s"),
            # Compensation: what a build that went wrong may have left on its host.
            Step("undo", "compute", topics.COMPUTE_DELETE, "delete_timeout_s"),
        ),
        reports.Build(), max_attempts=3,
    ),
    Kind(
        DELETE, "instance", (Step("delete", "compute", topics.COMPUTE_DELETE, "delete_timeout_s"),), reports.Delete(), max_attempts=3
    ),
    # Removes what an instance in ERROR left on a host that was away, and frees its claims; the record stays.
    Kind(PURGE, "instance", (Step("delete", "compute", topics.COMPUTE_DELETE, "delete_timeout_s"),), reports.Purge()),
    # Removes from a host what is of no instance there; no instance changes by it.
    Kind(EVICT, "domain", (Step("delete", "compute", topics.COMPUTE_DELETE, "delete_timeout_s"),), strays.Evict()),
    *(
        Kind(name, "instance", (Step("power", "compute", topics.COMPUTE_POWER, "power_timeout_s"),), reports.Power())
        for name in POWER.values()
    ),
    Kind(
        ATTACH, "instance",
        (
            Step("attach", "compute", topics.COMPUTE_ATTACH, "power_timeout_s"),
            # Compensation: a card that may be there all the same.
            Step("undo", "compute", topics.COMPUTE_DETACH, "power_timeout_s"),
        ),
        interfaces.Attach(),
    ),
    Kind(
        DETACH, "instance", (Step("detach", "compute", topics.COMPUTE_DETACH, "power_timeout_s"),), interfaces.Detach(), max_attempts=3
    ),
    Kind(SNAPSHOT, "instance", (Step("save", "compute", topics.COMPUTE_SNAPSHOT, "transfer_timeout_s"),), snapshot.Snapshot()),
    Kind(
        CONSOLE, "console", (Step("read", "compute", topics.COMPUTE_CONSOLE, "observe_timeout_s"),), reports.Console(), keep_s=600
    ),
)
