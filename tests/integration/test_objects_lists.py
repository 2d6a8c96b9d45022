"""Lists: against what a plain sort of the same keys says, page by page; and their price."""

import random
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.common import clock
from apps.common.errors import Invalid
from apps.common.ids import new_id
from apps.common.sql import insert_rows
from apps.objects.models import Version
from apps.objects.selectors import listing
from apps.objects.states import Versioning
from tests.support.objects import Shelf

KEYS = [
    "a", "a/", "a/1", "a/b/c", "a/b/d", "a0", "a-b", "b//x", "b/x", "c", "c/\U0001f600", "c/\uffff/z", "d%_\\", "d%_\\x", "é", "e\u0301",
    "\ud7ff/x", "\ue000/y", "\U0010ffff/z", "Z", "0", " ", "a/b", "a/b-c",
]


def fill(shelf: Shelf, keys: list[str], *, markers: bool = False) -> None:
    """Rows without content: lists do not look at that."""
    insert_rows([
        Version(bucket_id=shelf.bucket.pk, key=key, version="null", is_latest=True, is_marker=markers, etag="0", created_at=clock.now())
        for key in keys
    ])


def expected(keys: list[str], prefix: str, delimiter: str, after: str) -> list[str]:
    """What S3's description says, in the plainest way."""
    found = []
    for key in sorted(keys, key=lambda key: key.encode()):
        if not key.startswith(prefix):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        name = key if at < 0 else key[: at + len(delimiter)]
        if (key.encode() > after.encode() and name != after) and name not in found:
            found.append(name)
    return found


def pages(fetch: Callable[..., listing.Page]) -> Iterator[list[str]]:
    after = ""
    while True:
        page = fetch(after=after)
        yield sorted([*(row.key for row in page.entries), *page.prefixes], key=lambda key: key.encode())
        if not page.more:
            return
        assert page.next_key > after
        after = page.next_key


@pytest.mark.parametrize("delimiter", ["", "/", "b/", "-", "x"])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "c/", "d%_", "\ud7ff", "nothing", "\U0010ffff"])
def test_a_list_is_what_sorting_the_keys_gives(shelf: Shelf, prefix: str, delimiter: str) -> None:
    fill(shelf, KEYS)
    wanted = expected(KEYS, prefix, delimiter, "")
    for most in (1, 2, 3, len(KEYS), 1000):
        found = list(pages(partial(listing.objects, shelf.bucket, prefix=prefix, delimiter=delimiter, most=most)))
        assert [name for page in found for name in page] == wanted
        assert all(len(page) == most for page in found[:-1])
    found = list(pages(partial(listing.objects, shelf.bucket, prefix=prefix, delimiter=delimiter)))
    assert found == [wanted]


@pytest.mark.parametrize("after", ["a", "a/", "a/b", "a/b/c", "b", "zzz", "a/zzz", "\U0010ffff/z"])
def test_a_list_begins_behind_any_text(shelf: Shelf, after: str) -> None:
    fill(shelf, KEYS)
    for delimiter in ("", "/"):
        page = listing.objects(shelf.bucket, delimiter=delimiter, after=after)
        found = sorted([*(row.key for row in page.entries), *page.prefixes], key=lambda key: key.encode())
        assert found == expected(KEYS, "", delimiter, after)


def test_common_prefixes_and_keys_are_told_apart(shelf: Shelf) -> None:
    fill(shelf, KEYS)
    page = listing.objects(shelf.bucket, prefix="a/", delimiter="/")
    assert ([row.key for row in page.entries], page.prefixes, page.more) == (["a/", "a/1", "a/b", "a/b-c"], ["a/b/"], False)


def test_a_page_of_nothing_is_empty_and_the_last_one(shelf: Shelf) -> None:
    fill(shelf, KEYS)
    for delimiter in ("", "/"):
        assert listing.objects(shelf.bucket, delimiter=delimiter, most=0) == listing.Page([], [], more=False)
        assert listing.versions(shelf.bucket, delimiter=delimiter, most=0).entries == []


