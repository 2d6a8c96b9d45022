"""For commands that start operations: waiting for them with a progress bar, and showing timelines in colour."""

import time
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from apps.common.commands import DONE, FAILED, SILENT, CloudCommand
from apps.operations import selectors
from apps.operations.models import Operation
from apps.operations.states import OPEN_VALUES, OpState

_SOURCES = {"api": "cyan", "scheduler": "magenta", "conductor": "blue", "sweep": "yellow", "worker": "magenta", "host": "green"}


class OperationCommand(CloudCommand):
    """A command that may wait for what it has started."""

    def add_waiting(self, parser: ArgumentParser) -> None:
        """The options `--wait` and `--timeout`."""
        parser.add_argument("--wait", action="store_true", help="wait for the end; exit code 1 if it failed, 5 if it takes too long")
        parser.add_argument("--timeout", type=float, default=600, metavar="S", help="longest wait in seconds (default: %(default)s)")

    def wait_for(self, operations: Sequence[Operation], *, timeout: float, text: str) -> list[Operation]:
        """The operations as they are when all are closed, or when the time is up."""
        ends = time.monotonic() + timeout
        found: dict[Any, Operation] = {}
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, disable=self.as_json or not console.is_terminal) as progress:
            bar = progress.add_task(text, total=len(operations))
            for operation in operations:
                left = max(0.0, ends - time.monotonic())
                found[operation.pk] = selectors.wait(operation_id=operation.pk, seconds=left)
                progress.update(bar, completed=sum(each.state not in OPEN_VALUES for each in found.values()))
        return [found[operation.pk] for operation in operations]

    def verdict(self, operations: Iterable[Operation]) -> int:
        """The exit code for operations that were waited for; says why those failed that did."""
        code = DONE
        for operation in operations:
            if operation.state in OPEN_VALUES:
                self.say(f"{operation.kind} of {operation.resource_id} is still {operation.state}.", "yellow")
                code = code or SILENT
            elif operation.state != OpState.SUCCEEDED:
                error = operation.error or {"message": "no reason is known"}
                self.say(f"{operation.kind} of {operation.resource_id} {operation.state}: {error['message']}", "red")
                code = FAILED
        return code

    def timeline(self, events: Sequence[dict[str, Any]]) -> None:
        """Lines in the order of time: since when, who, what, how long."""
        if not events:
            return
        first = events[0]["at"]
        self.console.print()
        for event in events:
            line = Text(f"{event['at']:%Y-%m-%d %H:%M:%S}  ", style="bright_black")
            line.append(f"{(event['at'] - first).total_seconds():+10.3f} s  ")
            line.append(f"{event['source']:<10}", style=_SOURCES.get(event["source"], ""))
            line.append(event["name"], style="bold red" if event["name"] in ("failed", "no host", "overdue") else "bold")
            if event["took_ms"] is not None:
                line.append(f"  {event['took_ms']:.1f} ms", style="cyan")
            if event["detail"]:
                line.append(f"  {event['detail']}", style="bright_black")
            self.console.print(line)
