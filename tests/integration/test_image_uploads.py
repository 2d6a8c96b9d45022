"""Uploads in pieces: what has come stays, and nothing is active before it is whole."""

import hashlib
import io
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.common import clock
from apps.common.context import Actor
from apps.images import store
from apps.images.models import Image, Upload
from apps.images.services import contents, images, uploads
from apps.quotas.services import limits
from tests.support.cloud import make_project, refusal, unlimited
from tests.support.identity import make_actor

pytestmark = pytest.mark.django_db(transaction=True)
DATA = os.urandom(300_000)


@pytest.fixture
def actor() -> Actor:
    unlimited()
    return make_actor(make_project())


@pytest.fixture(autouse=True)
def image_store(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def image(actor: Actor) -> Image:
    return images.register(actor=actor, name="i", disk_format="raw")


def put(actor: Actor, image: Image, first: int, last: int, *, total: int | None = len(DATA), stream: Any = None) -> Image:
    piece = DATA[first:last]
    return uploads.put(
        actor=actor, image_id=image.pk, stream=stream or io.BytesIO(piece), offset=first, length=last - first, size_bytes=total
    )


def offset(actor: Actor, image: Image) -> int:
    return uploads.progress(actor=actor, image_id=image.pk).offset


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


class Breaks(io.BytesIO):
    """So many bytes, then the connection is gone."""

    def __init__(self, data: bytes, after: int) -> None:
        super().__init__(data[:after])

    def read(self, size: int | None = -1) -> bytes:
        if chunk := super().read(1000):
            return chunk
        raise ConnectionResetError("reset by peer")


def test_pieces_become_the_file(actor: Actor, image: Image, image_store: Path) -> None:
    assert offset(actor, image) == 0
    for first in range(0, len(DATA), 100_000):
        assert Image.objects.get().state != "active"
        made = put(actor, image, first, first + 100_000)
    assert (made.state, made.size_bytes) == ("active", len(DATA))
    assert (made.sha256, made.md5) == (hashlib.sha256(DATA).hexdigest(), hashlib.md5(DATA).hexdigest())
    assert files(image_store) == [store.path_of(made.sha256)] and store.path_of(made.sha256).read_bytes() == DATA
    assert not Upload.objects.exists() and offset(actor, made) == len(DATA)


def test_what_came_before_the_connection_broke_need_not_be_sent_again(actor: Actor, image: Image) -> None:
    error = refusal(put, actor, image, 0, len(DATA), stream=Breaks(DATA, 123_000))
    assert (error.kind, error.code) == ("invalid", "image.incomplete")
    assert offset(actor, image) == 123_000
    assert Image.objects.get().state == "saving"
    assert put(actor, image, 123_000, len(DATA)).sha256 == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("first", [0, 99_999, 100_001, 200_000])
def test_a_piece_that_does_not_go_on_where_it_should_is_told_where(actor: Actor, image: Image, first: int) -> None:
    put(actor, image, 0, 100_000)
    error = refusal(put, actor, image, first, len(DATA))
    assert (error.kind, error.code, error.facts) == ("conflict", "image.offset", {"offset": 100_000})
    assert put(actor, image, 100_000, len(DATA)).state == "active"


def test_the_first_piece_begins_at_the_first_byte(actor: Actor, image: Image) -> None:
    assert refusal(put, actor, image, 5, 10).facts == {"offset": 0}
    assert Image.objects.get().state == "queued"


def test_how_long_it_is_may_be_said_later_and_only_once(actor: Actor, image: Image) -> None:
    put(actor, image, 0, 1000, total=None)
    assert uploads.progress(actor=actor, image_id=image.pk) == uploads.Progress(1000, None)
    put(actor, image, 1000, 2000)
    assert refusal(put, actor, image, 2000, 3000, total=4000).code == "image.length"
    assert refusal(put, actor, image, 2000, len(DATA) + 1, total=None).code == "image.length"
    put(actor, image, 2000, 3000, total=None)
    assert put(actor, image, 3000, len(DATA), total=None).state == "active"


def test_an_empty_piece_ends_what_is_whole(actor: Actor, image: Image) -> None:
    put(actor, image, 0, len(DATA), total=None)
    assert put(actor, image, len(DATA), len(DATA)).state == "active"


def test_content_with_another_hash_than_was_said_is_refused(actor: Actor, image_store: Path) -> None:
    wrong, right = "0" * 64, hashlib.sha256(DATA).hexdigest()
    for said, state in ((wrong, "queued"), (right, "active")):
        image = images.register(actor=actor, name=state, disk_format="raw", sha256=said)
        if state == "queued":
            error = refusal(put, actor, image, 0, len(DATA))
            assert (error.code, error.field, error.facts) == ("image.sha256", "sha256", {"expected": wrong, "got": right})
            assert files(image_store) == []
        else:
            put(actor, image, 0, len(DATA))
        assert Image.objects.get(pk=image.pk).state == state
    for bad in ("x", "0" * 63, "A" * 64):
        assert refusal(images.register, actor=actor, name="i", disk_format="raw", sha256=bad).code == "image.sha256"


def test_given_up_it_waits_for_its_data_again(actor: Actor, image: Image, image_store: Path) -> None:
    put(actor, image, 0, 1000)
    uploads.cancel(actor=actor, image_id=image.pk)
    assert (Image.objects.get().state, files(image_store), offset(actor, image)) == ("queued", [], 0)
    uploads.cancel(actor=actor, image_id=image.pk)
    assert put(actor, image, 0, len(DATA)).state == "active"
    uploads.cancel(actor=actor, image_id=image.pk)
    assert Image.objects.get().state == "active"


def test_deleted_its_upload_is_gone_too(actor: Actor, image: Image, image_store: Path) -> None:
    put(actor, image, 0, 1000)
    images.delete(actor=actor, image_id=image.pk)
    assert files(image_store) == [] and not Upload.objects.exists()
    assert refusal(put, actor, image, 1000, 2000).kind == "not_found"


def test_two_do_not_write_one_upload(actor: Actor, image: Image) -> None:
    errors: list[Any] = []

    class Meanwhile(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if not errors:
                errors.append(refusal(put, actor, image, 0, 100_000))
                errors.append(refusal(uploads.upload, actor=actor, image_id=image.pk, stream=io.BytesIO(DATA)))
            return super().read(size)

    put(actor, image, 0, 100_000, stream=Meanwhile(DATA[:100_000]))
    assert [error.code for error in errors] == ["image.busy", "image.state"]
    assert put(actor, image, 100_000, len(DATA)).sha256 == hashlib.sha256(DATA).hexdigest()


def test_all_at_once_takes_the_place_of_pieces_that_nobody_goes_on_with(actor: Actor, image: Image, image_store: Path) -> None:
    put(actor, image, 0, 1000)
    made = uploads.upload(actor=actor, image_id=image.pk, stream=io.BytesIO(DATA))
    assert made.state == "active" and files(image_store) == [store.path_of(made.sha256)]


def test_bytes_that_were_never_acknowledged_are_not_part_of_it(actor: Actor, image: Image, image_store: Path) -> None:
    put(actor, image, 0, 1000)
    [scratch] = files(image_store)
    with scratch.open("ab") as file:
        file.write(b"written by a process that died a moment later")
    assert put(actor, image, 1000, len(DATA)).sha256 == hashlib.sha256(DATA).hexdigest()


def test_a_scratch_file_that_somebody_removed_is_begun_anew(actor: Actor, image: Image, image_store: Path) -> None:
    put(actor, image, 0, 1000)
    [scratch] = files(image_store)
    scratch.unlink()
    assert refusal(put, actor, image, 1000, 2000).facts == {"offset": 0}
    assert put(actor, image, 0, len(DATA)).state == "active"


def test_what_was_announced_counts_in_the_quota_before_it_comes(actor: Actor, image: Image) -> None:
    assert actor.project_id is not None
    limits.set_limits(actor=make_actor(make_project(), operator=True), owner_id=actor.project_id, limits={"image_bytes": len(DATA) - 1})
    error = refusal(put, actor, image, 0, 1000)
    assert (error.kind, error.facts["resource"], Image.objects.get().state) == ("quota_exceeded", "image_bytes", "queued")
    put(actor, image, 0, 1000, total=None)
    assert refusal(put, actor, image, 1000, len(DATA), total=None).kind == "quota_exceeded"
    assert (Image.objects.get().size_bytes, offset(actor, image)) == (1000, 1000)


# What is swept.


def test_the_sweep_leaves_alone_what_goes_on_and_what_waits(actor: Actor, image: Image, image_store: Path) -> None:
    class Sweeping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert uploads.sweep() == 0
            return super().read(size)

    put(actor, image, 0, 1000, stream=Sweeping(DATA[:1000]))
    assert uploads.sweep() == 0
    assert put(actor, image, 1000, len(DATA)).state == "active"
    assert uploads.sweep() == 0 and len(files(image_store)) == 1


def test_the_sweep_ends_what_was_forgotten(actor: Actor, image: Image, image_store: Path) -> None:
    put(actor, image, 0, 1000)
    Upload.objects.update(moved_at=clock.now() - timedelta(hours=25))
    assert uploads.sweep() == 1
    assert (Image.objects.get().state, Image.objects.get().size_bytes, files(image_store)) == ("queued", None, [])


def test_the_sweep_removes_files_of_nobody_however_young(actor: Actor, image: Image, image_store: Path) -> None:
    made = put(actor, image, 0, len(DATA))
    for name in ("incoming/0123456789abcdef0123456789abcdef", "incoming/junk", f"content/ab/{'ab' * 32}"):
        path = image_store / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert len(contents.unowned()) == 3
    assert uploads.sweep() == 3
    assert files(image_store) == [store.path_of(made.sha256)]


_HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "ab")
fcntl.flock(file, fcntl.LOCK_EX)
print("has it", flush=True)
sys.stdin.read()
"""


def test_whoever_died_is_known_by_the_lock_at_once(actor: Actor, image: Image, image_store: Path) -> None:
    """A process that writes is killed: what it had acknowledged is gone on with; without a row it is removed."""
    put(actor, image, 0, 1000)
    [scratch] = files(image_store)
    orphan = scratch.with_name("f" * 32)
    orphan.write_bytes(b"x")
    holders = [
        subprocess.Popen([sys.executable, "-c", _HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for path in (scratch, orphan)
    ]
    try:
        for holder in holders:
            assert holder.stdout is not None and holder.stdout.readline() == b"has it\n"
        assert contents.unowned() == []
        assert refusal(put, actor, image, 1000, 2000).code == "image.busy"
    finally:
        for holder in holders:
            holder.send_signal(signal.SIGKILL)
            holder.communicate()
    assert uploads.sweep() == 1 and not orphan.exists()
    assert put(actor, image, 1000, len(DATA)).state == "active"
