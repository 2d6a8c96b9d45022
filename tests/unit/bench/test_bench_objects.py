"""The object store's benchmark: what it asks for before it begins, its floors, and its curve."""

import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bench import buckets, objects, radosgw, smallobjects, transfers
from bench.figures import Figures
from bench.objects import check_room
from bench.signed import Access, Client
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.stack import Stack

FOUND = {size: dict.fromkeys(("put", "get", "page", "folders", "head"), 2.5) for size in (1_000, 1_000_000)}


@pytest.fixture(autouse=True)
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOUDSITE_VAR", str(tmp_path))
    return tmp_path


def free(monkeypatch: pytest.MonkeyPatch, size_bytes: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=size_bytes))


def test_a_disk_that_is_too_small_is_told_before_anything_starts(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 8 * 1024**3)
    with pytest.raises(LaunchError, match=r"8\.0 GiB free.*needs 13\.0 GiB.*CLOUDSITE_VAR"):
        check_room(mib=1024, rounds=3, sizes=[])
    assert check_room(mib=64, rounds=3, sizes=[1000]) == var


def test_many_objects_need_room_where_the_database_is(monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 6 * 1024**3)
    with pytest.raises(LaunchError, match="TMPDIR"):
        check_room(mib=0, rounds=1, sizes=[10_000_000])


@pytest.mark.parametrize(("arguments", "said"), [
    ("--sizes 1000,999", "a page of a list has 1,000 keys"), ("--sizes 1e6", "is no number"), ("--rounds 0", "at least one"),
    ("--mib -1", "is no number"), ("--plot curve.pdf", "neither with .svg nor with .png"),
])
def test_options_that_make_no_sense_are_refused(
    arguments: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench.objects", *arguments.split()])
    with pytest.raises(SystemExit) as stopped:
        objects.main()
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_what_cannot_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    free(monkeypatch, 1024**3)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest's own handlers stay
    monkeypatch.setattr("sys.argv", ["bench.objects"])
    assert objects.main() == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "1.0 GiB free" in err
    assert "Traceback" not in err


def test_the_same_figures_give_the_same_curve(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        buckets.draw(FOUND, tmp_path / "new" / name)
    one, two = ((tmp_path / "new" / name).read_bytes() for name in ("one.svg", "two.svg"))
    assert one == two
    assert b"objects in the bucket" in one


def test_the_floor_of_a_put_writes_the_whole_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(3 * 1024**2 + 17))
    transfers._dd(source, target)
    assert target.read_bytes() == source.read_bytes()


def test_the_floor_of_a_put_tells_of_a_disk_that_does_not_take_it(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 1000)
    with pytest.raises(AssertionError, match="dd ended with"):
        transfers._dd(source, tmp_path / "missing" / "target")


def test_the_floor_of_a_get_serves_the_file(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(content := os.urandom(2 * 1024**2 + 1))
    received = bytearray()
    with transfers._static_server(tmp_path) as url:
        client = Client(url)
        assert client.receive(client.prepare("GET", "/source"), received.extend) == len(content)
        client.close()
    assert received == content


def test_without_radosgw_the_reason_is_told_and_no_figure_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name.startswith("ceph") else f"/usr/bin/{name}")
    figures, stack = Figures(), cast(Stack, None)
    assert "not on the path: ceph-mon, ceph-osd" in smallobjects._beside(stack, figures, {}, 10)
    assert figures.values == {}


def test_a_radosgw_that_does_not_start_ends_no_benchmark(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that fail at once stand for it."""
    (tools := var / "bin").mkdir()
    for name in radosgw._TOOLS:
        (tools / name).write_text("#!/bin/sh\necho no quorum >&2\nexit 7\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    told = smallobjects._beside(cast(Stack, SimpleNamespace(var=var)), Figures(), {}, 10)
    assert "cannot be started here" in told
    assert "no quorum" in told


def test_requests_are_signed_without_their_content() -> None:
    request = Client("http://127.0.0.1:1/", Access("http://127.0.0.1:1", "AKIA", "secret")).prepare("PUT", "/bucket/key?x=1")
    assert request.target == "/bucket/key?x=1"
    assert request.headers["X-Amz-Content-SHA256"] == "UNSIGNED-PAYLOAD"
    assert "Credential=AKIA/" in request.headers["Authorization"]