def test_deleted_objects_and_other_buckets_are_not_in_the_list(shelf: Shelf) -> None:
    fill(shelf, ["there", "x/there"])
    fill(shelf, ["gone", "y/gone"], markers=True)
    other = Shelf(shelf.root.parent, "other")
    fill(other, ["elsewhere", "z/elsewhere"])
    assert shelf.listed() == ["there", "x/there"]
    page = listing.objects(shelf.bucket, delimiter="/")
    assert ([row.key for row in page.entries], page.prefixes) == (["there"], ["x/"])


def test_versions_come_newest_first_and_page_within_a_key(shelf: Shelf) -> None:
    shelf.versioning(Versioning.ENABLED)
    for key in ("b", "a", "b", "d/1", "b", "c", "d/2"):
        shelf.put(key)
    shelf.delete("a")
    shelf.delete("d/1")
    rows = sorted(Version.objects.all(), key=lambda row: (row.key, -row.pk.int))
    wanted = [row.pk for row in rows]
    for most in (1, 2, 3, 100):
        found, key, version = [], "", ""
        while True:
            page = listing.versions(shelf.bucket, after=key, after_version=version, most=most)
            found += [row.pk for row in page.entries]
            if not page.more:
                break
            assert len(page.entries) == most
            key, version = page.next_key, page.next_version
        assert found == wanted
    for most in (1, 2, 100):
        names, key, version = [], "", ""
        while True:
            page = listing.versions(shelf.bucket, delimiter="/", after=key, after_version=version, most=most)
            names += [row.key for row in page.entries] + page.prefixes
            if not page.more:
                break
            key, version = page.next_key, page.next_version
        assert sorted(names) == ["a", "a", "b", "b", "b", "c", "d/"]
    with pytest.raises(Invalid):
        listing.versions(shelf.bucket, after="a", after_version="bad")


def test_uploads_are_listed_by_key_and_beginning(shelf: Shelf) -> None:
    uploads = [shelf.begin(key) for key in ("b", "a", "b", "c/1", "c/2")]
    wanted = [uploads[n].pk for n in (1, 0, 2, 3, 4)]
    for most in (1, 2, 10):
        found, key, upload = [], "", ""
        while True:
            page = listing.uploads(shelf.bucket, after=key, after_upload=upload, most=most)
            found += [row.pk for row in page.entries]
            if not page.more:
                break
            key, upload = page.next_key, page.next_upload
        assert found == wanted
    page = listing.uploads(shelf.bucket, delimiter="/")
    assert ([row.pk for row in page.entries], page.prefixes) == (wanted[:3], ["c/"])
    assert [row.pk for row in listing.uploads(shelf.bucket, after="b").entries] == wanted[3:]
    with pytest.raises(Invalid):
        listing.uploads(shelf.bucket, after="b", after_upload="bad")


def test_a_page_costs_two_statements_whatever_is_below_its_prefixes(shelf: Shelf) -> None:
    fill(shelf, [f"{folder:02}/{number}" for folder in range(20) for number in range(30)])
    with CaptureQueriesContext(connection) as captured:
        page = listing.objects(shelf.bucket, delimiter="/", most=10)
    assert page.prefixes == [f"{folder:02}/" for folder in range(10)]
    assert page.next_key == "09/"
    assert len(captured) <= 2
    with CaptureQueriesContext(connection) as captured:
        assert len(listing.objects(shelf.bucket, prefix="07/").entries) == 30
    assert len(captured) == 1


def test_lists_of_many_keys_in_any_order_of_writing(shelf: Shelf) -> None:
    chosen = random.Random(7)
    keys = list({"/".join(chosen.choice(("x", "y", "é", "zz")) * chosen.randint(1, 3) for _ in range(chosen.randint(1, 5))) for _ in range(400)})
    fill(shelf, keys)
    for prefix in ("", "x", "x/", "yy/é"):
        for delimiter in ("", "/", "é"):
            found = pages(partial(listing.objects, shelf.bucket, prefix=prefix, delimiter=delimiter, most=17))
            assert [name for page in found for name in page] == expected(keys, prefix, delimiter, "")


def test_ids_of_rows_are_not_what_orders_objects(shelf: Shelf) -> None:
    fill(shelf, ["z", "y", "x"])
    assert shelf.listed() == ["x", "y", "z"]
    assert new_id() > Version.objects.get(key="x").pk
