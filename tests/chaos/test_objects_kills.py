"""A writer is killed at every single line of its way (in the short form, at every nineteenth): what was acknowledged is there and whole,
nothing else is seen, nothing leaks.

No installation is needed for that: a child of this process does the work, counts the lines of the object store that it runs,
and ends itself by SIGKILL at the one that is meant.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from apps.common.errors import Unavailable
from apps.objects.models import Part, Upload, Version
from apps.objects.services import completing, scrub, sweep, uploads
from apps.objects.states import Versioning
from apps.objects.stores import files
from tests.support.objects import Shelf, bytes_of

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

WATCHED = str(settings.BASE_DIR / "apps" / "objects")
STEP = 1  # how many lines from one kill to the next
OLD, NEW = bytes_of(300_000, "old"), bytes_of(400_000, "new")


@pytest.fixture(autouse=True, params=[19, pytest.param(1, marks=pytest.mark.slow)], ids=["short", "long"])
def _step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "STEP", request.param)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch, edge_settings: Callable[..., None]) -> None:
    """Nothing is in doubt here: a process that is between two lines is not in the middle of a commit. Nor does anybody read."""
    edge_settings(object_garbage_s=0)
    monkeypatch.setattr(sweep, "UNSETTLED_S", 0)
    monkeypatch.setattr(scrub, "_SETTLED_S", 0)
    monkeypatch.setattr(completing, "PART_LEAST_BYTES", 4)
    monkeypatch.setattr(files, "_DIGITS", 1)  # all folders are looked at after each kill


def killed_at(line: int, work: Callable[[], object]) -> tuple[bool, bool]:
    """Do `work` in a child that ends at its `line`th line: (was it killed, did it say that it was done)."""
    connection.close()  # the child has one of its own
    seen, told = os.pipe()
    child = os.fork()
    if child == 0:
        _be_killed_at(line)
        work()
        os.write(told, b"done")
        os._exit(0)
    os.close(told)
    with os.fdopen(seen, "rb") as answer:
        done = answer.read() == b"done"
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0, "the child failed in another way"
    return os.WIFSIGNALED(status), done


def _be_killed_at(line: int) -> None:
    passed = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal passed
        if not frame.f_code.co_filename.startswith(WATCHED):
            return None
        if event == "line":
            passed += 1
            if passed == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    threading.settrace(trace)
    sys.settrace(trace)


def at_every_line(work: Callable[[], object]) -> Iterator[bool]:
    """After each kill: whether the work was acknowledged. Ends when a child comes to its end."""
    line = 1 - STEP
    while True:
        line += STEP
        killed, done = killed_at(line, work)
        yield done
        if not killed:
            assert line > 20, "hardly anything was traced"
            return


def settle(shelf: Shelf) -> None:
    """What the sweep does after a while; then nothing may be wrong."""
    sweep.sweep()
    assert shelf.files("incoming") == set()
    assert shelf.faults() == []


def test_a_put_is_whole_or_not_there(shelf: Shelf) -> None:
    shelf.put(data=OLD)
    for done in at_every_line(lambda: shelf.put(data=NEW)):
        found = shelf.read()
        assert found == NEW or (found == OLD and not done)
        settle(shelf)
        assert shelf.read() == found
        if found == NEW:
            shelf.put(data=OLD)


def test_a_put_of_a_new_version_is_whole_or_not_there(shelf: Shelf) -> None:
    shelf.versioning(Versioning.ENABLED)
    shelf.put(data=OLD)
    for done in at_every_line(lambda: shelf.put(data=NEW)):
        rows = shelf.versions()
        assert [row.is_latest for row in rows] == [True, False][: len(rows)]
        assert len(rows) == 2 or not done
        settle(shelf)
        assert [shelf.read(version=row.version) for row in rows] == [NEW, OLD][-len(rows) :]
        if len(rows) == 2:
            shelf.delete(version=rows[0].version)


def test_a_copy_is_whole_or_not_there(shelf: Shelf) -> None:
    shelf.put(data=OLD)
    for done in at_every_line(lambda: shelf.copy("key", "copy")):
        settle(shelf)
        made = "copy" in shelf.listed()
        assert made or not done
        if made:
            assert shelf.read("copy") == OLD
            shelf.delete("copy")
        assert shelf.read() == OLD


def test_a_part_is_whole_or_not_there(shelf: Shelf) -> None:
    upload = shelf.begin()
    shelf.part(upload, 1, OLD)
    for done in at_every_line(lambda: shelf.part(upload, 1, NEW)):
        settle(shelf)
        (part,) = Part.objects.all()
        assert part.size_bytes == len(NEW) or (part.size_bytes == len(OLD) and not done)
        if part.size_bytes == len(NEW):
            shelf.part(upload, 1, OLD)


def test_a_completion_is_done_or_not_begun(shelf: Shelf) -> None:
    def begun() -> tuple[Upload, list[Part]]:
        upload = shelf.begin()
        return upload, [shelf.part(upload, number, b"%d" % number * 5) for number in (1, 2, 3)]

    upload, parts = begun()
    for done in at_every_line(lambda: shelf.complete(upload, parts[1:])):  # noqa: B023
        settle(shelf)
        made = Version.objects.exists()
        assert made != Upload.objects.filter(pk=upload.pk).exists()
        assert made or not done
        if made:
            assert shelf.read() == b"2222233333"
            shelf.delete()
            upload, parts = begun()


def test_a_copy_of_parts_is_whole_or_not_there(shelf: Shelf) -> None:
    data = shelf.put_in_parts("key", (4, 4, 3))
    for done in at_every_line(lambda: shelf.copy("key", "copy")):
        settle(shelf)
        made = "copy" in shelf.listed()
        assert made or not done
        for upload in Upload.objects.all():  # which would expire
            uploads.abort(actor=shelf.actor, bucket=shelf.name, key=upload.key, upload_id=upload.pk.hex)
        if made:
            assert shelf.read("copy") == data
            shelf.delete("copy")
        settle(shelf)


def test_a_deletion_is_done_or_not_begun(shelf: Shelf) -> None:
    shelf.put(data=OLD)
    for done in at_every_line(shelf.delete):
        settle(shelf)
        there = shelf.listed() == ["key"]
        assert not (there and done)
        if there:
            assert shelf.read() == OLD
        else:
            shelf.put(data=OLD)


def test_the_sweep_itself_may_be_killed(shelf: Shelf) -> None:
    shelf.put("kept", OLD)

    def litter() -> None:
        for _ in range(2):
            shelf.put(data=NEW)
        shelf.delete()
        for path in (shelf.root / "data").rglob(shelf.found("kept").pk.hex):
            path.rename(shelf.root / "incoming" / path.name)

    litter()
    for _ in at_every_line(sweep.sweep):
        assert shelf.read("kept") == OLD
        settle(shelf)
        litter()
    sweep.sweep()
    assert len(shelf.files()) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB. Skips, with the reason, where none can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    shutil.rmtree(folder, ignore_errors=True)


def test_on_a_disk_that_fills_up_what_was_acknowledged_stays_and_nothing_else_is_seen(
    shelf: Shelf, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "OBJECTS_ROOT", small_disk)
    shelf.root = small_disk / "objects"
    kept: dict[str, bytes] = {}
    refused: list[str] = []
    for number in range(60):
        key, data = f"k{number % 25}", bytes_of(20_000 + 9_000 * (number % 20), number)
        try:
            shelf.put(key, data, size_bytes=None if number % 2 else len(data))
            kept[key] = data
        except Unavailable as error:
            refused.append(error.code)
        if number % 15 == 14:
            sweep.sweep()
    assert len(refused) > 5
    assert set(refused) == {"object.storage_full"}
    assert {key: shelf.read(key) for key in shelf.listed()} == kept
    assert shelf.files("incoming") == set()
    assert shelf.faults() == []
