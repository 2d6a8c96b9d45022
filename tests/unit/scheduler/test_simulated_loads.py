"""Loads and fleets of simulations: what is read, what is refused and where, and what is counted. No database."""

import sqlite3
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path

import pytest

from apps.common.errors import Invalid
from apps.scheduler.simulation import fleet, mixes, readers, report
from apps.scheduler.simulation.azure import Packing
from apps.scheduler.simulation.ledger import Ledger
from apps.scheduler.simulation.trace import Event, Shape, Trace, look_through

SMALL = Shape((("VCPU", 1), ("MEMORY_MB", 512)))
MACHINE = {"VCPU": 64, "MEMORY_MB": 1000, "DISK_GB": 100}


def events_of(path: Path) -> list[Event]:
    read = readers.read_jsonl if readers.sniff(path) == "jsonl" else readers.read_csv
    return list(read(path))


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(Invalid) as refused:
        work()
    return refused.value.message


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """A file with this content, by the name `load`."""

    def write(content: str | bytes, name: str = "load") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


# CSV and JSON lines.


def test_a_csv_is_read_by_the_names_of_its_columns(file: Callable[..., Path]) -> None:
    text = "\ufeffid,Time,action,vcpus,MEMORY_MB,CUSTOM_GPU,zone,traits\r\na,0,create,1,512,,west,HW_CPU_X86_AVX2 CUSTOM_FAST\r\n\r\na,1.5,delete,,,,,\r\n"
    assert events_of(file(text)) == [
        Event(0, "a", Shape(SMALL.amounts, "west", frozenset({"HW_CPU_X86_AVX2", "CUSTOM_FAST"})), 2), Event(1.5, "a", None, 4),
    ]


def test_json_lines_are_read_by_the_same_names(file: Callable[..., Path]) -> None:
    text = '{"time": 0, "action": "create", "id": 7, "MEMORY_MB": 512, "VCPU": 1, "traits": []}\n\n{"time": 2, "action": "delete", "id": "7"}\n'
    assert events_of(file(text)) == [Event(0, "7", SMALL, 1), Event(2, "7", None, 3)]


def test_instances_of_a_shape_share_it(file: Callable[..., Path]) -> None:
    first, second = events_of(file("time,action,id,VCPU\n0,create,a,1\n0,create,b,1\n"))
    assert first.shape is second.shape


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "load: it is empty"),
        ("time,action,VCPU\n", "line 1: column id is missing"),
        ("time,action,id,VCPU,vcpu\n", "line 1: column VCPU is there twice"),
        ("time,action,id,CPUS\n", "line 1: unknown column 'CPUS'"),
        ("time,action,id,VCPU\n0,create,a\n", "line 2: 3 cells, but the header has 4"),
        ("time,action,id,VCPU\n0,create,a,1\n0,create,b,-1\n", "line 3: VCPU: expected a whole number from 0"),
        ("time,action,id,VCPU\n0,create,a,1.5\n", "line 2: VCPU: expected a whole number"),
        ("time,action,id,VCPU\n0,create,a,99999999999\n", "line 2: VCPU: expected a whole number"),
        ("time,action,id,VCPU\n0,create,a," + "9" * 9000 + "\n", "line 2: VCPU: expected a whole number"),
        ("time,action,id,VCPU\n0,create,a,0\n", "line 2: it asks for nothing"),
        ("time,action,id,VCPU\n0,resize,a,1\n", "line 2: action: expected create or delete, got 'resize'"),
        ("time,action,id,VCPU\nnan,create,a,1\n", "line 2: time: expected seconds, got 'nan'"),
        ("time,action,id,VCPU\n0,create,,1\n", "line 2: id: expected a text"),
        ("time,action,id,VCPU,traits\n0,create,a,1,no;drop\n", "line 2: traits: expected names"),
        ('time,action,id,VCPU\n0,create,"a"b,1\n', "line 2: this is no CSV"),
        (b"time,action,id,VCPU\n0,create,\xff,1\n", "this is not UTF-8"),
        ('{"time": 0, "action": "create"}\n', "line 1: column id is missing"),
        ('{"time": 0, "action": "delete", "id": "a"}\n{"time": \n', "line 2: this is no JSON"),
        ('{"time": 0, "action": "delete", "id": "a"}\n[1]\n', "line 2: expected an object"),
        ('{"time": true, "action": "create", "id": "a", "VCPU": 1}\n', "line 1: time: expected seconds"),
        ('{"time": 0, "action": "create", "id": "a", "VCPU": {"a": 1}}\n', "line 1: VCPU: expected a whole number"),
        ('{"time": 0, "action": "create", "id": "a", "VCPU": 1, "zone": 3}\n', "line 1: zone: expected a name"),
        ('{"time": 0, "action": ["create"], "id": "a", "VCPU": 1}\n', "line 1: action: expected create or delete"),
    ],
    ids=[
        "empty", "no id", "twice", "unknown", "short row", "negative", "half", "too much", "digits", "nothing", "action", "nan", "no name",
        "trait", "quotes", "bytes", "json no id", "json broken", "json list", "json time", "json amount", "json zone", "json action",
    ],
)
def test_what_is_wrong_with_a_trace_is_said_with_its_line(file: Callable[..., Path], content: str | bytes, said: str) -> None:
    assert said in refusal(lambda: events_of(file(content)))


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([Event(0, "a", None, 5)], "line 5: 'a' is deleted, but there is none"),
        ([Event(0, "a", SMALL, 1), Event(1, "a", SMALL, 2)], "line 2: 'a' is created a second time"),
        ([Event(3, "a", SMALL, 1), Event(2, "a", None, 2)], "line 2: time goes back from 3 to 2"),
        ([], "nothing is created"),
    ],
    ids=["delete first", "create twice", "backwards", "nothing"],
)
def test_a_trace_that_cannot_have_happened_is_refused_before_it_is_run(events: list[Event], said: str) -> None:
    assert said in refusal(lambda: look_through(Trace("load", lambda: iter(events))))


