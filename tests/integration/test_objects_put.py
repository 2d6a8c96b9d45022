"""Objects: taken in, read, described, tagged; and what is refused leaves nothing."""

import errno
import hashlib
import io
import os
from datetime import timedelta
from unittest import mock

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.common.errors import CloudError, Conflict, Forbidden, Invalid, NotFound, QuotaExceeded, Unavailable
from apps.identity.models import Project
from apps.objects.inputs import About, Condition, Expected
from apps.objects.models import Garbage, Version
from apps.objects.selectors import objects as objects_there
from apps.objects.services import buckets, objects, sweep
from apps.quotas.services import limits
from tests.support.cloud import make_project
from tests.support.identity import make_actor
from tests.support.objects import MIB, Shelf, bytes_of


def allow(project: Project, **wanted: int) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=project.pk, limits=wanted)


def code_of(call: object, *given: object, **more: object) -> str:
    with pytest.raises(CloudError) as caught:
        call(*given, **more)  # type: ignore[operator]
    return caught.value.code


def test_an_object_is_read_as_it_was_put(shelf: Shelf) -> None:
    data = bytes_of(700_000)
    about = About(content_type="text/plain", headers={"cache-control": "no-store"}, metadata={"who": "ann"}, tags={"a": "b"})
    put = shelf.put("folder/key ü", data, about=about)
    assert put.etag == hashlib.md5(data).hexdigest()
    found = shelf.found("folder/key ü")
    assert (found.pk, found.version, found.size_bytes, found.is_latest) == (put.pk, "null", len(data), True)
    assert (found.content_type, found.headers, found.metadata, found.tags) == (
        "text/plain", {"cache-control": "no-store"}, {"who": "ann"}, {"a": "b"}
    )
    assert (found.project_id, found.user_id) == (shelf.actor.project_id, shelf.actor.user_id)
    assert shelf.read("folder/key ü") == data
    assert shelf.read("folder/key ü", first=300_000, last=300_009) == data[300_000:300_010]
    assert shelf.read("folder/key ü", first=699_999, last=10**9) == data[-1:]
    assert shelf.used_bytes == len(data)
    assert shelf.faults() == []


def test_an_empty_object_has_no_file(shelf: Shelf) -> None:
    shelf.put("empty", b"")
    assert shelf.read("empty") == b""
    assert shelf.files() == set()
    assert shelf.faults() == []


def test_replacing_lets_go_of_the_old_content_which_goes_after_its_time(shelf: Shelf, time_machine: object) -> None:
    old = shelf.put(data=b"old")
    shelf.put(data=b"newer")
    assert shelf.read() == b"newer"
    assert shelf.used_bytes == 5
    assert sweep.remove_garbage() == 0  # somebody may be reading it
    assert old.pk in shelf.files()
    time_machine.forward(settings.ENV.object_garbage_s + 1)  # type: ignore[attr-defined]
    assert sweep.remove_garbage() == 1
    assert old.pk not in shelf.files()
    assert Version.objects.count() == 1
    assert shelf.faults() == []


def test_a_put_costs_few_statements(shelf: Shelf) -> None:
    shelf.put("warm")

    def counted(data: bytes) -> int:
        with CaptureQueriesContext(connection, ) as captured:
            shelf.put("other", data)
        return len([each for each in captured if not each["sql"].startswith(("BEGIN", "COMMIT"))])

    assert counted(b"12345") <= 5
    assert counted(b"123456") <= 6


@pytest.mark.parametrize(
    ("expected", "code"),
    [
        (Expected(md5="0" * 32), "object.md5"), (Expected(sha256="0" * 64), "object.sha256"),
        (Expected(algorithm="CRC32", checksum="AAAAAA=="), "object.checksum"), (Expected(algorithm="CRC7"), "checksum.algorithm"),
    ],
)
def test_bytes_that_are_not_what_was_announced_are_refused(shelf: Shelf, expected: Expected, code: str) -> None:
    shelf.put(data=b"before")
    assert code_of(shelf.put, data=b"other", expected=expected) == code
    assert shelf.read() == b"before"
    assert shelf.faults() == []


class Trailer(io.BytesIO):
    """Tells the checksum when its bytes are through, as `aws-chunked` does."""

    def __init__(self, data: bytes, expected: Expected, checksum: str) -> None:
        super().__init__(data)
        self.expected, self.checksum = expected, checksum

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(size)
        if not chunk:
            self.expected.checksum = self.checksum
        return chunk


