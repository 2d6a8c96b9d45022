"""manage.py simulate: what comes of small loads, counted by hand; nothing of the cloud changes, nothing is left behind."""

import builtins
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, connections

from apps.scheduler.feed import feed
from apps.scheduler.simulation import scratch
from apps.scheduler.simulation.replay import Replay
from tests.support.cloud import Cloud
from tests.support.commands import as_json, run

# Two hosts of four vCPUs: a and b share one of them if it packs, and c takes the other.
LOAD = """time,action,id,VCPU,MEMORY_MB
0,create,a,2,1024
0,create,b,2,1024
0,create,c,4,1024
0,create,d,2,1024
10,delete,a,,
10,delete,d,,
15,create,e,2,1024
20,create,f,1,1024
"""
PAIR = ("--fleet", "2xVCPU=4,MEMORY_MB=4096", "--points", "4")


@pytest.fixture
def load(tmp_path: Path) -> str:
    path = tmp_path / "load.csv"
    path.write_text(LOAD)
    return str(path)


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(transactional_db: None) -> Iterator[None]:
    before = scratch_databases()
    yield
    assert scratch_databases() == before == []
    assert connections["default"].settings_dict["NAME"] == connection.settings_dict["NAME"]


def scratch_databases() -> list[str]:
    found = [path.name for path in settings.ENV.var.glob("simulate-*.sqlite3*")]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(r"SELECT datname FROM pg_database WHERE datname LIKE '%\_simulate\_%'")
            found += [name for (name,) in cursor.fetchall()]
    return found


def everything() -> dict[str, list[Any]]:
    """All rows of all tables."""
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in apps.get_models() if model._meta.managed}


def without_speed(data: dict[str, Any]) -> dict[str, Any]:
    assert data["speed"]["choice_ms"]["p50"] > 0 and data["speed"]["decisions_per_s"] > 0
    return {name: value for name, value in data.items() if name != "speed"}


def test_packing_places_what_counting_by_hand_says(load: str) -> None:
    found = as_json("simulate", "--trace", load, *PAIR, "--pack")
    assert (found["placed"], found["refused"], found["deleted"], found["deletes_of_refused"]) == (4, 2, 1, 1)
    assert found["running"] == {"end": 3, "peak": 3}
    assert found["refused_because"] == {"VCPU": {"refusals": 2, "share_of_hosts": 1.0}}
    assert found["refused_shapes"] == [
        {"shape": {"VCPU": 1, "MEMORY_MB": 1024}, "refused": 1}, {"shape": {"VCPU": 2, "MEMORY_MB": 1024}, "refused": 1},
    ]
    assert found["utilisation"] == {
        "VCPU": {"mean": 0.9375, "peak": 1.0, "end": 1.0}, "MEMORY_MB": {"mean": 0.3438, "peak": 0.375, "end": 0.375},
    }
    assert [(each["at"], each["running"], each["placed"], each["refused"], each["utilisation"]["VCPU"]) for each in found["samples"]] == [
        (0, 3, 3, 1, 1.0), (5, 3, 0, 0, 1.0), (10, 2, 0, 0, 0.75), (15, 3, 1, 0, 1.0), (20, 3, 0, 1, 1.0),
    ]
    usual, largest = found["fragmentation"]["usual"], found["fragmentation"]["largest"]
    assert (usual["shape"]["VCPU"], largest["shape"]["VCPU"]) == (2, 4)
    assert usual["end"] == {"share": 0.0, "fits": 0, "whole": 0, "stranded": {"VCPU": 0, "MEMORY_MB": 5120}}


def test_spreading_leaves_no_host_for_the_large_one(load: str) -> None:
    found = as_json("simulate", "--trace", load, *PAIR, "--spread", "--among", "1")
    assert (found["placed"], found["refused"], found["deleted"]) == (5, 1, 2)
    assert found["refused_shapes"] == [{"shape": {"VCPU": 4, "MEMORY_MB": 1024}, "refused": 1}]
    # Then one vCPU is free on one host and two are on the other.
    assert found["fragmentation"]["usual"]["end"]["fits"] == 1


