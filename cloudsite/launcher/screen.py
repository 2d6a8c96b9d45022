"""What people see while something starts: named steps with their times, alive on a terminal, plain lines in a log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.text import Text

_NAME_WIDTH = 20


class Step:
    """A step under way."""

    def __init__(self, name: str, status: Status | None) -> None:
        self.name, self.text, self._status = name, "", status

    def say(self, text: str) -> None:
        """What it is at now; shown while it lasts."""
        if self._status is not None:
            self._status.update(Text.assemble(self.name, ("  " + text, "dim")))

    def result(self, text: object) -> None:
        """What is shown when it has ended."""
        self.text = str(text or "")


class Screen:
    """Writes to standard output; `quiet` writes nothing at all."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(highlight=False, quiet=quiet, soft_wrap=True)
        self._fancy = self.console.encoding.lower().startswith("utf")

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show a step while its block runs, then its result and how long it took."""
        started = time.monotonic()
        status = self.console.status(name, spinner="dots" if self._fancy else "line") if self.console.is_terminal else None
        step = Step(name, status)
        if status:
            status.start()
        try:
            yield step
        except BaseException:
            if status:
                status.stop()
            self._line("✗" if self._fancy else "FAILED", "red", step, started)
            raise
        if status:
            status.stop()
        self._line("✓" if self._fancy else "ok", "green", step, started)

    def say(self, text: str = "", *, style: str = "") -> None:
        """One line, or several, as they are."""
        self.console.print(Text(text, style=style))

    def problem(self, text: str) -> None:
        """Why it does not go on."""
        self.console.print(Text(text, style="bold red"))

    def facts(self, rows: list[tuple[str, str]]) -> None:
        """Names and values, in two columns."""
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self.console.print(Text.assemble((f"  {name:<{width}}  ", "dim"), (value, "bold")))

    def _line(self, mark: str, colour: str, step: Step, started: float) -> None:
        took = f"{time.monotonic() - started:6.1f} s"
        self.console.print(
            Text.assemble((f" {mark} ", colour), f"{step.name:<{_NAME_WIDTH}}", (took, "dim"), f"  {step.text}".rstrip())
        )
