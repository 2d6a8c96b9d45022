"""The columns of Azure's public packing trace (AzureTracesForPacking2020): as the SQLite file that it is, or as CSV of its tables.

`vm`: vmId, vmTypeId, starttime, endtime in days, the end empty where it was not seen. `vmType`: vmTypeId, machineId, and what such
an instance takes of such a machine, in shares of it: core, memory, hdd, ssd. A share becomes an amount by the size of a host here.
Network cards are not looked at, nor priorities: nobody is evicted.
"""

import heapq
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from apps.common.errors import Invalid
from apps.placement.names import DISK_GB, MAX_INT, MEMORY_MB, VCPU
from apps.scheduler.simulation.readers import csv_rows, header, number_of
from apps.scheduler.simulation.trace import Event, Shape, amounts_of, wrong

_VM = ("vmid", "vmtypeid", "starttime", "endtime")
_SHARES = ("core", "memory", "hdd", "ssd")
_TYPE = ("vmtypeid", "machineid", *_SHARES)
_DAY_S = 86400.0


def is_export(columns: list[str]) -> bool:
    """Whether a CSV with this header is one of its tables."""
    return {"vmid", "vmtypeid", "starttime"} <= {name.lower() for name in columns}


class Packing:
    """`machine`: what a whole machine of the trace is here, by resource class. `machine_id`: shares are of this one of the trace's
    machines; None: of the one that most types run on. `types`: the CSV of vmType, if it is not in `vmType.csv` beside the file.

    Raises Invalid.
    """

    def __init__(
        self, path: Path, machine: Mapping[str, int], *, machine_id: str | None = None, types: Path | None = None, is_csv: bool = False
    ) -> None:
        self.name = path.name
        self._tables = _load(path, types) if is_csv else _opened(path)
        self._shapes, self.machine_id, self.borrowed = self._read_types(machine, machine_id)

    def events(self, limit: int | None = None) -> Iterator[Event]:
        """In the order of time; who ends at the moment at which another begins has made room for it. Raises Invalid."""
        ends: list[tuple[float, int, str]] = []
        statement = "SELECT rowid, vmId, vmTypeId, starttime, endtime FROM vm ORDER BY starttime, rowid LIMIT ?"
        for row, vm_id, type_id, start, end in self._rows(statement, (-1 if limit is None else limit,)):
            begin, stop = number_of(start), number_of(end) if end is not None else math.inf
            if begin is None or stop is None or stop < begin or isinstance(start, str) or isinstance(end, str):
                raise wrong(self.name, row, f"vm {vm_id}: expected days, the end not before the start, got {start!r} and {end!r}")
            if (shape := self._shapes.get(str(type_id))) is None:
                raise wrong(self.name, row, f"vm {vm_id}: there is no vmType {type_id!r}")
            while ends and ends[0][0] <= begin:
                yield _end(heapq.heappop(ends))
            yield Event(begin * _DAY_S, str(vm_id), shape, row)
            if stop != math.inf:
                heapq.heappush(ends, (stop, row, str(vm_id)))
        while ends:
            yield _end(heapq.heappop(ends))

    def _read_types(self, machine: Mapping[str, int], machine_id: str | None) -> tuple[dict[str, Shape], str, int]:
        """Shape by type; which machine; how many types have no share of it, and are taken by their share of another."""
        by_type: dict[str, dict[str, Shape]] = {}
        counted: Counter[str] = Counter()
        for row, type_id, on, *shares in self._rows("SELECT rowid, vmTypeId, machineId, core, memory, hdd, ssd FROM vmType ORDER BY rowid"):
            by_type.setdefault(str(type_id), {})[str(on)] = self._shape(row, shares, machine)
            counted[str(on)] += 1
        if not counted:
            raise wrong(self.name, 0, "there is no vmType in it")
        chosen = machine_id if machine_id is not None else counted.most_common(1)[0][0]
        if chosen not in counted:
            known = ", ".join(sorted(counted)[:20])
            raise Invalid("simulation.machine", f"{self.name}: no vmType is for machine {chosen!r}; there are {known}.", field="azure_machine")
        shapes = {key: on[chosen] if chosen in on else next(iter(on.values())) for key, on in by_type.items()}
        return shapes, chosen, sum(chosen not in on for on in by_type.values())

    def _shape(self, row: int, given: Sequence[object], machine: Mapping[str, int]) -> Shape:
        shares = [0.0 if each is None else number_of(each) for each in given]
        if any(each is None or each < 0 for each in shares):
            raise wrong(self.name, row, f"vmType: expected shares of a machine, 0 or more, got {given!r}")
        core, memory, hdd, ssd = (each or 0.0 for each in shares)
        wanted = {VCPU: core, MEMORY_MB: memory, DISK_GB: max(hdd, ssd)}
        # Shares are rounded in the trace: what is a hair more than a whole amount is that amount.
        amounts = {name: min(MAX_INT, math.ceil(share * machine.get(name, 0) - 1e-6)) for name, share in wanted.items()}
        if not any(amounts.values()):
            raise wrong(self.name, row, "vmType: it takes nothing of what the hosts here have")
        return Shape(amounts_of(amounts))

    def _rows(self, statement: str, parameters: tuple[object, ...] = ()) -> Iterator[tuple[int, ...]]:
        try:
            yield from self._tables.execute(statement, parameters)
        except sqlite3.Error as error:
            raise Invalid("simulation.trace", f"{self.name}: these are not the tables of the packing trace: {error}.", field="trace") from error