def test_what_a_stream_tells_at_its_end_is_still_expected(shelf: Shelf) -> None:
    def put(checksum: str) -> Version:
        expected = Expected(algorithm="CRC32")
        stream = Trailer(b"123456789", expected, checksum)
        return objects.put(actor=shelf.actor, bucket=shelf.name, key="key", stream=stream, about=About(), expected=expected)

    assert put("y/Q5Jg==").checksums == {"CRC32": "y/Q5Jg==", "type": "FULL_OBJECT"}
    assert code_of(put, "AAAAAA==") == "object.checksum"


@pytest.mark.parametrize("size", [3, 5])
def test_a_stream_that_is_shorter_or_longer_than_announced_is_refused(shelf: Shelf, size: int) -> None:
    assert code_of(shelf.put, data=b"1234", size_bytes=size) == "object.incomplete"
    assert shelf.files() | shelf.files("incoming") == set()
    assert shelf.faults() == []


def test_a_client_that_goes_away_leaves_nothing(shelf: Shelf) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            chunk = super().read(10)
            if not chunk:
                raise ConnectionResetError
            return chunk

    with pytest.raises(ConnectionResetError):
        objects.put(actor=shelf.actor, bucket=shelf.name, key="k", stream=Broken(b"x" * 100), about=About(), size_bytes=1000)
    assert shelf.files("incoming") == set()
    assert shelf.faults() == []


def test_a_disk_that_fills_up_refuses_and_keeps_what_was_there(shelf: Shelf) -> None:
    shelf.put(data=b"before")
    for call in ("write", "fsync"):
        with mock.patch.object(os, call, side_effect=OSError(errno.ENOSPC, "full")):
            assert code_of(shelf.put, data=b"after") == "object.storage_full"
    assert shelf.read() == b"before"
    assert shelf.files("incoming") == set()
    assert shelf.faults() == []


def test_what_does_not_fit_on_the_disk_is_refused_before_it_is_read(shelf: Shelf) -> None:
    class Unread:
        def read(self, size: int, /) -> bytes:
            raise AssertionError("read")

    with mock.patch("os.statvfs", return_value=mock.Mock(f_bavail=10, f_frsize=4096)), pytest.raises(Unavailable):
        objects.put(actor=shelf.actor, bucket=shelf.name, key="k", stream=Unread(), about=About(), size_bytes=2 * MIB)
    with pytest.raises(Invalid) as caught:
        objects.put(actor=shelf.actor, bucket=shelf.name, key="k", stream=Unread(), about=About(), size_bytes=5 * 1024 * MIB + 1)
    assert caught.value.code == "object.too_large"


def test_quotas_hold_before_and_after_the_bytes_came(shelf: Shelf) -> None:
    allow(shelf.project, object_bytes=2 * MIB)
    shelf.put("a", bytes_of(MIB))

    class Unread:
        def read(self, size: int, /) -> bytes:
            raise AssertionError("read")

    with pytest.raises(QuotaExceeded):
        objects.put(actor=shelf.actor, bucket=shelf.name, key="b", stream=Unread(), about=About(), size_bytes=MIB + 1)
    with pytest.raises(QuotaExceeded):
        shelf.put("b", bytes_of(MIB + 1), size_bytes=None)
    assert shelf.used_bytes == MIB
    shelf.put("a", bytes_of(2 * MIB), size_bytes=None)  # the old one does not count any more
    assert shelf.used_bytes == 2 * MIB
    shelf.delete("a")
    assert shelf.used_bytes == 0
    assert shelf.faults() == []


def test_a_conditional_put_is_refused_before_its_bytes_are_read_and_when_somebody_was_quicker(shelf: Shelf) -> None:
    first = shelf.put(data=b"1")

    class Unread:
        def read(self, size: int, /) -> bytes:
            raise AssertionError("read")

    for condition in (Condition(none_match=("*",)), Condition(match=("0" * 32,))):
        with pytest.raises(Conflict) as caught:
            objects.put(actor=shelf.actor, bucket=shelf.name, key="key", stream=Unread(), about=About(), condition=condition)
        assert caught.value.code == "object.condition"
    shelf.put(data=b"22", condition=Condition(match=(first.etag,)))
    with pytest.raises(NotFound):
        shelf.put("nothing", condition=Condition(match=("*",)))

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if not self.tell():
                shelf.put("new", b"quicker")
            return super().read(size)

    with pytest.raises(Conflict):
        objects.put(
            actor=shelf.actor, bucket=shelf.name, key="new", stream=Slow(b"slow"), about=About(), condition=Condition(none_match=("*",))
        )
    assert shelf.read("new") == b"quicker"
    assert shelf.faults() == []


