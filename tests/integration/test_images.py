"""Images: nothing is kept that is not whole, what it says it is, and safe to give to QEMU."""

import errno
import hashlib
import io
import os
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from apps.common.context import SYSTEM, Actor
from apps.images import payloads, selectors, signing, store
from apps.images.models import Image
from apps.images.services import images, sizes, uploads
from contracts.compute.v1 import DiskFormat
from tests.support.cloud import make_image, make_project, refusal
from tests.support.hostile import qcow2
from tests.support.identity import make_actor

pytestmark = pytest.mark.django_db(transaction=True)
@pytest.fixture
def actor() -> Actor:
    return make_actor(make_project())


@pytest.fixture(autouse=True)
def image_store(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def upload(actor: Actor, data: bytes, disk_format: DiskFormat = DiskFormat.QCOW2) -> Image:
    image = images.register(actor=actor, name="i", disk_format=disk_format)
    return uploads.upload(actor=actor, image_id=image.pk, stream=io.BytesIO(data))


@pytest.mark.parametrize(
    ("disk_format", "data", "virtual"),
    [
        (DiskFormat.QCOW2, qcow2(), 16 * 1024 * 1024),
        (DiskFormat.RAW, b"\0" * 1_000_000, 1_000_000),
        (DiskFormat.RAW, (b"\0" * 510 + b"\x55\xaa").ljust(1_000_000, b"\0"), 1_000_000),
        (DiskFormat.KERNEL, b"\0" * 100, 100),
        (DiskFormat.RAMDISK, b"\x1f\x8b" + b"\0" * 100, 102),
    ],
)
def test_a_good_file_becomes_active_and_is_kept_under_its_hash(
    actor: Actor, image_store: Path, disk_format: DiskFormat, data: bytes, virtual: int
) -> None:
    image = upload(actor, data, disk_format)
    assert (image.state, image.size_bytes, image.virtual_size_bytes) == ("active", len(data), virtual)
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert files(image_store) == [store.path_of(image.sha256)]
    assert store.path_of(image.sha256).read_bytes() == data


def test_after_a_refusal_a_good_file_may_be_sent(actor: Actor) -> None:
    image = images.register(actor=actor, name="i", disk_format=DiskFormat.QCOW2)
    refusal(uploads.upload, actor=actor, image_id=image.pk, stream=io.BytesIO(b"no"))
    assert uploads.upload(actor=actor, image_id=image.pk, stream=io.BytesIO(qcow2())).state == "active"


def test_too_large_is_refused_before_it_fills_the_disk(actor: Actor, image_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return b"\0" * size

    monkeypatch.setattr(sizes, "most_bytes", lambda: 5_000_000)
    stream, image = Endless(), images.register(actor=actor, name="i", disk_format="raw")
    assert refusal(uploads.upload, actor=actor, image_id=image.pk, stream=stream).code == "image.too_large"
    assert stream.given <= 7 * 1024 * 1024
    assert files(image_store) == []
    assert refusal(uploads.upload, actor=actor, image_id=image.pk, stream=stream, size_bytes=5_000_001).code == "image.too_large"


def test_a_full_disk_leaves_nothing_and_says_so(actor: Actor, image_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    error = refusal(upload, actor, qcow2())
    assert (error.kind, error.code) == ("unavailable", "image.store")
    assert "No space left" in error.message
    assert files(image_store) == []
    assert Image.objects.get().state == "queued"


def test_a_store_that_cannot_be_written_leaves_nothing_and_says_so(actor: Actor, image_store: Path) -> None:
    (image_store / "incoming").write_text("a file where a folder should be")
    error = refusal(upload, actor, qcow2())
    assert (error.kind, error.code) == ("unavailable", "image.store")
    assert Image.objects.get().state == "queued"


def test_an_upload_that_breaks_off_leaves_nothing(actor: Actor, image_store: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if data := super().read(1000):
                return data
            raise ConnectionResetError(errno.ECONNRESET, "reset by peer")

    image = images.register(actor=actor, name="i", disk_format=DiskFormat.QCOW2)
    with pytest.raises(Exception, match="reset by peer"):
        uploads.upload(actor=actor, image_id=image.pk, stream=Broken(qcow2()))
    assert files(image_store) == []
    assert Image.objects.get().state == "queued"


def test_an_image_gets_its_data_once(actor: Actor) -> None:
    image = upload(actor, qcow2())
    error = refusal(uploads.upload, actor=actor, image_id=image.pk, stream=io.BytesIO(b"other"))
    assert (error.kind, error.facts["state"]) == ("invalid_state", "active")
    Image.objects.update(state="saving")
    assert refusal(uploads.upload, actor=actor, image_id=image.pk, stream=io.BytesIO(b"")).kind == "invalid_state"


def test_an_upload_to_an_image_that_was_deleted_meanwhile_leaves_nothing(actor: Actor, image_store: Path) -> None:
    image = images.register(actor=actor, name="i", disk_format=DiskFormat.QCOW2)

    class Deleting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            Image.objects.filter(state="saving").update(state="deleted")
            return super().read(size)

    with pytest.raises(Exception, match="deleted"):
        uploads.upload(actor=actor, image_id=image.pk, stream=Deleting(qcow2()))
    assert Image.objects.get().state == "deleted"
    assert files(image_store) == []


def test_the_same_content_is_kept_once_until_the_last_image_goes(actor: Actor, image_store: Path) -> None:
    one, two = upload(actor, qcow2()), upload(actor, qcow2())
    assert len(files(image_store)) == 1
    images.delete(actor=actor, image_id=one.pk)
    assert len(files(image_store)) == 1
    images.delete(actor=actor, image_id=two.pk)
    assert files(image_store) == []
    assert refusal(images.delete, actor=actor, image_id=two.pk).kind == "not_found"


def test_a_kernel_that_an_image_boots_with_is_not_deleted(actor: Actor) -> None:
    kernel = upload(actor, b"kernel", DiskFormat.KERNEL)
    disk = images.register(actor=actor, name="d", disk_format=DiskFormat.RAW, kernel_id=kernel.pk)
    uploads.upload(actor=actor, image_id=disk.pk, stream=io.BytesIO(b"\0" * 4096))
    assert refusal(images.delete, actor=actor, image_id=kernel.pk).code == "image.in_use"
    images.delete(actor=actor, image_id=disk.pk)
    images.delete(actor=actor, image_id=kernel.pk)


@pytest.mark.parametrize("field", ["kernel_id", "ramdisk_id"])
def test_a_kernel_of_others_or_that_is_none_is_refused(actor: Actor, field: str) -> None:
    private = make_image(make_project(), disk_format="kernel" if field == "kernel_id" else "ramdisk", visibility="private")
    for image_id in (private.pk, uuid.uuid4(), make_image(disk_format="qcow2").pk):
        error = refusal(images.register, actor=actor, name="d", disk_format=DiskFormat.RAW, **{field: image_id})
        assert (error.kind, error.field) == ("not_found", field)


def test_private_images_of_others_are_not_there_and_public_ones_cannot_be_changed(actor: Actor) -> None:
    private, public = make_image(make_project(), visibility="private"), make_image(make_project())
    assert refusal(selectors.image, actor=actor, image_id=private.pk).kind == "not_found"
    assert selectors.image(actor=actor, image_id=public.pk) == public
    assert refusal(images.delete, actor=actor, image_id=public.pk).kind == "forbidden"
    images.delete(actor=SYSTEM, image_id=public.pk)


def test_an_active_image_without_content_is_refused_by_the_database(actor: Actor) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make_image(sha256="")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_image(size_bytes=None)


def test_an_import_that_is_refused_leaves_no_image(actor: Actor, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"nonsense" * 100)
    refusal(uploads.import_file, actor=actor, name="i", path=path, disk_format=DiskFormat.QCOW2)
    assert Image.objects.exclude(state="deleted").count() == 0


# Signed addresses.


def signed(expires: int) -> tuple[uuid.UUID, str, str]:
    image_id = uuid.uuid4()
    query = parse_qs(urlsplit(signing.sign(image_id, expires=expires)).query)
    return image_id, query["expires"][0], query["signature"][0]


def test_a_signed_address_is_good_until_it_expires() -> None:
    assert signing.check(*signed(int(time.time()) + 60))
    assert not signing.check(*signed(int(time.time()) - 1))


def test_a_signed_address_is_for_one_image_and_one_time() -> None:
    image_id, expires, signature = signed(int(time.time()) + 60)
    assert not signing.check(uuid.uuid4(), expires, signature)
    assert not signing.check(image_id, str(int(expires) + 1), signature)
    for bad in ("", signature[:-1], signature[:-1] + ("0" if signature[-1] != "0" else "1"), signature.upper(), "\u00e9"):
        assert not signing.check(image_id, expires, bad)


@pytest.mark.parametrize("expires", ["", "-1", "1e9", "nan", "\u0661\u0662", "9" * 5000, " 99999999999"])
def test_a_time_that_is_none_is_refused(expires: str) -> None:
    image_id, _, signature = signed(int(time.time()) + 60)
    assert not signing.check(image_id, expires, signature)


def test_what_a_host_is_told_of_an_image_can_be_fetched_and_checked(actor: Actor) -> None:
    image = upload(actor, qcow2())
    wire = payloads.image(image)
    url = urlsplit(wire.url)
    assert f"{url.scheme}://{url.netloc}" == settings.ENV.public_url
    query = parse_qs(url.query)
    assert signing.check(image.pk, query["expires"][0], query["signature"][0])
    assert 3600 <= int(query["expires"][0]) - time.time() <= 7200
    assert (wire.sha256, wire.size_bytes, wire.disk_format) == (image.sha256, image.size_bytes, DiskFormat.QCOW2)