def test_a_trace_is_looked_through() -> None:
    events = [Event(-2, "a", SMALL, 1), Event(0, "a", None, 2), Event(0, "a", SMALL, 3), Event(9, "b", SMALL, 4)]
    survey = look_through(Trace("load", lambda: iter(events), 3))
    assert (survey.events, survey.creates, survey.begin, survey.end, dict(survey.shapes)) == (3, 2, -2, 0, {SMALL.amounts: 2})


# Azure's packing trace.

TYPES = [(1, "t1", "16", 0.5, 0.25, None, 0.1, 0.1), (2, "t1", "17", 0.25, 0.125, 0.0, 0.05, 0.1), (3, "t2", "16", 0.015625, 0.0101, 0.5, 0.1, None)]
VMS = [("1", "x", "t1", 0, 0.0, 1.0), ("2", "x", "t2", 1, -1.5, None), ("3", "y", "t1", 0, 1.0, 2.0)]
EXPECTED = [
    (-1.5 * 86400, "2", (("VCPU", 1), ("MEMORY_MB", 11), ("DISK_GB", 50))), (0.0, "1", (("VCPU", 32), ("MEMORY_MB", 250), ("DISK_GB", 10))),
    (86400.0, "1", None), (86400.0, "3", (("VCPU", 32), ("MEMORY_MB", 250), ("DISK_GB", 10))), (2 * 86400.0, "3", None),
]


@pytest.fixture
def packing(tmp_path: Path) -> Path:
    """The public trace's tables with a few rows."""
    path = tmp_path / "packing.sqlite"
    tables = sqlite3.connect(path)
    tables.execute("CREATE TABLE vm (vmId, tenantId, vmTypeId, priority, starttime REAL, endtime REAL)")
    tables.execute("CREATE TABLE vmType (id, vmTypeId, machineId, core REAL, memory REAL, hdd REAL, ssd REAL, nic REAL)")
    tables.executemany("INSERT INTO vm VALUES (?, ?, ?, ?, ?, ?)", VMS)
    tables.executemany("INSERT INTO vmType VALUES (?, ?, ?, ?, ?, ?, ?, ?)", TYPES)
    tables.commit()
    tables.close()
    return path


def told(packing: Packing) -> list[tuple[float, str, object]]:
    return [(each.at, each.key, each.shape and each.shape.amounts) for each in packing.events()]


def test_azures_shares_of_a_machine_become_amounts_and_its_days_seconds(packing: Path) -> None:
    read = Packing(packing, MACHINE)
    assert (told(read), read.machine_id, read.borrowed) == (EXPECTED, "16", 0)
    assert told(read) == EXPECTED  # as often as one likes
    assert [each.key for each in read.events(2)][:2] == ["2", "1"]


