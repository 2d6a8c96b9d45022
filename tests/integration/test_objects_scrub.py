"""The scrub finds what is wrong both ways, tells it, and mends what can be mended; the sweep takes what is left over."""

import time
import uuid
from pathlib import Path

import pytest

from apps.common.context import SYSTEM
from apps.common.errors import Forbidden, InvalidState
from apps.common.ids import new_id
from apps.objects.models import Version
from apps.objects.services import completing, scrub, sweep
from apps.objects.services.scrub import DAMAGED, MISSING, UNOWNED
from apps.objects.states import Versioning
from apps.objects.stores import store
from tests.support.objects import Shelf


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written a moment ago counts, and parts may be small."""
    monkeypatch.setattr(scrub, "_SETTLED_S", 0)
    monkeypatch.setattr(sweep, "UNSETTLED_S", 0)
    monkeypatch.setattr(completing, "PART_LEAST_BYTES", 4)


def path_of(shelf: Shelf, blob_id: uuid.UUID) -> Path:
    return shelf.root / "data" / blob_id.hex[-3:] / blob_id.hex


def found(**more: object) -> list[tuple[str, str]]:
    report = scrub.scrub(actor=SYSTEM, most_mb_s=0, **more)  # type: ignore[arg-type]
    return [(each.code, each.where) for each in report.findings]


def test_a_sound_store_has_no_findings(shelf: Shelf) -> None:
    shelf.put(data=b"x" * 1000)
    shelf.put("empty", b"")
    shelf.put_in_parts("parts", (4, 2))
    shelf.part(shelf.begin("upload"), 1, b"data")
    shelf.delete()
    shelf.put(data=b"y")
    report = scrub.scrub(actor=SYSTEM, most_mb_s=0)
    assert (report.findings, report.checked, report.read_bytes) == ([], 4, 1 + 6 + 4)


def test_changed_cut_and_missing_content_is_found(shelf: Shelf) -> None:
    changed, cut, gone, part = shelf.put("changed"), shelf.put("cut"), shelf.put("gone"), shelf.put_in_parts("parts", (4, 2))
    assert part
    path_of(shelf, changed.pk).chmod(0o600)
    path_of(shelf, changed.pk).write_bytes(b"dat4")
    path_of(shelf, cut.pk).write_bytes(b"da")
    path_of(shelf, gone.pk).unlink()
    second = Version.objects.get(key="parts").parts.get(number=2)
    path_of(shelf, second.pk).unlink()
    assert found() == [
        (DAMAGED, "shelf/changed (null)"), (DAMAGED, "shelf/cut (null)"), (MISSING, "shelf/gone (null)"), (MISSING, "shelf/parts part 2")
    ]
    assert found(read=False) == [(DAMAGED, "shelf/cut (null)"), (MISSING, "shelf/gone (null)"), (MISSING, "shelf/parts part 2")]


def test_fixing_deletes_what_is_lost_and_leaves_what_is_damaged_to_people(shelf: Shelf) -> None:
    shelf.versioning(Versioning.ENABLED)
    first, second, damaged = shelf.put(data=b"first"), shelf.put(data=b"second"), shelf.put("damaged")
    shelf.put_in_parts("parts", (4, 2))
    path_of(shelf, second.pk).unlink()
    path_of(shelf, damaged.pk).write_bytes(b"dat4")
    part = Version.objects.get(key="parts").parts.get(number=1)
    path_of(shelf, part.pk).unlink()
    report = scrub.scrub(actor=SYSTEM, fix=True, most_mb_s=0)
    assert (len(report.findings), report.fixed) == (3, 2)
    assert shelf.found().pk == first.pk
    assert not Version.objects.filter(key="parts").exists()
    assert found() == [(DAMAGED, "shelf/damaged (null)")] or [code for code, _ in found()] == [DAMAGED]
    assert shelf.used_bytes == len(b"first") + len(b"data")


def test_content_that_belongs_to_nobody_is_found_and_removed(shelf: Shelf) -> None:
    shelf.put()
    writer = store().receive(new_id())
    writer.write(b"orphan")
    writer.finish()
    writer.settle()
    assert found() == [(UNOWNED, "")]
    assert scrub.scrub(actor=SYSTEM, fix=True, most_mb_s=0).fixed == 1
    assert found() == []
    assert len(shelf.files()) == 1


def test_a_folder_that_is_not_mounted_deletes_no_rows(shelf: Shelf) -> None:
    for number in range(20):
        shelf.put(f"k{number}")
    (shelf.root / "data").rename(shelf.root / "elsewhere")
    with pytest.raises(InvalidState) as caught:
        scrub.scrub(actor=SYSTEM, fix=True, most_mb_s=0)
    assert caught.value.code == "object.too_many_missing"
    (shelf.root / "elsewhere").rename(shelf.root / "data")
    assert shelf.faults() == []


def test_the_sweep_settles_what_has_a_row_and_removes_what_has_none(shelf: Shelf) -> None:
    put = shelf.put()
    (shelf.root / "incoming").mkdir(exist_ok=True)
    path_of(shelf, put.pk).rename(shelf.root / "incoming" / put.pk.hex)  # as if it had been killed before it settled
    dead = store().receive(new_id())
    dead.write(b"x")
    dead.leave()
    assert shelf.read() == b"data"
    assert found() == []  # nothing is missing, and what lies in `incoming` is not judged
    sweep.sweep()
    assert (shelf.files("incoming"), shelf.files()) == (set(), {put.pk})
    assert shelf.read() == b"data"


def test_scrubbing_keeps_its_pace(shelf: Shelf) -> None:
    began = time.monotonic()
    pace = scrub.Pace(1)
    for _ in range(4):
        pace.wait(64 * 1024)
    assert time.monotonic() - began >= 0.2


def test_scrubbing_is_for_operators(shelf: Shelf) -> None:
    with pytest.raises(Forbidden):
        scrub.scrub(actor=shelf.actor)
