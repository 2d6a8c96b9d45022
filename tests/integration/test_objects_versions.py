"""Versioning: what puts and deletes do while it is enabled, suspended, or was never on."""

import uuid
from unittest import mock

import pytest

from apps.common.errors import CloudError, Conflict, Invalid, InvalidState, NotFound
from apps.common.ids import new_id
from apps.objects.inputs import Condition, Deleted, Doomed
from apps.objects.models import Version
from apps.objects.services import buckets, objects, receiving
from apps.objects.states import NULL, Versioning
from tests.support.objects import Shelf, bytes_of


def told(shelf: Shelf, key: str = "key") -> list[str]:
    """The versions of a key, newest first: content or `marker`, `*` for the latest, `null` where it is that."""
    found = []
    for row in shelf.versions(key):
        what = "marker" if row.is_marker else shelf.read(key, row.version).decode()
        found.append(what + (" null" if row.version == NULL else "") + ("*" if row.is_latest else ""))
    return found


def test_without_versioning_there_is_one_version(shelf: Shelf) -> None:
    shelf.put(data=b"1")
    shelf.put(data=b"2")
    assert told(shelf) == ["2 null*"]
    assert shelf.delete() == Deleted("key")
    assert told(shelf) == []
    assert shelf.faults() == []


def test_enabled_keeps_all_and_deletes_with_a_marker(shelf: Shelf) -> None:
    shelf.put(data=b"0")
    shelf.versioning(Versioning.ENABLED)
    first, second = shelf.put(data=b"1"), shelf.put(data=b"2")
    assert told(shelf) == ["2*", "1", "0 null"]
    deleted = shelf.delete()
    assert (deleted.is_marker, deleted.version) == (True, shelf.versions()[0].version)
    assert told(shelf) == ["marker*", "2", "1", "0 null"]
    with pytest.raises(NotFound) as caught:
        shelf.found()
    assert (caught.value.code, caught.value.facts["marker"]) == ("object.not_found", deleted.version)
    with pytest.raises(InvalidState):
        shelf.found(version=deleted.version)
    assert shelf.listed() == []
    assert shelf.delete(version=deleted.version) == Deleted("key", deleted.version, is_marker=True)
    assert told(shelf) == ["2*", "1", "0 null"]
    shelf.delete(version=second.version)
    assert told(shelf) == ["1*", "0 null"]
    shelf.delete(version=NULL)
    shelf.delete(version=first.version)
    assert told(shelf) == []
    assert shelf.used_bytes == 0
    assert shelf.faults() == []


def test_suspended_writes_the_null_version_and_keeps_the_others(shelf: Shelf) -> None:
    shelf.versioning(Versioning.ENABLED)
    shelf.put(data=b"1")
    shelf.versioning(Versioning.SUSPENDED)
    shelf.put(data=b"2")
    assert told(shelf) == ["2 null*", "1"]
    shelf.put(data=b"3")
    assert told(shelf) == ["3 null*", "1"]
    deleted = shelf.delete()
    assert deleted == Deleted("key", NULL, is_marker=True)
    assert told(shelf) == ["marker null*", "1"]
    shelf.versioning(Versioning.ENABLED)
    shelf.put(data=b"4")
    assert told(shelf) == ["4*", "marker null", "1"]
    shelf.versioning(Versioning.SUSPENDED)
    shelf.put(data=b"5")
    assert told(shelf) == ["5 null*", "4", "1"]
    assert shelf.used_bytes == 3
    assert shelf.faults() == []


def test_deleting_what_is_not_there_makes_a_marker_only_with_versioning(shelf: Shelf) -> None:
    assert shelf.delete("no") == Deleted("no")
    assert Version.objects.count() == 0
    shelf.versioning(Versioning.ENABLED)
    assert shelf.delete("no").is_marker
    assert shelf.delete("no", uuid.uuid4().hex) is not None
    assert told(shelf, "no") == ["marker*"]