def test_another_machine_can_be_chosen_and_a_type_that_it_lacks_is_taken_from_another(packing: Path) -> None:
    read = Packing(packing, MACHINE, machine_id="17")
    assert (told(read)[1][2], told(read)[0][2], read.borrowed) == ((("VCPU", 16), ("MEMORY_MB", 125), ("DISK_GB", 5)), EXPECTED[0][2], 1)
    assert "no vmType is for machine '99'; there are 16, 17" in refusal(lambda: Packing(packing, MACHINE, machine_id="99"))


def test_exports_of_azures_tables_say_the_same(file: Callable[..., Path]) -> None:
    vm = "vmId,tenantId,vmTypeId,priority,starttime,endtime\n" + "".join(
        f"{','.join('' if each is None else str(each) for each in row)}\n" for row in VMS
    )
    types = "id,vmTypeId,machineId,core,memory,hdd,ssd,nic\n" + "".join(
        f"{','.join('NULL' if each is None else str(each) for each in row)}\n" for row in TYPES
    )
    path = file(vm, "vm.csv")
    assert "vmType.csv is no file" in refusal(lambda: Packing(path, MACHINE, is_csv=True))
    file(types, "vmType.csv")
    assert told(Packing(path, MACHINE, is_csv=True)) == EXPECTED
    joined = file("vmId,vmTypeId,starttime,endtime,core,memory\n1,t,0,1,0.5,0.25\n2,t,0.5,,0.5,0.25\n", "joined.csv")
    assert [each[1] for each in told(Packing(joined, MACHINE, is_csv=True))] == ["1", "2", "1"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE vm SET endtime = -9 WHERE vmId = '1'", "line 1: vm 1: expected days"),
        ("UPDATE vm SET starttime = NULL WHERE vmId = '3'", "line 3: vm 3: expected days"),
        ("UPDATE vm SET vmTypeId = 't9' WHERE vmId = '1'", "line 1: vm 1: there is no vmType 't9'"),
        ("UPDATE vmType SET core = -0.5 WHERE id = 1", "line 1: vmType: expected shares"),
        ("UPDATE vmType SET core = 'many' WHERE id = 1", "line 1: vmType: expected shares"),
        ("DELETE FROM vmType", "there is no vmType in it"),
        ("DROP TABLE vm", "these are not the tables of the packing trace: no such table: vm"),
        ("ALTER TABLE vmType DROP COLUMN ssd", "these are not the tables of the packing trace: no such column: ssd"),
    ],
    ids=["ends before", "no start", "no type", "negative", "text", "no types", "no table", "no column"],
)
def test_tables_that_are_not_as_azures_are_refused(packing: Path, change: str, said: str) -> None:
    tables = sqlite3.connect(packing)
    tables.execute(change)
    tables.commit()
    tables.close()
    assert said in refusal(lambda: told(Packing(packing, MACHINE)))


def test_exports_with_numbers_that_are_none_are_refused_with_their_line(file: Callable[..., Path]) -> None:
    path = file("vmId,vmTypeId,starttime,endtime,core,memory\n1,t,0,1,0.5,0.25\n2,t,soon,,0.5,0.25\n", "vm.csv")
    assert "vm.csv, line 3: starttime: expected a number, got 'soon'" in refusal(lambda: Packing(path, MACHINE, is_csv=True))


# Mixes.


@pytest.mark.parametrize("name", sorted(mixes.MIXES))
def test_a_mix_is_a_trace_that_can_have_happened_and_is_the_same_for_the_same_seed(name: str) -> None:
    mix = mixes.MIXES[name]
    rate = mixes.rate_for(mix, fleet.uniform(10, fleet.USUAL_HOST).capacity, 0.9)
    first, again, other = (list(islice(mixes.generate(mix, rate=rate, seed=seed), 2000)) for seed in (1, 1, 2))
    assert first == again != other
    assert look_through(Trace(name, lambda: iter(first))).creates > 500
    assert all(one.at <= two.at for one, two in pairwise(first))
    assert sum(each.share for each in mix.kinds) == pytest.approx(1)


