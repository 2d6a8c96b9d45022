"""Images converted to other formats: a new image, by qemu-img on a short leash, after inspection only."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from apps.common.errors import CloudError, Invalid
from apps.images import conversion, inspect
from apps.images.models import Image
from apps.images.services import convert, images, uploads
from apps.images.states import ImageFormat, ImageState
from apps.operations.models import Operation
from apps.operations.services import sweep
from apps.operations.states import OpState
from contracts import topics
from tests.support.bus import FakeBus
from tests.support.cloud import make_project, refusal
from tests.support.identity import make_actor
from tests.support.imports import Bench, Killed, fresh, notes

MIB = 1024**2
DATA = bytes(range(256)) * 4096  # 1 MiB
SIZE = 8 * MIB
LIMITS = conversion.Limits(memory_mb=1024, seconds=60, size_bytes=64 * MIB)

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img (Debian: qemu-utils)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One disk in every format."""
    folder = tmp_path_factory.mktemp("disks")
    with (folder / "disk.raw").open("wb") as file:
        file.write(b"\0" * MIB + DATA)
        file.truncate(SIZE)
    for disk_format in ("qcow2", "vmdk", "vdi", "vhdx"):
        command = ["qemu-img", "convert", "-f", "raw", "-O", disk_format, str(folder / "disk.raw"), str(folder / f"disk.{disk_format}")]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def bench(transactional_db: None, bus: FakeBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def uploaded(bench: Bench, path: Path, disk_format: str, **more: Any) -> Image:
    return uploads.import_file(actor=bench.actor, name="disk", path=path, disk_format=disk_format, **more)


@needs_qemu_img
@pytest.mark.parametrize("target", conversion.FORMATS)
@pytest.mark.parametrize("source", conversion.FORMATS)
def test_every_format_is_converted_and_keeps_what_is_in_it(folder: Path, tmp_path: Path, source: str, target: str) -> None:
    seen: list[float] = []
    conversion.convert(folder / f"disk.{source}", source, tmp_path / "out", target, limits=LIMITS, tick=seen.append)
    assert seen[-1] == 100.0
    back = tmp_path / "back"
    conversion.convert(tmp_path / "out", target, back, "raw", limits=LIMITS, tick=lambda _: None)
    assert back.read_bytes() == (folder / "disk.raw").read_bytes()
    assert inspect.inspect(tmp_path / "out", ImageFormat(target)).virtual_size_bytes == SIZE


@needs_qemu_img
def test_the_declared_format_is_taken_and_nothing_is_guessed(folder: Path, tmp_path: Path) -> None:
    """A raw disk whose guest wrote a qcow2 header into it, with a backing file that is none of its business."""
    evil = tmp_path / "evil"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", str(evil), "8M"], check=True)
    content = evil.read_bytes()
    conversion.convert(evil, "raw", tmp_path / "out", "raw", limits=LIMITS, tick=lambda _: None)
    assert (tmp_path / "out").read_bytes().rstrip(b"\0") == content.rstrip(b"\0")
    with pytest.raises(Invalid) as error:
        conversion.convert(folder / "disk.raw", "qcow2", tmp_path / "no", "raw", limits=LIMITS, tick=lambda _: None)
    assert error.value.code == "image.conversion"
    assert str(folder) not in error.value.message


@needs_qemu_img
def test_whoever_watches_ends_it_and_nothing_goes_on(folder: Path, tmp_path: Path) -> None:
    pids: list[int] = []
    started = subprocess.Popen

    def popen(*args: Any, **options: Any) -> Any:
        process = started(*args, **options)
        pids.append(process.pid)
        return process

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(subprocess, "Popen", popen)
        conversion.convert(folder / "disk.raw", "raw", tmp_path / "out", "qcow2", limits=LIMITS, tick=stop)
    assert not Path(f"/proc/{pids[0]}").exists()


@needs_qemu_img
@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (conversion.Limits(1024, 60, MIB), "image.too_large"), (conversion.Limits(16, 60, 64 * MIB), "image.conversion"),
        (conversion.Limits(1024, 0.0, 64 * MIB), "image.conversion"),
    ],
)
def test_limits_hold(folder: Path, tmp_path: Path, limits: conversion.Limits, code: str) -> None:
    with pytest.raises(CloudError) as error:
        conversion.convert(folder / "disk.qcow2", "qcow2", tmp_path / "out", "raw", limits=limits, tick=lambda _: None)
    assert error.value.code == code


