"""Traces out of files: CSV with a header, or JSON lines with the same names.

`time` (seconds), `action` (create, delete), `id`, a column per resource class; if wanted `zone` and `traits` (separated by spaces).
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from apps.common.errors import Invalid
from apps.placement.names import MAX_INT
from apps.scheduler.simulation.trace import Event, Shape, amount_of, amounts_of, class_named, wrong

REQUIRED = ("time", "action", "id")
_OPTIONAL = ("zone", "traits")
_TRAIT = re.compile(r"[A-Z][A-Z0-9_]{0,254}")
_LONGEST_ID, _LONGEST_ZONE = 255, 64


def check(path: Path) -> None:
    """That it can be read, as often as one likes. Raises Invalid."""
    if not path.is_file():
        raise Invalid("simulation.file", f"{path} is no file that can be read.", field="trace")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise Invalid("simulation.file", f"{path} cannot be read: {error.strerror}.", field="trace") from error


def sniff(path: Path) -> str:
    """`sqlite`, `jsonl` or `csv`, by how it begins."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"SQLite format 3\0"):
        return "sqlite"
    return "jsonl" if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else "csv"


def header(path: Path) -> list[str]:
    """The names of the columns. Raises Invalid."""
    for _, row in csv_rows(path):
        return [name.strip() for name in row]
    raise wrong(path.name, 0, "it is empty")


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of all rows that are not empty, that of the header included. Raises Invalid."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            for row in rows:
                if any(cell.strip() for cell in row):
                    yield rows.line_num, row
        except csv.Error as error:
            raise wrong(path.name, rows.line_num, f"this is no CSV: {error}") from error
        except UnicodeDecodeError as error:
            raise wrong(path.name, rows.line_num + 1, "this is not UTF-8, here or in what follows") from error


def read_csv(path: Path) -> Iterator[Event]:
    """Raises Invalid."""
    rows = csv_rows(path)
    line, first = next(rows, (0, []))
    if not first:
        raise wrong(path.name, 0, "it is empty")
    columns = _columns(path.name, line, [cell.strip() for cell in first])
    known: dict[Shape, Shape] = {}
    for number, row in rows:
        if len(row) != len(columns):
            raise wrong(path.name, number, f"{len(row)} cells, but the header has {len(columns)}")
        yield _event(path.name, number, dict(zip(columns, (cell.strip() for cell in row), strict=True)), known)


def read_jsonl(path: Path) -> Iterator[Event]:
    """Raises Invalid."""
    known: dict[Shape, Shape] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip()
            if not text:
                continue
            try:
                found = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise wrong(path.name, number, f"this is no JSON: {error}") from error
            if not isinstance(found, dict):
                raise wrong(path.name, number, "expected an object, such as {\"time\": 0, \"action\": \"create\", \"id\": \"a\", \"VCPU\": 1}")
            columns = _columns(path.name, number, list(found))
            yield _event(path.name, number, dict(zip(columns, found.values(), strict=True)), known)


def _columns(name: str, line: int, given: Sequence[str]) -> list[str]:
    """The names as we call them."""
    columns = []
    for each in given:
        plain = each.lower() if each.lower() in (*REQUIRED, *_OPTIONAL) else class_named(each)
        if not plain:
            raise wrong(name, line, f"unknown column {each[:64]!r}: expected {', '.join((*REQUIRED, *_OPTIONAL))} or a resource class")
        if plain in columns:
            raise wrong(name, line, f"column {plain} is there twice")
        columns.append(plain)
    for each in REQUIRED:
        if each not in columns:
            raise wrong(name, line, f"column {each} is missing")
    return columns


def _event(name: str, line: int, fields: Mapping[str, Any], known: dict[Shape, Shape]) -> Event:
    at, action, key = (fields[each] for each in REQUIRED)
    if not isinstance(key, str) or not key or len(key) > _LONGEST_ID:
        key = str(key) if isinstance(key, int) and not isinstance(key, bool) else ""
        if not key:
            raise wrong(name, line, f"id: expected a text of 1 to {_LONGEST_ID} characters")
    if action not in ("create", "delete"):
        raise wrong(name, line, f"action: expected create or delete, got {str(action)[:64]!r}")
    seconds = number_of(at)
    if seconds is None:
        raise wrong(name, line, f"time: expected seconds, got {str(at)[:64]!r}")
    if action == "delete":
        return Event(seconds, key, None, line)
    shape = _shape(name, line, fields)
    # A few shapes for many instances: kept once.
    return Event(seconds, key, known.setdefault(shape, shape), line)


def number_of(value: object) -> float | None:
    """A number, given as such or as text; None for what is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _shape(name: str, line: int, fields: Mapping[str, Any]) -> Shape:
    amounts: dict[str, int] = {}
    for each, value in fields.items():
        if each in REQUIRED or each in _OPTIONAL or value in ("", None):
            continue
        amount = amount_of(value)
        if amount is None:
            raise wrong(name, line, f"{each}: expected a whole number from 0 to {MAX_INT}, got {str(value)[:64]!r}")
        amounts[each] = amount
    if not any(amounts.values()):
        raise wrong(name, line, "it asks for nothing: no resource class has an amount")
    zone = fields.get("zone") or ""
    if not isinstance(zone, str) or len(zone) > _LONGEST_ZONE or not zone.isprintable():
        raise wrong(name, line, f"zone: expected a name of at most {_LONGEST_ZONE} characters")
    return Shape(amounts_of(amounts), zone, _traits(name, line, fields.get("traits") or ""))


def _traits(name: str, line: int, given: object) -> frozenset[str]:
    names = given.split() if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(each, str) and _TRAIT.fullmatch(each) for each in names):
        raise wrong(name, line, "traits: expected names such as HW_CPU_X86_AVX2")
    return frozenset(names)