def test_a_mix_wants_in_the_long_run_what_was_asked_of_the_scarcest_resource() -> None:
    mix = mixes.MIXES["ci"]
    capacity = {"VCPU": 1000, "MEMORY_MB": 10**9, "DISK_GB": 10**9}
    running: dict[str, int] = {}
    area, before = 0.0, 0.0
    for event in mixes.generate(mix, rate=mixes.rate_for(mix, capacity, 0.8), seed=3):
        if event.at > 10 * 86400:
            break
        area += sum(running.values()) * (event.at - before)
        before = event.at
        if event.shape is None:
            del running[event.key]
        else:
            running[event.key] = dict(event.shape.amounts)["VCPU"]
    assert area / before == pytest.approx(800, rel=0.03)


def test_a_mix_needs_a_fleet_that_has_what_it_wants() -> None:
    assert "the fleet lacks some" in refusal(lambda: mixes.rate_for(mixes.MIXES["web"], {"VCPU": 4}, 1))


# Fleets.


def test_fleets_are_said_in_words(file: Callable[..., Path]) -> None:
    made = fleet.grouped(["2xVCPU=4,MEMORY_MB=8@west", "1xvcpu=8,CUSTOM_GPU=2"])
    assert [(each.name, each.zone, {name: units.capacity for name, units in each.stock.items()}) for each in made.hosts] == [
        ("host-1", "west", {"VCPU": 4, "MEMORY_MB": 8}), ("host-2", "west", {"VCPU": 4, "MEMORY_MB": 8}),
        ("host-3", "default", {"VCPU": 8, "CUSTOM_GPU": 2}),
    ]
    assert made.capacity == {"VCPU": 16, "MEMORY_MB": 16, "CUSTOM_GPU": 2}
    listed = fleet.from_file(file('[{"count": 2, "shape": {"VCPU": 4, "MEMORY_MB": 8}, "zone": "west"}, {"shape": {"VCPU": 8, "CUSTOM_GPU": 2}}]'))
    assert listed == made


@pytest.mark.parametrize("text", ["", "4", "2x", "2xVCPU", "2xVCPU=0", "2xVCPU=-1", "2xCPUS=1", "0xVCPU=1", "2xVCPU=1@", "2xVCPU=1,VCPU=2", "999999xVCPU=1"])
def test_words_that_are_no_fleet_are_refused(text: str) -> None:
    assert "The fleet: " in refusal(lambda: fleet.grouped([text]))


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "[1]", '[{"count": 1}]', '[{"shape": {"VCPU": -1}}]', '[{"shape": {"VCPU": 1}, "count": true}]', '[{"shape": {}}]',
     '[{"shape": {"VCPU": 1}, "zone": ""}]', '[{"shape": {"VCPU": 1}, "traits": "A"}]', '[{"shape": {"VCPU": 1}, "hosts": 3}]'],
)
def test_files_that_are_no_fleet_are_refused(file: Callable[..., Path], text: str) -> None:
    assert "The fleet: " in refusal(lambda: fleet.from_file(file(text)))


# Utilisation and fragmentation.


def test_fragmentation_is_the_share_that_would_fit_in_one_piece_and_does_not() -> None:
    ledger = Ledger(fleet.grouped(["3xVCPU=4,MEMORY_MB=100"]))
    for host, vcpus in enumerate((1, 2, 3)):
        ledger.move(host, (("VCPU", vcpus), ("MEMORY_MB", 10)), 1)
    assert ledger.utilisation() == {"VCPU": 0.5, "MEMORY_MB": 0.1}
    # 3, 2 and 1 vCPUs are free: two pairs fit, and in one piece they would be three.
    found = ledger.fragmentation((("VCPU", 2),))
    assert (found.fits, found.whole, found.stranded) == (2, 3, {"VCPU": 1, "MEMORY_MB": 90})
    assert found.share == pytest.approx(1 / 3)
    assert ledger.fragmentation((("VCPU", 1), ("MEMORY_MB", 90))).share == 0
    assert ledger.fragmentation((("VCPU", 4),)).share == 1
    assert ledger.fragmentation((("VCPU", 7),)).share == 0  # nor would they in one piece
    assert ledger.fragmentation((("PCI_DEVICE", 1),)).fits == 0
    ledger.move(2, (("VCPU", 3), ("MEMORY_MB", 10)), -1)
    assert ledger.fragmentation((("VCPU", 4),)).fits == 1


def test_spans_are_said_in_the_unit_that_people_use() -> None:
    assert [report.span(seconds) for seconds in (0, 90, 120, 7300, 86400 * 14)] == ["0 s", "90 s", "2 min", "2.03 h", "14 d"]
