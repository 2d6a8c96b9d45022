"""The undo stack: what to take back, last made first, when a later step of the same command fails."""

from collections.abc import Callable

import structlog

from agent.trace import Trace

log = structlog.get_logger(__name__)


class Undo:
    """Collects actions while a command runs; used by one thread."""

    def __init__(self) -> None:
        self._actions: list[tuple[str, Callable[[], object]]] = []

    def push(self, name: str, action: Callable[[], object]) -> None:
        """Remember `action`; `name` is how the timeline calls it (`undo.<name>`)."""
        self._actions.append((name, action))

    def run(self, trace: Trace) -> None:
        """Take everything back in reverse order. What fails on the way becomes an event and stops nothing.

        Never raises: the error that made the undo necessary is the one that the report has to tell.
        """
        while self._actions:
            name, action = self._actions.pop()
            try:
                with trace.step(f"undo.{name}"):
                    action()
            except Exception as error:
                log.warning("undo.failed", step=name, error=str(error), exc_info=True)

    def __len__(self) -> int:
        return len(self._actions)