def _end(each: tuple[float, int, str]) -> Event:
    return Event(each[0] * _DAY_S, each[2], None, each[1])


def _opened(path: Path) -> sqlite3.Connection:
    """For reading, and without a trace of it left beside."""
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)


def _load(path: Path, types: Path | None) -> sqlite3.Connection:
    """The CSV files as the same tables, in a file of SQLite's own that nobody sees; a row has the number of its line."""
    tables = sqlite3.connect("")
    vm_columns = header(path)
    joined = {name.lower() for name in vm_columns} >= set(_SHARES[:2])
    tables.execute("CREATE TABLE vm (rowid INTEGER PRIMARY KEY, vmId, vmTypeId, starttime, endtime)")
    tables.executemany("INSERT INTO vm VALUES (?, ?, ?, ?, ?)", _csv_columns(path, _VM, numbers=2))
    tables.execute("CREATE TABLE vmType (rowid INTEGER PRIMARY KEY, vmTypeId, machineId, core, memory, hdd, ssd)")
    source = path if joined else types or path.with_name("vmType.csv")
    if not source.is_file():
        raise Invalid("simulation.file", f"{source} is no file: give the CSV of vmType with --azure-types.", field="azure_types")
    rows = _csv_columns(source, _TYPE, numbers=4, optional=("machineid", "hdd", "ssd"))
    seen: set[tuple[object, object]] = set()
    for row in rows:
        if (row[1], row[2]) not in seen:
            seen.add((row[1], row[2]))
            tables.execute("INSERT INTO vmType VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return tables


def _csv_columns(path: Path, wanted: tuple[str, ...], *, numbers: int, optional: tuple[str, ...] = ("endtime",)) -> Iterator[list[object]]:
    """Line and these columns; the last `numbers` of them are numbers, or None where there is nothing."""
    rows = csv_rows(path)
    line, first = next(rows, (0, []))
    names = [name.strip().lower() for name in first]
    missing = [name for name in wanted if name not in names and name not in optional]
    if missing:
        raise wrong(path.name, line, f"column {missing[0]} is missing")
    places = [names.index(name) if name in names else None for name in wanted]
    for number, row in rows:
        if len(row) != len(names):
            raise wrong(path.name, number, f"{len(row)} cells, but the header has {len(names)}")
        cells: list[object] = [row[at].strip() if at is not None else "" for at in places]
        for at in range(len(cells) - numbers, len(cells)):
            text = str(cells[at])
            cells[at] = None if text in ("", "NULL") else number_of(text)
            if cells[at] is None and text not in ("", "NULL"):
                raise wrong(path.name, number, f"{wanted[at]}: expected a number, got {text[:64]!r}")
        yield [number, *cells]