def test_versions_are_of_their_key_and_their_bucket(shelf: Shelf) -> None:
    shelf.versioning(Versioning.ENABLED)
    version = shelf.put("one")
    shelf.put("two")
    with pytest.raises(NotFound) as caught:
        shelf.found("two", version.version)
    assert caught.value.code == "version.not_found"
    shelf.delete("two", version.version)
    assert shelf.read("one") == b"data"
    buckets.create(actor=shelf.actor, name="other")
    objects.delete(actor=shelf.actor, bucket="other", key="one", version=version.version)
    assert shelf.read("one", version.version) == b"data"
    for bad in ("x", "Null", version.version[:-1], "0" * 33):
        with pytest.raises(Invalid):
            shelf.found("one", bad)
    with pytest.raises(NotFound):
        shelf.found("one", NULL)


def test_versioning_once_on_is_only_suspended(shelf: Shelf) -> None:
    with pytest.raises(Invalid):
        shelf.versioning(Versioning.NEVER)
    shelf.versioning(Versioning.ENABLED)
    shelf.versioning(Versioning.SUSPENDED)
    shelf.versioning(Versioning.ENABLED)


@pytest.mark.parametrize("size", [4, 0])
def test_who_began_earlier_and_is_committed_later_is_the_latest(shelf: Shelf, size: int) -> None:
    """Its content has an older id than the version before it: order of versions is order of commits all the same."""
    shelf.versioning(Versioning.ENABLED)
    early = new_id()
    shelf.put(data=b"quick")
    with mock.patch.object(receiving, "new_id", return_value=early):
        shelf.put(data=b"slow"[:size])
    assert told(shelf) == [f"{'slow'[:size]}*", "quick"]
    assert shelf.used_bytes == 5 + size
    assert shelf.faults() == []
    late = shelf.versions()[0]
    assert shelf.read(version=late.version, first=1, last=2) == b"slow"[:size][1:3]
    shelf.copy("key", "copy")
    assert shelf.read("copy") == b"slow"[:size]
    shelf.delete(version=late.version)
    assert told(shelf) == ["quick*"]
    assert shelf.faults() == []


def test_deleting_may_be_conditional(shelf: Shelf) -> None:
    put = shelf.put()
    with pytest.raises(Conflict):
        objects.delete(actor=shelf.actor, bucket=shelf.name, key="key", condition=Condition(match=("0",)))
    objects.delete(actor=shelf.actor, bucket=shelf.name, key="key", condition=Condition(match=(put.etag,)))
    with pytest.raises(NotFound):
        shelf.found()


@pytest.mark.parametrize("versioning", [Versioning.NEVER, Versioning.ENABLED, Versioning.SUSPENDED])
def test_many_are_deleted_each_on_its_own(shelf: Shelf, versioning: Versioning) -> None:
    if versioning is not Versioning.NEVER:
        shelf.versioning(versioning)
    for number in range(230):
        shelf.put(f"k{number}", bytes_of(number % 3, number))
    etag = shelf.found("k7").etag
    doomed = [Doomed(f"k{number}") for number in range(230) if number not in (7, 8)]
    doomed += [Doomed("nothing"), Doomed("k7", etag="0"), Doomed("k8", etag=shelf.found("k8").etag), Doomed("k1", "bad"), Doomed("")]
    results = objects.delete_many(actor=shelf.actor, bucket=shelf.name, doomed=doomed)
    assert [getattr(result, "key", "") for result in results[:229]] == [each.key for each in doomed[:229]]
    assert [error.code for error in results if isinstance(error, CloudError)] == ["object.condition", "version.invalid", "key.invalid"]
    assert shelf.listed() == ["k7"]
    assert shelf.found("k7").etag == etag
    assert all(result.is_marker == bool(versioning) for result in results if isinstance(result, Deleted))
    assert shelf.faults() == []
    with pytest.raises(Invalid):
        objects.delete_many(actor=shelf.actor, bucket=shelf.name, doomed=[Doomed("k")] * 1001)


def test_the_same_key_twice_in_one_request_is_deleted_once(shelf: Shelf) -> None:
    shelf.put()
    objects.delete_many(actor=shelf.actor, bucket=shelf.name, doomed=[Doomed("key"), Doomed("key"), Doomed("key", NULL)])
    assert shelf.used_bytes == 0
    assert shelf.faults() == []
