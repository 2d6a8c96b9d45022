"""The commands that are being carried out in this process right now, and the progress reports about the long ones."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from agent.journal import Key
from agent.runtime import HostRuntime
from agent.trace import Trace
from contracts.envelope import Envelope
from contracts.report import Outcome, Report

# A command that takes longer than this many seconds tells how far it is, then again every PROGRESS_EVERY_S.
FIRST_PROGRESS_S: Final = 2.0
PROGRESS_EVERY_S: Final = 5.0


@dataclass(slots=True, eq=False)
class Command:
    """One admitted command; `began` and `next_progress` are monotonic seconds. `subject`: what it is about, an instance mostly;
    `body`: what its handler takes."""

    host: HostRuntime
    envelope: Envelope
    key: Key
    subject: str = ""
    body: Any = None
    trace: Trace = field(default_factory=Trace)
    began: float = field(default_factory=time.monotonic)
    next_progress: float = 0.0

    def __post_init__(self) -> None:
        self.next_progress = self.began + FIRST_PROGRESS_S

    def progress(self) -> str:
        """The sealed report that says: still at it, and this far."""
        return self.host.seal_report(self.envelope, Report(outcome=Outcome.PROGRESS, events=self.trace.events(), percent=self.trace.percent))


class Running:
    """Commands from their admission to their report; those that wait for a lock or a free lane included."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._commands: dict[Key, Command] = {}
        # By host and subject: the generations that are here.
        self._generations: dict[tuple[str, str], list[int]] = {}
        self._per_host: Counter[str] = Counter()

    def begin(self, command: Command) -> bool:
        """Add a command. False if the very same one is already here: nothing was changed."""
        with self._mutex:
            if command.key in self._commands:
                return False
            self._commands[command.key] = command
            self._generations.setdefault((command.key.host_id, command.subject), []).append(command.key.generation)
            self._per_host[command.key.host_id] += 1
            return True

    def end(self, command: Command) -> None:
        with self._mutex:
            del self._commands[command.key]
            same = self._generations[command.key.host_id, command.subject]
            same.remove(command.key.generation)
            if not same:
                del self._generations[command.key.host_id, command.subject]
            self._per_host[command.key.host_id] -= 1

    def find(self, host_id: str, operation_id: str) -> Command | None:
        """The command of an operation that is under way on a host, whatever its step."""
        if not self._per_host[host_id]:
            return None
        with self._mutex:
            for command in self._commands.values():
                if command.key.operation_id == operation_id and command.key.host_id == host_id:
                    return command
        return None

    def is_superseded(self, command: Command) -> bool:
        """Whether a command of a higher generation about the same thing waits for this one to end."""
        with self._mutex:
            return max(self._generations.get((command.key.host_id, command.subject), [0])) > command.key.generation

    def operations(self, host_id: str) -> set[str]:
        """Ids of the operations under way on a host."""
        with self._mutex:
            return {key.operation_id for key in self._commands if key.host_id == host_id}

    def count(self, host_id: str) -> int:
        return self._per_host[host_id]

    def __len__(self) -> int:
        return len(self._commands)

    def progress_due(self, now: float) -> list[str]:
        """Sealed progress reports of all commands whose time for one has come. `now`: monotonic seconds."""
        with self._mutex:
            due = [command for command in self._commands.values() if command.next_progress <= now]
        for command in due:
            command.next_progress = now + PROGRESS_EVERY_S
        return [command.progress() for command in due]
