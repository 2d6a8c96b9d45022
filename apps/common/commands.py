"""The base of our management commands: tables for people, `--json` for programs, refusals as one line and an exit code.

Exit codes: 0 done · 1 it did not work (an operation failed, findings remain) · 2 wrong usage or input · 3 there is none
such · 4 refused (state, conflict, role, capacity) · 5 something does not answer, or not in time.
"""

import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, ClassVar, NoReturn, cast

import orjson
from django.core.management.base import BaseCommand, CommandError
from django.db import DataError, OperationalError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apps.common import clock
from apps.common.errors import CloudError, Invalid, Unavailable

DONE, FAILED, USAGE, MISSING, REFUSED, SILENT = range(6)
EXIT_CODES = {"invalid": USAGE, "not_found": MISSING, "unavailable": SILENT, "error": FAILED}
COLOURS = {
    "ACTIVE": "green", "STOPPED": "bright_black", "BUILD": "yellow", "DELETING": "yellow", "ERROR": "red",
    "up": "green", "down": "red", "enrolled": "yellow", "succeeded": "green", "failed": "red", "cancelled": "bright_black",
    "queued": "yellow", "sent": "yellow", "running": "yellow", "overdue": "red", "active": "green", "saving": "yellow",
}


class Refused(CommandError):
    """Django prints the name of the class and the text, and ends with the code."""


class CloudCommand(BaseCommand):
    """`examples` are shown by `--help`. Subclasses write `options` and `work`, which returns the exit code."""

    examples: ClassVar[Sequence[str]] = ()
    requires_system_checks = ()
    stealth_options = ("stdout", "stderr")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        lines = [f"  manage.py {subcommand} {example}".rstrip() for example in self.examples]
        epilog = "examples:\n" + "\n".join(lines) if lines else None
        return super().create_parser(
            prog_name, subcommand, epilog=epilog, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="machine-readable output")
        self.options(parser)

    def options(self, parser: ArgumentParser) -> None:
        """Arguments of its own."""

    def work(self, **options: Any) -> int:
        """What it does."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        self.as_json: bool = options["json"]
        self.console = Console(
            file=cast(IO[str], self.stdout), highlight=False, soft_wrap=True, no_color=options.get("no_color") or None,
            force_terminal=options.get("force_color") or None,
            # In a pipe lines are as long as they are.
            width=None if self.stdout.isatty() else 1000,
        )
        try:
            code = self.work(**options)
        except CloudError as error:
            self.refuse(error)
        except DataError as error:
            self.refuse(Invalid("input.unfit", f"The database does not take this: {str(error).strip()}"))
        except OperationalError as error:
            self.refuse(Unavailable("database.unavailable", f"The database does not answer: {str(error).strip()}"))
        if code:
            # What there is to say was said; Django would only repeat it.
            sys.exit(code)

    def refuse(self, error: CloudError) -> NoReturn:
        """One line on standard error (with `--json`: an object on standard output), and the exit code of its kind."""
        if self.as_json:
            self.emit({"error": {**error.as_dict(), "field": error.field}})
            sys.exit(EXIT_CODES.get(error.kind, REFUSED))
        raise Refused(f"{error.message} ({error.code})", returncode=EXIT_CODES.get(error.kind, REFUSED))

    def emit(self, data: Any) -> None:
        """`data` as JSON on standard output."""
        self.stdout.write(orjson.dumps(data, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())

    def show(self, rows: Iterable[dict[str, Any]], *columns: str, nothing: str) -> None:
        """The rows as JSON, or as a table of these columns; `nothing` is said when there are none."""
        found = list(rows)
        if self.as_json:
            self.emit(found)
        elif not found:
            self.console.print(nothing, style="bright_black")
        else:
            table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
            for column in columns:
                table.add_column(column.replace("_", " "), no_wrap=True)
            for row in found:
                table.add_row(*(cell(row.get(column)) for column in columns))
            self.console.print(table)

    def facts(self, row: dict[str, Any]) -> None:
        """One thing, a line per fact."""
        if self.as_json:
            self.emit(row)
            return
        width = max(len(name) for name in row)
        for name, value in row.items():
            line = Text(f"{name.replace('_', ' '):{width}}  ", style="bright_black")
            self.console.print(line.append_text(cell(value)))

    def say(self, text: str, style: str = "") -> None:
        """A line for people; silent with `--json`."""
        if not self.as_json:
            self.console.print(text, style=style, markup=False)

    @contextmanager
    def waiting(self, text: str) -> Iterator[Any]:
        """A spinner on standard error while something is waited for, where somebody can see it."""
        console = Console(stderr=True)
        if self.as_json or not console.is_terminal:
            yield None
            return
        with console.status(text) as status:
            yield status


def whole(least: int, most: int) -> Callable[[str], int]:
    """A type for arguments: a whole number within these bounds."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"expected a whole number from {least} to {most}, got {text!r}")
        return int(text)

    return parse


def cell(value: Any) -> Text:
    """A value as people read it: states in colour, times as ages."""
    if isinstance(value, datetime):
        return Text(age(value))
    if isinstance(value, bool):
        return Text("yes" if value else "no", style="" if value else "bright_black")
    if value is None or value in ("", [], {}):
        return Text("-", style="bright_black")
    if isinstance(value, list):
        return Text(", ".join(str(cell(each)) for each in value))
    if isinstance(value, dict):
        return Text(", ".join(f"{name}={cell(each)}" for name, each in value.items()))
    return Text(str(value), style=COLOURS.get(str(value), ""))


def age(moment: datetime) -> str:
    """How long ago, or in how long: `12 s ago`, `3 h ago`, `in 5 min`."""
    seconds = (clock.now() - moment).total_seconds()
    size = abs(seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if size >= 2 * length:
            amount = f"{size / length:.0f} {unit}"
            break
    else:
        amount = f"{size:.0f} s"
    return f"{amount} ago" if seconds >= 0 else f"in {amount}"
