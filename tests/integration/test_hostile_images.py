"""A folder of hostile images is refused, each with its own code, and QEMU's tools have opened none of them."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from apps.common.context import Actor
from apps.images import inspect, store
from apps.images.formats import qcow2
from apps.images.models import Image, Upload
from apps.images.services import images, sizes, uploads
from apps.images.states import ImageFormat
from tests.support import hostile
from tests.support.cloud import make_project, refusal, unlimited
from tests.support.hostile import Hostile
from tests.support.identity import make_actor

pytestmark = pytest.mark.django_db(transaction=True)
EVERY = hostile.every()
Record = Callable[[str, object], None]


@pytest.fixture
def actor() -> Actor:
    unlimited()
    return make_actor(make_project())


@pytest.fixture(autouse=True)
def image_store(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path / "store"
    return tmp_path / "store"


@pytest.fixture(autouse=True)
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What was asked of `qemu-img` and its like, whoever asked: they are the first ones in PATH."""
    tools, log = tmp_path / "tools", tmp_path / "calls"
    tools.mkdir()
    for name in ("qemu-img", "qemu-io", "qemu-nbd", "qemu-storage-daemon", "qemu-system-x86_64", "guestfish"):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\nexit 1\n')
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return lambda: log.read_text().splitlines() if log.exists() else []


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def refused(actor: Actor, path: Path, each: Hostile) -> Any:
    image = images.register(actor=actor, name=each.name, disk_format=each.declared)
    with path.open("rb") as file:
        return refusal(uploads.upload, actor=actor, image_id=image.pk, stream=file, size_bytes=len(each.data))


def test_every_hostile_image_is_refused_with_its_own_code_and_never_opened_by_qemu(
    actor: Actor, image_store: Path, tmp_path: Path, calls: Callable[[], list[str]], record_property: Record
) -> None:
    found = {each.name: (refused(actor, path, each), each) for path, each in hostile.build(tmp_path / "hostile")}
    record_property("figures of hostile images", {"images": len(found), "codes": len({each.code for each in EVERY})})
    assert {name: error.code for name, (error, _) in found.items()} == {name: each.code for name, (_, each) in found.items()}
    assert {error.kind for error, _ in found.values()} == {"invalid"}
    assert {error.field for error, _ in found.values()} <= {"file", "disk_format"}
    assert calls() == []
    assert files(image_store) == []
    assert set(Image.objects.values_list("state", "size_bytes", "sha256")) == {("queued", None, "")}
    assert not Upload.objects.exists()
    # Whoever had called one would be in the list.
    subprocess.run(["qemu-img", "info", "x"], check=False)
    assert calls() == ["qemu-img info x"]


@pytest.mark.parametrize("each", [each for each in EVERY if each.data], ids=lambda each: each.name)
def test_a_hostile_image_in_pieces_is_refused_just_so(actor: Actor, image_store: Path, tmp_path: Path, each: Hostile, calls: Any) -> None:
    image = images.register(actor=actor, name="i", disk_format=each.declared)
    middle, path = len(each.data) // 2, tmp_path / "whole"
    path.write_bytes(each.data)
    whole: Any = {"actor": actor, "image_id": image.pk, "size_bytes": len(each.data)}
    with path.open("rb") as file:
        uploads.put(**whole, stream=cast(BinaryIO, _Part(file, middle)), offset=0, length=middle)
        assert Image.objects.get().state == "saving"
        error = refusal(uploads.put, **whole, stream=file, offset=middle, length=len(each.data) - middle)
    assert error.code == each.code
    assert (Image.objects.get().state, files(image_store), calls()) == ("queued", [], [])


class _Part:
    def __init__(self, file: Any, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int) -> bytes:
        chunk: bytes = self._file.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk


@pytest.mark.parametrize(("name", "disk_format", "data", "virtual"), hostile.sound(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_sound_one_is_taken(actor: Actor, tmp_path: Path, name: str, disk_format: str, data: bytes, virtual: int) -> None:
    path = tmp_path / "sound"
    path.write_bytes(data)
    image = uploads.import_file(actor=actor, name=name, path=path, disk_format=disk_format)
    assert (image.state, image.virtual_size_bytes) == ("active", virtual)
    assert store.path_of(image.sha256).read_bytes() == data


MADE = [
    ("qcow2", ()), ("qcow2", ("-c",)), ("qcow2", ("-o", "compat=0.10")), ("qcow2", ("-o", "cluster_size=2M")), ("qcow2", ("-o", "cluster_size=512")),
    ("vmdk", ()), ("vmdk", ("-o", "subformat=streamOptimized")), ("vdi", ()), ("vdi", ("-o", "static=on")), ("vhdx", ()),
    ("vhdx", ("-o", "subformat=fixed")),
]


@pytest.mark.parametrize(("disk_format", "how"), MADE, ids=[" ".join((name, *how)) for name, how in MADE])
def test_what_qemu_makes_of_a_disk_is_taken(tmp_path: Path, disk_format: str, how: tuple[str, ...]) -> None:
    tool = shutil.which("qemu-img", path="/usr/local/bin:/usr/bin:/bin")
    if tool is None:
        pytest.skip("there is no qemu-img")
    source, target = tmp_path / "disk", tmp_path / "made"
    source.write_bytes(os.urandom(1024 * 1024) + b"\0" * 7 * 1024 * 1024)
    os.truncate(source, 64 * 1024 * 1024)
    subprocess.run([tool, "convert", "-f", "raw", "-O", disk_format, *how, source, target], check=True)
    assert inspect.inspect(target, ImageFormat(disk_format)).virtual_size_bytes == 64 * 1024 * 1024


def test_a_disk_larger_than_all_disks_of_the_project_may_be_is_refused(actor: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert actor.project_id is not None
    path = tmp_path / "disk"
    path.write_bytes(hostile.qcow2(virtual_size=1024**3, l1=(0, 0)))
    monkeypatch.setattr(sizes, "most_virtual_bytes", lambda project_id: 1024**3 - 1 if project_id == actor.project_id else 0)
    error = refusal(uploads.import_file, actor=actor, name="i", path=path, disk_format="qcow2")
    assert (error.code, error.facts) == ("image.virtual_size", {"size": 1024**3, "limit": 1024**3 - 1})
    monkeypatch.setattr(sizes, "most_virtual_bytes", lambda project_id: 1024**3)
    assert uploads.import_file(actor=actor, name="i", path=path, disk_format="qcow2").state == "active"


def test_a_parser_that_is_confused_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "disk"
    path.write_bytes(hostile.qcow2())

    def confused(file: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(qcow2, "look", confused)
    assert refusal(inspect.inspect, path, ImageFormat.QCOW2).code == "image.not_inspectable"
