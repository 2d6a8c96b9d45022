"""Copies inside the store."""

import base64
import hashlib

import pytest

from apps.common.errors import Conflict, Forbidden, Invalid, InvalidState, NotFound, Unavailable
from apps.objects.inputs import About, Condition, Source
from apps.objects.services import buckets, objects
from apps.objects.states import Versioning
from tests.support.cloud import make_project
from tests.support.identity import make_actor
from tests.support.objects import Shelf


def test_a_copy_has_content_and_description_but_not_the_access_of_its_source(shelf: Shelf) -> None:
    put = shelf.put(about=About(content_type="a/b", metadata={"x": "y"}, tags={"t": "u"}, acl={"grants": []}))
    copy = shelf.copy("key", "copy")
    assert (copy.etag, copy.content_type, copy.metadata, copy.tags, copy.acl) == (put.etag, "a/b", {"x": "y"}, {"t": "u"}, None)
    assert shelf.read("copy") == b"data"
    assert shelf.used_bytes == 8
    assert {path.stat().st_nlink for path in (shelf.root / "data").rglob("*") if path.is_file()} == {2}
    shelf.delete()
    assert shelf.read("copy") == b"data"
    assert shelf.faults() == []


def test_a_copy_may_be_described_anew_also_onto_itself(shelf: Shelf) -> None:
    shelf.put(about=About(metadata={"x": "y"}, tags={"t": "u"}))
    with pytest.raises(Invalid) as caught:
        shelf.copy("key", "key")
    assert caught.value.code == "object.copy_to_itself"
    copy = shelf.copy("key", "key", about=About(metadata={"new": "1"}))
    assert (copy.metadata, copy.tags) == ({"new": "1"}, {"t": "u"})
    assert shelf.copy("key", "key", tags={}).tags == {}
    assert shelf.read() == b"data"
    assert shelf.used_bytes == 4
    assert shelf.faults() == []


def test_an_old_version_is_brought_back_by_copying_it(shelf: Shelf) -> None:
    shelf.versioning(Versioning.ENABLED)
    old = shelf.put(data=b"old")
    shelf.put(data=b"new")
    objects.copy(actor=shelf.actor, source=Source(bucket=shelf.name, key="key", version=old.version), bucket=shelf.name, key="key")
    assert shelf.read() == b"old"
    assert len(shelf.versions()) == 3


def test_a_copy_can_get_a_checksum_that_its_source_has_not(shelf: Shelf) -> None:
    shelf.put()
    copy = shelf.copy("key", "copy", algorithm="SHA256")
    assert copy.checksums == {"SHA256": base64.b64encode(hashlib.sha256(b"data").digest()).decode(), "type": "FULL_OBJECT"}
    assert shelf.copy("copy", "again").checksums == copy.checksums


def test_empty_objects_are_copied(shelf: Shelf) -> None:
    shelf.put(data=b"")
    shelf.copy("key", "copy")
    assert shelf.read("copy") == b""
    assert shelf.faults() == []


def test_conditions_on_source_and_target(shelf: Shelf) -> None:
    put = shelf.put()

    def copy(source: Condition | None = None, target: Condition | None = None) -> None:
        objects.copy(
            actor=shelf.actor, source=Source(bucket=shelf.name, key="key", condition=source), bucket=shelf.name, key="copy", condition=target
        )

    with pytest.raises(Conflict):
        copy(Condition(match=("0",)))
    with pytest.raises(InvalidState):
        copy(Condition(none_match=(put.etag,)))
    copy(Condition(match=(put.etag,)), Condition(none_match=("*",)))
    with pytest.raises(Conflict):
        copy(target=Condition(none_match=("*",)))
    assert shelf.files("incoming") == set()
    assert shelf.faults() == []


def test_one_must_be_allowed_to_read_the_source_and_to_write_the_target(shelf: Shelf) -> None:
    shelf.put()
    stranger = make_actor(make_project())
    buckets.create(actor=stranger, name="theirs")
    with pytest.raises(Forbidden):
        objects.copy(actor=stranger, source=Source(bucket=shelf.name, key="key"), bucket="theirs", key="key")
    with pytest.raises(Forbidden):
        objects.copy(actor=shelf.actor, source=Source(bucket=shelf.name, key="key"), bucket="theirs", key="key")


def test_what_is_not_there_is_not_copied(shelf: Shelf) -> None:
    for source in (Source(bucket=shelf.name, key="no"), Source(bucket="nowhere", key="no")):
        with pytest.raises(NotFound):
            objects.copy(actor=shelf.actor, source=source, bucket=shelf.name, key="copy")
    put = shelf.put()
    (shelf.root / "data" / put.pk.hex[-3:] / put.pk.hex).unlink()
    with pytest.raises(Unavailable) as caught:
        shelf.copy("key", "copy")
    assert caught.value.code == "object.content"