def test_zones_and_traits_of_a_load_are_those_of_the_fleet(tmp_path: Path) -> None:
    (tmp_path / "fleet.json").write_text('[{"shape": {"VCPU": 2}, "zone": "west", "traits": ["CUSTOM_FAST"]}, {"shape": {"VCPU": 2}, "zone": "east"}]')
    (tmp_path / "load.jsonl").write_text(
        '{"time": 0, "action": "create", "id": "a", "VCPU": 2, "zone": "west"}\n'
        '{"time": 0, "action": "create", "id": "b", "VCPU": 1, "zone": "west"}\n'
        '{"time": 0, "action": "create", "id": "c", "VCPU": 1, "traits": ["CUSTOM_FAST"]}\n'
        '{"time": 0, "action": "create", "id": "d", "VCPU": 1, "zone": "east"}\n'
        '{"time": 0, "action": "create", "id": "e", "CUSTOM_GPU": 1}\n'
    )
    found = as_json("simulate", "--trace", str(tmp_path / "load.jsonl"), "--fleet-file", str(tmp_path / "fleet.json"))
    assert (found["placed"], found["refused"]) == (2, 3)
    assert found["refused_because"] == {
        "VCPU": {"refusals": 2, "share_of_hosts": 0.5}, "CUSTOM_GPU": {"refusals": 1, "share_of_hosts": 1.0},
        "traits": {"refusals": 1, "share_of_hosts": 0.5}, "zone": {"refusals": 1, "share_of_hosts": 0.5},
    }
    assert found["utilisation"]["VCPU"] == {"mean": None, "peak": 0.75, "end": 0.75}


def test_the_same_seed_gives_the_same_and_another_seed_does_not() -> None:
    small = ("--mix", "batch", "--hosts", "6", "--events", "400", "--load", "150", "--points", "20")
    first, again, other = (without_speed(as_json("simulate", *small, "--seed", seed)) for seed in ("4", "4", "5"))
    assert first == again
    assert first["samples"] != other["samples"]
    assert first["refused"] > 0 and first["placed"] > 50


def test_a_file_gives_the_same_as_the_database_of_this_cloud() -> None:
    small = ("--mix", "web", "--hosts", "5", "--events", "300", "--points", "10")
    assert without_speed(as_json("simulate", *small, "--scratch", "sqlite")) == without_speed(as_json("simulate", *small))


def test_the_cloud_is_as_it_was(cloud: Cloud, load: str) -> None:
    cloud.host("one")
    cloud.host("two")
    cloud.active()
    before = everything()
    assert run("simulate", "--trace", load, *PAIR)[0] == 0
    assert run("simulate", "--mix", "ci", "--fleet-of-this-cloud", "--events", "100")[0] == 0
    assert everything() == before
    # And this process sees its own hosts again.
    assert sorted(feed.current(surely=True).names) == ["one", "two"]


def test_the_fleet_of_this_cloud_is_what_takes_instances_and_occupied_as_far_as_it_is(cloud: Cloud, load: str) -> None:
    assert run("simulate", "--trace", load, "--fleet-of-this-cloud")[0] == 2
    cloud.host("one", VCPU=4)
    cloud.host("two", VCPU=4)
    assert run("host_disable", "two")[0] == 0
    cloud.active()
    empty, occupied = (as_json("simulate", "--trace", load, "--fleet-of-this-cloud", *more) for more in ((), ("--occupied",)))
    assert (empty["fleet"]["hosts"], empty["fleet"]["left_out"]) == (1, 1)
    assert empty["fleet"]["capacity"] == occupied["fleet"]["capacity"]
    used = cloud.flavor.vcpus / empty["fleet"]["capacity"]["VCPU"]
    shares = [each["samples"][0]["utilisation"]["VCPU"] for each in (empty, occupied)]
    assert shares[1] - shares[0] == pytest.approx(used, abs=1e-3)


def test_people_see_tables(load: str) -> None:
    code, text = run("simulate", "--trace", load, *PAIR, "--pack")
    assert code == 0
    for words in ("load.csv: 8 events over 20 s", "2 (33.3% of 6)", "decisions per second", "refused because", "VCPU=1,MEMORY_MB=1024", "93.8%"):
        assert words in text


@pytest.mark.parametrize("name", ["load.png", "load.svg"])
def test_a_plot_is_drawn_and_is_the_same_for_the_same_figures(load: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert run("simulate", "--trace", load, *PAIR, "--pack", "--plot", str(path))[0] == 0
    first = path.read_bytes()
    assert first.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    if name.endswith("svg"):
        assert b"something was refused" in first and b"fragmentation" in first
    assert run("simulate", "--trace", load, *PAIR, "--pack", "--plot", str(path))[0] == 0
    assert path.read_bytes() == first
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--trace", "/nowhere/load.csv"), "/nowhere/load.csv is no file that can be read"),
        (("--trace", "{load}", "--mix", "web"), "Either --trace or --mix"),
        (("--trace", "{load}", "--format", "jsonl"), "load.csv, line 1: this is no JSON"),
        (("--trace", "{load}", "--format", "azure"), "load.csv, line 1: column vmid is missing"),
        (("--hosts", "2", "--fleet", "1xVCPU=1"), "Several fleets are given: --fleet, --hosts"),
        (("--occupied",), "--occupied goes with --fleet-of-this-cloud"),
        (("--host-shape", "VCPU=many"), "expected a resource class and a whole number"),
        (("--fleet-file", "/nowhere/fleet.json"), "/nowhere/fleet.json cannot be read"),
        (("--plot", "load.pdf"), "ends with .png or .svg"),
        (("--plot", "/nowhere/load.png"), "/nowhere/load.png cannot be written: No such file or directory"),
    ],
    ids=["no file", "both", "not json", "not azure", "fleets", "occupied", "shape", "fleet file", "format of plot", "folder"],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(load: str, arguments: tuple[str, ...], said: str) -> None:
    code, text = run("simulate", *(each.replace("{load}", load) for each in arguments))
    assert said in text and code == 2