def test_reads_are_conditional_as_http_has_it(shelf: Shelf) -> None:
    version = shelf.put()
    when, hour = version.created_at, timedelta(hours=1)
    for good in (
        Condition(match=(version.etag,)), Condition(match=("*",), unmodified_since=when - hour), Condition(none_match=("x",), modified_since=when + hour),
        Condition(unmodified_since=when), Condition(modified_since=when - hour),
    ):
        objects_there.check(version, good)
    assert code_of(objects_there.check, version, Condition(match=("x",))) == "object.condition"
    assert code_of(objects_there.check, version, Condition(unmodified_since=when - hour)) == "object.condition"
    assert code_of(objects_there.check, version, Condition(none_match=(version.etag,))) == "object.not_modified"
    assert code_of(objects_there.check, version, Condition(modified_since=when)) == "object.not_modified"


def test_tags_and_access_are_changed_in_place(shelf: Shelf) -> None:
    put = shelf.put()
    objects.put_tags(actor=shelf.actor, bucket=shelf.name, key="key", tags={"a": "b"})
    objects.put_acl(actor=shelf.actor, bucket=shelf.name, key="key", acl={"grants": []})
    found = shelf.found()
    assert (found.pk, found.tags, found.acl) == (put.pk, {"a": "b"}, {"grants": []})
    assert Record.objects.filter(action="objects.object.update", resource_id="shelf/key").count() == 1
    objects.put_tags(actor=shelf.actor, bucket=shelf.name, key="key", tags={})
    assert shelf.found().tags == {}
    assert code_of(objects.put_tags, actor=shelf.actor, bucket=shelf.name, key="no", tags={}) == "object.not_found"


def test_strangers_are_refused_and_learn_nothing(shelf: Shelf) -> None:
    shelf.put()
    stranger = make_actor(make_project())
    for key in ("key", "nothing"):
        with pytest.raises(Forbidden):
            objects_there.found(actor=stranger, bucket=shelf.name, key=key)
    with pytest.raises(Forbidden):
        shelf.put(actor=stranger)
    with pytest.raises(Forbidden):
        objects.delete(actor=stranger, bucket=shelf.name, key="key")
    reader = make_actor(shelf.project, role="reader")
    assert objects_there.found(actor=reader, bucket=shelf.name, key="key")
    with pytest.raises(Forbidden):
        objects.delete(actor=reader, bucket=shelf.name, key="key")
    assert shelf.read() == b"data"


def test_a_bucket_that_is_deleted_while_the_bytes_come_refuses_them(shelf: Shelf) -> None:
    class Late(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if not self.tell():
                buckets.delete(actor=shelf.actor, name=shelf.name)
            return super().read(size)

    with pytest.raises(NotFound) as caught:
        objects.put(actor=shelf.actor, bucket=shelf.name, key="k", stream=Late(b"x"), about=About())
    assert caught.value.code == "bucket.not_found"
    assert shelf.files("incoming") == set()
    assert not Version.objects.exists()


def test_the_trail_has_objects_if_the_operator_wants_it(shelf: Shelf, edge_settings: object) -> None:
    shelf.put("quiet")
    edge_settings(audit_objects=True)  # type: ignore[operator]
    shelf.put("loud")
    shelf.delete("loud")
    found = Record.objects.filter(action__startswith="objects.object.").order_by("pk").values_list("action", "resource_id")
    assert list(found) == [("objects.object.create", "shelf/loud"), ("objects.object.delete", "shelf/loud")]


def test_content_is_garbage_in_the_transaction_that_lets_go_of_it(shelf: Shelf) -> None:
    first = shelf.put(data=b"1")
    assert not Garbage.objects.exists()
    shelf.delete()
    assert list(Garbage.objects.values_list("pk", flat=True)) == [first.pk]
    assert shelf.delete() is not None  # what is not there is no error
    assert Garbage.objects.count() == 1