@needs_qemu_img
def test_it_runs_with_limits_and_without_our_secrets(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started is the command as it is, with something else at its end that says how it lives."""
    monkeypatch.setenv("CLOUDSITE_DATABASE_URL", "postgresql://secret")
    command = conversion._command(folder / "disk.raw", "raw", tmp_path / "out", "raw", LIMITS)
    prefix = command[: command.index(conversion.PROGRAM)]
    monkeypatch.setattr(conversion, "_command", lambda *_: [*prefix, "sh", "-c", "cat /proc/self/limits >out; env >>out; nice >>out"])
    conversion.convert(folder / "disk.raw", "raw", tmp_path / "out", "raw", limits=LIMITS, tick=lambda _: None)
    told = (tmp_path / "out").read_text()
    limits = {line[:26].strip(): line[26:].split()[0] for line in told.splitlines() if line.startswith("Max ")}
    assert limits["Max address space"] == str(1024 * MIB)
    assert limits["Max cpu time"] == "60"
    assert limits["Max file size"] == str(64 * MIB)
    assert limits["Max core file size"] == "0"
    assert "secret" not in told
    assert told.splitlines()[-1] == str(min(os.nice(0) + 10, 19))


def test_without_qemu_img_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(CloudError) as error:
        conversion.convert(tmp_path / "a", "raw", tmp_path / "b", "qcow2", limits=LIMITS, tick=lambda _: None)
    assert error.value.code == "image.no_qemu_img"
    assert "qemu-utils" in error.value.message


@needs_qemu_img
@pytest.mark.parametrize("source", ["vmdk", "vdi", "vhdx", "raw"])
def test_an_image_becomes_a_new_one_in_another_format(bench: Bench, folder: Path, bus: FakeBus, source: str) -> None:
    before = uploaded(bench, folder / f"disk.{source}", source, min_disk_gb=3, properties={"hw_disk_bus": "scsi"}, tags=["base"])
    made, operation = convert.start(actor=bench.actor, image_id=before.pk, disk_format="qcow2", name="converted")
    assert made.state == ImageState.IMPORTING
    assert len(bus.take_queue(topics.IMAGES)) == 1
    bench.work()
    assert fresh(operation).state == OpState.SUCCEEDED, fresh(operation).error
    after = fresh(made)
    assert (after.name, after.state, after.disk_format, after.virtual_size_bytes) == ("converted", "active", "qcow2", SIZE)
    assert (after.min_disk_gb, after.properties, images.tags_of(after)) == (3, {"hw_disk_bus": "scsi"}, ["base"])
    assert fresh(before).state == ImageState.ACTIVE
    assert bench.used() == (2, before.size_bytes + after.size_bytes)
    assert ("worker", "progress", "100 %") in notes(operation.pk)
    assert bench.rooms() == []


@needs_qemu_img
def test_what_was_converted_to_raw_is_the_disk_itself(bench: Bench, folder: Path) -> None:
    before = uploaded(bench, folder / "disk.qcow2", "qcow2")
    made, operation = convert.start(actor=bench.actor, image_id=before.pk, disk_format="raw")
    assert (made.name, made.size_bytes) == ("disk (raw)", SIZE), "what it will take is counted at once"
    bench.work()
    assert (folder / "disk.raw").read_bytes() in bench.contents()
    assert fresh(operation).state == OpState.SUCCEEDED


@needs_qemu_img
def test_a_conversion_that_fails_leaves_no_image(bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = uploaded(bench, folder / "disk.vmdk", "vmdk")
    made, operation = convert.start(actor=bench.actor, image_id=before.pk, disk_format="raw")
    images.update(actor=bench.actor, image_id=made.pk, protected=True)
    bench.set(image_convert_memory_mb=16)
    bench.work()
    assert fresh(operation).error["code"] == "image.conversion"
    assert fresh(made).state == ImageState.DELETED
    assert bench.used() == (1, before.size_bytes)
    assert bench.rooms() == []


@needs_qemu_img
def test_the_source_may_be_deleted_meanwhile(bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = uploaded(bench, folder / "disk.vdi", "vdi")
    made, _ = convert.start(actor=bench.actor, image_id=before.pk, disk_format="qcow2")
    inspected = inspect.inspect

    def deleting(*args: Any, **options: Any) -> Any:
        images.delete(actor=bench.actor, image_id=before.pk)
        monkeypatch.setattr(inspect, "inspect", inspected)
        return inspected(*args, **options)

    monkeypatch.setattr(inspect, "inspect", deleting)
    bench.work()
    assert fresh(made).state == ImageState.ACTIVE
    assert len(bench.contents()) == 1


def test_nothing_is_converted_that_inspection_refuses(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(DATA)
    before = uploaded(bench, disk, "raw")
    made, operation = convert.start(actor=bench.actor, image_id=before.pk, disk_format="qcow2")

    def refuse(*_: Any, **__: Any) -> None:
        raise Invalid("image.unsafe", "no")

    monkeypatch.setattr(inspect, "inspect", refuse)
    monkeypatch.setattr(conversion, "convert", lambda *_, **__: pytest.fail("it was opened"))
    bench.work()
    assert fresh(operation).error["code"] == "image.unsafe"
    assert fresh(made).state == ImageState.DELETED


def test_only_what_can_be_converted_is_begun(bench: Bench, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(DATA)
    raw, kernel = uploaded(bench, disk, "raw"), uploaded(bench, disk, "kernel")
    queued = images.register(actor=bench.actor, name="new", disk_format="raw")

    def code(image: Image, disk_format: str = "qcow2", actor: Any = bench.actor) -> str:
        return refusal(convert.start, actor=actor, image_id=image.pk, disk_format=disk_format).code

    assert code(raw, "raw") == "image.conversion_format"
    assert code(raw, "ami") == "image.conversion_format"
    assert code(kernel) == "image.conversion_format"
    assert code(queued) == "image.state"
    assert code(raw, actor=make_actor(make_project())) == "image.not_found"
    assert code(raw, actor=make_actor(bench.project, role="reader")) == "policy.forbidden"
    assert not Operation.objects.exists()
    assert bench.used()[0] == 3


@needs_qemu_img
def test_a_worker_killed_in_a_conversion_leaves_only_work_to_do(
    bench: Bench, folder: Path, time_machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = uploaded(bench, folder / "disk.vhdx", "vhdx")
    made, operation = convert.start(actor=bench.actor, image_id=before.pk, disk_format="qcow2")

    def killed(_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(convert, "_hash", lambda *_: killed(None))
        bench.die()
    assert len(bench.rooms()) == 1
    time_machine.forward(121)
    sweep.sweep()
    assert bench.rooms() == []
    bench.work()
    assert fresh(made).state == ImageState.ACTIVE
    assert fresh(operation).attempt == 2