@pytest.mark.parametrize("weight", ["speed=1", "memory", "memory=nan", "memory=101"])
def test_a_weight_is_a_number_for_a_weigher(weight: str) -> None:
    assert "argument --weight: expected NAME=VALUE with one of memory, cpu" in run("simulate", "--weight", weight)[1]


def test_without_matplotlib_a_plot_is_refused_before_anything_is_run(monkeypatch: pytest.MonkeyPatch, load: str, tmp_path: Path) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    code, text = run("simulate", "--trace", load, "--plot", str(tmp_path / "load.png"))
    assert code == 5 and "pip install matplotlib" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["interrupt", "terminate"])
def test_who_stops_it_gets_no_half_result(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    real = Replay._place

    def place(self: Replay) -> None:
        signal.raise_signal(number)  # in the middle of the work
        real(self)

    monkeypatch.setattr(Replay, "_place", place)
    before = signal.getsignal(number)
    code, text = run("simulate", "--hosts", "5", "--events", "300")
    assert (code, text) == (130, "Stopped. Nothing is kept.\n")
    assert signal.getsignal(number) is before


# The scratch database.


def test_its_tables_are_those_of_the_cloud() -> None:
    def told() -> dict[str, Any]:
        with connection.cursor() as cursor:
            return {
                name: (
                    sorted((column.name, column.type_code, column.null_ok) for column in look.get_table_description(cursor, name)),
                    sorted((each["columns"], each["unique"], each["check"], each["index"], each["foreign_key"]) for each in look.get_constraints(cursor, name).values()),
                )
                for name in names
            }

    look = connection.introspection
    with scratch.database():
        names = sorted(connection.introspection.table_names())
        look = connection.introspection
        made = told()
    look = connection.introspection
    assert len(names) > 15 and {"placement_inventory", "placement_allocation", "hosts_host", "hosts_hostdelta"} <= set(names)
    assert made == told()


@pytest.mark.parametrize("kind", scratch.KINDS)
def test_a_scratch_database_is_gone_after_an_error_too(kind: str) -> None:
    with pytest.raises(ZeroDivisionError), scratch.database(kind):
        assert len(scratch_databases()) > 0
        assert apps.get_model("hosts", "Host").objects.count() == 0
        raise ZeroDivisionError


def test_what_a_kill_has_left_behind_is_deleted_and_what_is_in_use_is_not(postgres: Any) -> None:
    prefix = f"{connection.settings_dict['NAME']}_simulate_"
    left, mine = f"{prefix}4711_0123abcd", f"{prefix}of_others"
    with connection.cursor() as cursor:
        for name in (left, mine):
            cursor.execute(f'CREATE DATABASE "{name}"')
        try:
            with scratch.database():
                first = connection.settings_dict["NAME"]
                found = scratch_databases()
                assert left not in found and mine in found and first in found
                scratch._drop_left_behind(cursor, prefix)  # another one begins while this one runs
                assert first in scratch_databases()
        finally:
            cursor.execute(f'DROP DATABASE IF EXISTS "{left}"')
            cursor.execute(f'DROP DATABASE "{mine}"')


def test_a_file_that_a_kill_has_left_behind_is_deleted_and_what_is_in_use_is_not() -> None:
    left = settings.ENV.var / "simulate-4711-0123abcd.sqlite3"
    left.write_bytes(b"")
    left.with_name(left.name + "-wal").write_bytes(b"")
    with scratch.database("sqlite"):
        (first,) = [path.name for path in settings.ENV.var.glob("simulate-*.sqlite3")]
        assert first != left.name
        with scratch.database("sqlite"):
            assert len(list(settings.ENV.var.glob("simulate-*.sqlite3"))) == 2


def test_a_role_that_may_not_make_databases_is_told_what_to_do(postgres: Any, load: str) -> None:
    name, role = connection.settings_dict["NAME"], "simulate_nobody"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role} LOGIN")
    real = connections["default"]
    try:
        poor = scratch._connection(real.settings_dict, USER=role)
        connections["default"] = poor
        code, text = run("simulate", "--trace", load, *PAIR)
        assert code == 4 and "CREATEDB" in text and "--scratch sqlite" in text
        poor.close()
    finally:
        connections["default"] = real
        with connection.cursor() as cursor:
            cursor.execute(f"DROP ROLE {role}")
    assert connection.settings_dict["NAME"] == name
