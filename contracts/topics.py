"""Every queue name and every task name of the system, in one place.

A task name carries the version of its payload (`compute.v1.build`), so that an agent of the release before refuses what
it cannot read instead of guessing.
"""

from typing import Final

# Queues of the control plane.
CONDUCTOR: Final = "conductor"
SCHEDULER: Final = "scheduler"
IMAGES: Final = "images"


def compute_queue(host: str) -> str:
    """Name of the queue that only the agent of `host` (its name) reads for instance commands."""
    return f"compute.{host}"


def network_queue(host: str) -> str:
    """Name of the queue that only the agent of `host` reads for network commands."""
    return f"network.{host}"


def volume_queue(host: str) -> str:
    """Name of the queue that only the agent of `host` reads for volume commands."""
    return f"volume.{host}"


def host_queues(host: str) -> tuple[str, str, str]:
    """All queues that the agent of `host` reads."""
    return compute_queue(host), network_queue(host), volume_queue(host)


# Commands, control plane to host. Each task takes one argument: a list of sealed envelopes (strings).
COMPUTE_BUILD: Final = "compute.v2.build"
COMPUTE_DELETE: Final = "compute.v2.delete"
COMPUTE_POWER: Final = "compute.v1.power"
COMPUTE_CONSOLE: Final = "compute.v1.console"
COMPUTE_OBSERVE: Final = "compute.v1.observe"
COMPUTE_ATTACH: Final = "compute.v2.attach"
COMPUTE_DETACH: Final = "compute.v2.detach"
COMPUTE_SNAPSHOT: Final = "compute.v3.snapshot"
COMPUTE_SEED: Final = "compute.v3.seed"
COMMANDS: Final = (
    COMPUTE_BUILD, COMPUTE_DELETE, COMPUTE_POWER, COMPUTE_CONSOLE, COMPUTE_OBSERVE, COMPUTE_ATTACH, COMPUTE_DETACH,
    COMPUTE_SNAPSHOT, COMPUTE_SEED,
)

# Desired state, control plane to host: fenced by its own generation, belongs to no operation, answered by NETWORK.
NETWORK_STATE: Final = "network.v2.state"
NETWORK_CHANGE: Final = "network.v2.change"
STATES: Final = (NETWORK_STATE, NETWORK_CHANGE)

# Reports, host to conductor. Each task takes one argument: a list of sealed envelopes (strings).
REPORT: Final = "conductor.v1.report"
HELLO: Final = "conductor.v1.hello"
HEARTBEAT: Final = "conductor.v1.heartbeat"
OBSERVATION: Final = "conductor.v1.observation"
NETWORK: Final = "conductor.v1.network"
REPORTS: Final = (REPORT, HELLO, HEARTBEAT, OBSERVATION, NETWORK)

# Inside the control plane. Takes one argument: a list of operation ids (strings).
PLACE: Final = "scheduler.v1.place"
# Inside the control plane. Takes one argument: a list of operation ids (strings), each with a blank and what only workers can open.
IMAGE_WORK: Final = "images.v1.work"
# Inside the control plane. Its argument is an empty list: hosts are to be told of what changed in networks.
TELL_HOSTS: Final = "conductor.v1.tell_hosts"
