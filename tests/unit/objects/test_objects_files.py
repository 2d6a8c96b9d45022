"""The store of files: what a writer that ends at any moment leaves, and what the sweep makes of it."""

import errno
import os
import uuid
from pathlib import Path
from unittest import mock

import pytest

from apps.common.errors import Unavailable
from apps.common.ids import new_id
from apps.objects.stores.base import Missing, Store
from apps.objects.stores.files import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "objects")


def content(store: Store, blob_id: uuid.UUID) -> bytes:
    reader = store.open(blob_id)
    try:
        return reader.read(1000)
    finally:
        reader.close()


def written(store: Store, data: bytes = b"data") -> uuid.UUID:
    writer = store.receive(new_id())
    writer.write(data)
    writer.finish()
    writer.settle()
    return writer.blob_id


def all_files(store: Files) -> list[Path]:
    return [path for path in store._data.parent.rglob("*") if path.is_file()]


def never(blob_id: uuid.UUID) -> bool:
    raise AssertionError(f"nobody should be asked about {blob_id}")


def test_what_is_settled_is_read_sized_listed_and_removed(files: Files) -> None:
    blob_id = written(files, b"hello")
    assert content(files, blob_id) == b"hello"
    assert files.size(blob_id) == 5
    assert list(files.names(idle_s=0)) == [[blob_id]]
    files.remove(blob_id)
    files.remove(blob_id)
    assert files.size(blob_id) is None
    assert all_files(files) == []
    with pytest.raises(Missing):
        files.open(blob_id)


def test_finished_content_is_read_before_it_is_settled(files: Files) -> None:
    writer = files.receive(new_id())
    writer.write(b"x")
    writer.finish()
    assert content(files, writer.blob_id) == b"x"
    assert list(files.names(idle_s=0)) == []
    writer.settle()
    assert content(files, writer.blob_id) == b"x"


def test_an_aborted_writer_leaves_nothing(files: Files) -> None:
    writer = files.receive(new_id())
    writer.write(b"x")
    writer.abort()
    assert all_files(files) == []


def test_the_sweep_leaves_living_writers_alone(files: Files) -> None:
    writer = files.receive(new_id())
    writer.write(b"x")
    assert files.sort_out(never, idle_s=0) == (0, 0)
    writer.finish()
    writer.settle()
    assert content(files, writer.blob_id) == b"x"


def test_what_a_dead_writer_left_is_settled_if_a_row_wants_it_and_removed_if_none_does(files: Files) -> None:
    kept, dropped = files.receive(new_id()), files.receive(new_id())
    for writer in (kept, dropped):
        writer.write(b"x")
        writer.finish()
        writer.leave()  # as the kernel does for a killed process
    assert files.sort_out(never, idle_s=60) == (0, 0)
    assert files.sort_out(lambda blob_id: blob_id == kept.blob_id, idle_s=0) == (1, 1)
    assert [path.name for path in all_files(files)] == [kept.blob_id.hex]
    assert content(files, kept.blob_id) == b"x"
    assert files.sort_out(never, idle_s=0) == (0, 0)


def test_a_file_that_the_sweep_took_between_its_making_and_its_lock_is_made_anew(files: Files) -> None:
    original = Files._create
    taken: list[Path] = []

    def create(self: Files, path: Path) -> int:
        descriptor = original(self, path)
        if not taken:
            taken.append(path)
            assert files.sort_out(lambda blob_id: False, idle_s=0) == (0, 1)
        return descriptor

    with mock.patch.object(Files, "_create", create):
        blob_id = written(files)
    assert taken
    assert content(files, blob_id) == b"data"


def test_a_link_is_the_same_blocks_and_lives_without_its_source(files: Files) -> None:
    source = written(files, b"same")
    first, second = files.link(source, new_id()), files.link(source, new_id())
    assert files.path(source).stat().st_nlink == 3
    assert files.sort_out(never, idle_s=0) == (0, 0)
    first.settle()
    second.abort()
    files.remove(source)
    assert content(files, first.blob_id) == b"same"
    assert len(all_files(files)) == 1
    with pytest.raises(Missing):
        files.link(source, new_id())


def test_a_link_to_what_is_not_settled_yet_works(files: Files) -> None:
    source = files.receive(new_id())
    source.write(b"x")
    source.finish()
    copy = files.link(source.blob_id, new_id())
    copy.settle()
    source.settle()
    assert content(files, copy.blob_id) == content(files, source.blob_id) == b"x"


def test_a_reader_goes_on_when_the_blob_is_removed(files: Files) -> None:
    blob_id = written(files, b"hello")
    reader = files.open(blob_id)
    files.remove(blob_id)
    assert reader.read(10) == b"hello"
    reader.close()


def test_settling_twice_is_no_error_and_settling_nothing_is_one(files: Files) -> None:
    blob_id = written(files)
    files.settle(blob_id)
    with pytest.raises(Missing):
        files.settle(new_id())


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_says_so(files: Files, call: str) -> None:
    writer = files.receive(new_id())
    full = OSError(errno.ENOSPC, "No space left on device")
    with mock.patch.object(os, call, side_effect=full), pytest.raises(Unavailable) as caught:
        writer.write(b"x")
        writer.finish()
    assert caught.value.code == "object.storage_full"
    writer.abort()
    assert all_files(files) == []


def test_other_files_in_the_folders_are_left_alone(files: Files) -> None:
    written(files)
    (files._incoming / "notes.txt").write_text("x")
    assert files.sort_out(never, idle_s=0) == (0, 0)
    assert (files._incoming / "notes.txt").exists()
