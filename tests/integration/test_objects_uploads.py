"""Uploads in parts: begun, filled, completed or ended, and what they are refused for."""

import base64
import hashlib
import io
import zlib
from unittest import mock

import pytest
from django.conf import settings

from apps.common.errors import CloudError, Conflict, Forbidden, NotFound, QuotaExceeded
from apps.objects.inputs import About, Condition, NamedPart, Source
from apps.objects.models import Garbage, Part, Upload, Version
from apps.objects.selectors import objects as objects_there
from apps.objects.selectors import uploads as uploads_there
from apps.objects.services import completing, sweep, uploads
from apps.objects.states import PART_LEAST_BYTES, Versioning
from tests.integration.test_objects_put import allow
from tests.support.cloud import make_project
from tests.support.identity import make_actor
from tests.support.objects import Shelf, bytes_of


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 4 bytes are large enough: what is tested here is not the limit."""
    monkeypatch.setattr(completing, "PART_LEAST_BYTES", 4)


def code_of(call: object, *given: object, **more: object) -> str:
    with pytest.raises(CloudError) as caught:
        call(*given, **more)  # type: ignore[operator]
    return caught.value.code


def crc(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def test_parts_become_an_object_without_being_copied(shelf: Shelf) -> None:
    upload = shelf.begin("big", about=About(content_type="a/b", metadata={"x": "y"}, tags={"t": "u"}))
    data = [bytes_of(PART_LEAST_BYTES, n) for n in range(2)] + [b"end"]
    parts = [shelf.part(upload, 10 * (3 - n), data[2 - n]) for n in range(3)][::-1]
    before = shelf.files()
    assert shelf.listed() == []
    made = shelf.complete(upload, parts)
    whole = b"".join(data)
    md5s = b"".join(hashlib.md5(each).digest() for each in data)
    assert made.etag == f"{hashlib.md5(md5s).hexdigest()}-3"
    assert shelf.files() == before
    found = shelf.found("big")
    assert (found.size_bytes, found.parts_count, found.content_type, found.metadata, found.tags) == (
        len(whole), 3, "a/b", {"x": "y"}, {"t": "u"}
    )
    assert shelf.read("big") == whole
    edge = PART_LEAST_BYTES
    for first, last in ((0, 0), (edge - 1, edge), (edge, 2 * edge - 1), (2 * edge - 2, 10**12), (len(whole) - 1, len(whole))):
        assert shelf.read("big", first=first, last=last) == whole[first : last + 1]
    assert [(part.number, part.starts_at) for part in objects_there.parts(found)] == [(10, 0), (20, edge), (30, 2 * edge)]
    assert objects_there.part(found, 20) is not None
    assert objects_there.part(found, 1) is None
    assert not Upload.objects.exists()
    assert shelf.used_bytes == len(whole)
    assert shelf.faults() == []


def test_completing_again_answers_the_same(shelf: Shelf, small_parts: None) -> None:
    upload = shelf.begin()
    parts = [shelf.part(upload, 1, b"data")]
    made = shelf.complete(upload, parts)
    assert shelf.complete(upload, parts).pk == made.pk
    assert Version.objects.count() == 1
    shelf.put(data=b"other")
    assert code_of(shelf.complete, upload, parts) == "upload.not_found"


def test_a_part_that_is_sent_again_replaces_the_first(shelf: Shelf, small_parts: None) -> None:
    upload = shelf.begin()
    first = shelf.part(upload, 1, b"first")
    again = shelf.part(upload, 1, b"again!")
    assert shelf.used_bytes == 6
    assert code_of(shelf.complete, upload, [first]) == "part.missing"
    shelf.complete(upload, [again])
    assert shelf.read() == b"again!"
    assert shelf.faults() == []


def test_parts_that_are_not_named_are_let_go_of(shelf: Shelf, small_parts: None) -> None:
    upload = shelf.begin()
    parts = [shelf.part(upload, number, b"%d" % number * 4) for number in range(1, 5)]
    shelf.complete(upload, [parts[1], parts[3]])
    assert shelf.read() == b"22224444"
    assert shelf.used_bytes == 8
    assert Garbage.objects.count() == 2
    assert shelf.faults() == []


def test_what_completion_is_refused_for(shelf: Shelf) -> None:
    upload = shelf.begin()
    small, last = shelf.part(upload, 1, b"small"), shelf.part(upload, 2, b"last")
    complete = {"actor": shelf.actor, "bucket": shelf.name, "key": "key", "upload_id": upload.pk.hex}
    assert code_of(uploads.complete, **complete, parts=[]) == "upload.empty"
    assert code_of(shelf.complete, upload, [last, small]) == "part.order"
    assert code_of(shelf.complete, upload, [small, small]) == "part.order"
    assert code_of(uploads.complete, **complete, parts=[NamedPart(3, small.etag)]) == "part.missing"
    assert code_of(uploads.complete, **complete, parts=[NamedPart(1, last.etag)]) == "part.missing"
    assert code_of(shelf.complete, upload, [small, last]) == "part.too_small"
    assert code_of(shelf.complete, upload, [last], size_bytes=5) == "object.size"
    assert code_of(uploads.complete, **complete | {"upload_id": "nonsense"}, parts=[NamedPart(1, small.etag)]) == "upload.not_found"
    assert code_of(uploads.complete, **complete | {"key": "other"}, parts=[NamedPart(1, small.etag)]) == "upload.not_found"
    assert shelf.listed() == []
    shelf.complete(upload, [last])  # none of these has spoilt it
    assert shelf.read() == b"last"


def test_completion_may_be_conditional(shelf: Shelf, small_parts: None) -> None:
    upload = shelf.begin()
    parts = [shelf.part(upload, 1, b"data")]
    shelf.put(data=b"there")
    with pytest.raises(Conflict):
        shelf.complete(upload, parts, condition=Condition(none_match=("*",)))
    shelf.delete()
    shelf.complete(upload, parts, condition=Condition(none_match=("*",)))
    assert shelf.faults() == []


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_checksums_of_the_whole(shelf: Shelf, small_parts: None, kind: str) -> None:
    upload = shelf.begin(algorithm="CRC32", checksum_type=kind)
    parts = [shelf.part(upload, 1, b"12345"), shelf.part(upload, 2, b"6789")]
    assert [part.checksums["CRC32"] for part in parts] == [crc(b"12345"), crc(b"6789")]
    composite = crc(zlib.crc32(b"12345").to_bytes(4, "big") + zlib.crc32(b"6789").to_bytes(4, "big")) + "-2"
    wanted = composite if kind == "COMPOSITE" else crc(b"123456789")
    assert code_of(shelf.complete, upload, parts, checksum="AAAAAA==") == "object.checksum"
    assert code_of(shelf.complete, upload, parts, checksum_type="COMPOSITE" if kind == "FULL_OBJECT" else "FULL_OBJECT") == "checksum.type"
    made = shelf.complete(upload, parts, checksum=wanted, checksum_type=kind)
    assert made.checksums == {"CRC32": wanted, "type": kind}


def test_which_checksums_an_upload_may_have(shelf: Shelf) -> None:
    assert shelf.begin(algorithm="SHA256").checksum_type == "COMPOSITE"
    assert shelf.begin(algorithm="CRC64NVME").checksum_type == "FULL_OBJECT"
    for algorithm, kind in (("SHA1", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("CRC32", "OTHER"), ("", "COMPOSITE")):
        assert code_of(shelf.begin, algorithm=algorithm, checksum_type=kind) == "checksum.type"
    assert code_of(shelf.begin, algorithm="MD4") == "checksum.algorithm"


def test_ending_an_upload_lets_go_of_everything(shelf: Shelf) -> None:
    upload = shelf.begin()
    shelf.part(upload, 1, b"data")
    uploads.abort(actor=shelf.actor, bucket=shelf.name, key="key", upload_id=upload.pk.hex)
    assert shelf.used_bytes == 0
    assert Part.objects.count() == 0
    assert code_of(shelf.part, upload, 2, b"x") == "upload.not_found"
    assert code_of(uploads.abort, actor=shelf.actor, bucket=shelf.name, key="key", upload_id=upload.pk.hex) == "upload.not_found"
    assert shelf.faults() == []


def test_an_upload_that_ends_while_a_part_comes_in_refuses_it(shelf: Shelf) -> None:
    upload = shelf.begin()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if not self.tell():
                uploads.abort(actor=shelf.actor, bucket=shelf.name, key="key", upload_id=upload.pk.hex)
            return super().read(size)

    with pytest.raises(NotFound):
        uploads.put_part(actor=shelf.actor, bucket=shelf.name, key="key", upload_id=upload.pk.hex, number=1, stream=Slow(b"x"))
    assert shelf.files("incoming") == set()
    assert shelf.faults() == []


def test_forgotten_uploads_end_by_themselves(shelf: Shelf, time_machine: object) -> None:
    old = shelf.begin("old")
    shelf.part(old, 1, b"data")
    time_machine.forward((settings.ENV.object_upload_days - 1) * 86400)  # type: ignore[attr-defined]
    assert uploads.expire() == 0
    time_machine.forward(86400 + 10)  # type: ignore[attr-defined]
    assert sweep.sweep() >= 1
    assert not Upload.objects.exists()
    assert shelf.used_bytes == 0
    assert shelf.faults() == []


def test_parts_count_in_the_quota(shelf: Shelf) -> None:
    allow(shelf.project, object_bytes=10)
    upload = shelf.begin()
    shelf.part(upload, 1, b"12345678")
    with pytest.raises(QuotaExceeded):
        shelf.part(upload, 2, b"123")
    shelf.part(upload, 1, b"1234567890")
    assert shelf.used_bytes == 10
    assert shelf.faults() == []


def test_part_numbers_have_their_bounds(shelf: Shelf) -> None:
    upload = shelf.begin()
    for number in (0, 10_001, -1):
        assert code_of(shelf.part, upload, number, b"x") == "part.number"
    shelf.part(upload, 10_000, b"x")
    assert [part.number for part in uploads_there.parts(upload)] == [10_000]


def test_uploads_of_others_are_out_of_reach(shelf: Shelf) -> None:
    upload = shelf.begin()
    stranger = make_actor(make_project())
    with pytest.raises(Forbidden):
        uploads.put_part(
            actor=stranger, bucket=shelf.name, key="key", upload_id=upload.pk.hex, number=1, stream=io.BytesIO(b"x")
        )
    with pytest.raises(Forbidden):
        uploads.abort(actor=stranger, bucket=shelf.name, key="key", upload_id=upload.pk.hex)
    with pytest.raises(Forbidden):
        uploads.complete(actor=stranger, bucket=shelf.name, key="key", upload_id=upload.pk.hex, parts=[NamedPart(1, "x")])


def test_parts_out_of_other_objects(shelf: Shelf, small_parts: None) -> None:
    shelf.put("whole", b"0123456789")
    parted = shelf.put_in_parts("parted", (4, 4, 2))
    upload = shelf.begin()

    def part_of(number: int, **source: object) -> Part:
        return uploads.copy_part(
            actor=shelf.actor, bucket=shelf.name, key="key", upload_id=upload.pk.hex, number=number,
            source=Source(bucket=shelf.name, **source),  # type: ignore[arg-type]
        )

    parts = [part_of(1, key="whole"), part_of(2, key="whole", first=2, last=5), part_of(3, key="parted"), part_of(4, key="parted", first=3, last=8)]
    assert shelf.root.joinpath("data", shelf.found("whole").pk.hex[-3:], shelf.found("whole").pk.hex).stat().st_nlink == 2
    for wrong in ({"first": 10, "last": 10}, {"first": 5, "last": 4}, {"first": 0, "last": 10}):
        assert code_of(part_of, 5, key="whole", **wrong) == "object.range"
    shelf.complete(upload, parts)
    assert shelf.read() == b"0123456789" + b"2345" + parted + parted[3:9]
    shelf.delete("whole")
    assert shelf.read(first=0, last=9) == b"0123456789"
    assert shelf.faults() == []


def test_a_version_made_of_parts_goes_as_a_whole(shelf: Shelf, small_parts: None) -> None:
    shelf.versioning(Versioning.ENABLED)
    shelf.put_in_parts("key", (4, 4))
    shelf.put_in_parts("key", (4, 5))
    first, second = shelf.versions()[::-1]
    shelf.delete(version=second.version)
    assert shelf.found().pk == first.pk
    shelf.delete(version=first.version)
    assert Part.objects.count() == 0
    assert Garbage.objects.count() == 4
    assert shelf.used_bytes == 0
    assert shelf.faults() == []


def test_replacing_an_object_of_parts_lets_go_of_all_of_them(shelf: Shelf, small_parts: None) -> None:
    shelf.put_in_parts("key", (4, 4))
    shelf.put(data=b"one")
    assert Garbage.objects.count() == 2
    shelf.put_in_parts("key", (4, 1))
    assert shelf.used_bytes == 5
    assert shelf.faults() == []


def test_thousands_of_parts_cost_no_statement_each(shelf: Shelf, small_parts: None, django_assert_max_num_queries: object) -> None:
    upload = shelf.begin()
    parts = [shelf.part(upload, number, b"%04d" % number) for number in range(1, 301)]
    with django_assert_max_num_queries(20):  # type: ignore[operator]
        shelf.complete(upload, parts)
    assert shelf.read(first=1000, last=1007) == b"02510252"


@pytest.mark.parametrize("fails", [False, True])
def test_a_copy_of_an_object_of_parts_shares_its_blocks(shelf: Shelf, small_parts: None, fails: bool) -> None:
    data = shelf.put_in_parts("key", (4, 4, 4))
    if fails:
        shelf.put("there")
        with pytest.raises(Conflict):
            shelf.copy("key", "there", condition=Condition(none_match=("*",)))
        assert not Upload.objects.exists()
        assert shelf.used_bytes == 16
    else:
        with mock.patch("apps.objects.services.copying._AT_ONCE", 2):
            copy = shelf.copy("key", "copy")
        assert (copy.etag, copy.parts_count) == (shelf.found("key").etag, 3)
        shelf.delete("key")
        assert shelf.read("copy") == data
    assert shelf.faults() == []
