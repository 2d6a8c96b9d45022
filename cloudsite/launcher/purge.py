"""Takes everything of one installation off this host: guests, taps, namespaces, bridge. A process of its own.

`python -m cloudsite.launcher.purge AGENT_CONFIG`. For what the API can no longer be asked for: `make erase`, and tests
that ended in the middle. The host's own driver does it, so nothing is taken that is not of this host id.
"""

import sys
from pathlib import Path
from typing import Protocol, runtime_checkable

from agent.config import load
from agent.drivers import factory
from agent.trace import Trace
from contracts.compute import v2 as compute


@runtime_checkable
class Removable(Protocol):
    """A network driver that leaves something on the host."""

    def remove(self) -> None: ...


def main() -> None:
    """Writes how many guests were removed."""
    config = load(Path(sys.argv[1]))
    count = 0
    for hypervisor in factory.hypervisors(config).values():
        for domain in hypervisor.observe_all():
            hypervisor.delete(compute.Delete(instance_id=domain.instance_id), Trace())
            count += 1
        network = hypervisor.network()
        if isinstance(network, Removable):
            network.remove()
    sys.stdout.write(f"{count}\n")


if __name__ == "__main__":
    main()
