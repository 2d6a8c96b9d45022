"""The flows of one bridge: installed as one transaction of the switch, in which only what differs is touched."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.drivers.command import run
from agent.drivers.openvswitch.switch.flows.flow import Flow

CODE = "network.switch"
TIMEOUT_S: Final = 20
_COUNT = re.compile(r"flow_count=(\d+)")


class OpenFlow:
    """Raises DriverError `network.switch`. Used by one thread at a time."""

    def __init__(self, bridge: str, rundir: Path) -> None:
        self._bridge = bridge
        self._rundir = rundir
        self._installed: dict[str, str] | None = None  # key → text; None: not known

    def forget(self) -> None:
        """The switch was restarted, or somebody else changed it: the next `install` compares with what it has."""
        self._installed = None

    def install(self, flows: Iterable[Flow]) -> int:
        """Make the switch have exactly these; answers how many were touched (-1: not known)."""
        wanted = {flow.key: flow.text() for flow in flows}
        installed = self._installed
        self._installed = None  # until it worked
        if installed is None:
            # Compares with the switch's own table, and leaves alone what is the same.
            with _file(wanted.values()) as path:
                self._ofctl("--bundle", "replace-flows", self._target, str(path))
            touched = -1
        else:
            lines = [f"delete_strict {key}" for key in installed if key not in wanted]
            lines += [f"add {text}" for key, text in wanted.items() if installed.get(key) != text]
            if lines:
                self._ofctl("--bundle", "add-flows", self._target, "-", stdin="\n".join(lines) + "\n")
            touched = len(lines)
        if touched:
            self._forget_cached()
        self._installed = wanted
        return touched

    def count(self) -> int:
        """How many flows the switch has."""
        found = _COUNT.search(self._ofctl("dump-aggregate", self._target))
        return int(found[1]) if found else 0

    @property
    def installed(self) -> int | None:
        """How many flows it should have; None while that is not known."""
        return None if self._installed is None else len(self._installed)

    def forget_connections(self, zone: int) -> None:
        """All that conntrack knows of one zone."""
        self._ofctl("ct-flush-zone", self._target, str(zone))

    def dump(self) -> list[str]:
        """What the switch has, with counters."""
        return [line.strip() for line in self._ofctl("dump-flows", self._target).splitlines() if "cookie=" in line]

    def _forget_cached(self) -> None:
        """What the datapath made of the flows before. The switch corrects that by itself, but (seen with 3.1) not what a packet
        makes it add at the very moment of a change: its later look believes that it has corrected it, and such an entry lives on
        with the old actions for as long as packets use it."""
        run("ovs-appctl", f"--timeout={TIMEOUT_S}", "revalidator/purge", env={"OVS_RUNDIR": str(self._rundir)}, timeout_s=TIMEOUT_S + 5, code=CODE)

    @property
    def _target(self) -> str:
        return f"unix:{self._rundir}/{self._bridge}.mgmt"

    def _ofctl(self, *args: str, stdin: str | None = None) -> str:
        # 1.4 is the first version with bundles.
        options = ("-O", "OpenFlow14", "--no-names", f"--timeout={TIMEOUT_S}")
        return run("ovs-ofctl", *options, *args, stdin=stdin, timeout_s=TIMEOUT_S + 5, code=CODE)


@contextmanager
def _file(lines: Iterable[str]) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile("w", prefix="cloudsite-flows-") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        yield Path(file.name)
