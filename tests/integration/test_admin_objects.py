"""Admin pages of the object store: what is in buckets and to whom they are open, and what can be ended and deleted there."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.objects.models import Bucket, Upload, Version
from apps.objects.selectors.sizes import Size, sizes
from apps.objects.services import buckets
from apps.objects.states import Versioning
from tests.support.admin import address, signed_in, user
from tests.support.objects import Shelf


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return signed_in(user("root", is_superuser=True, is_staff=True))


def text_of(answer: Any) -> str:
    """What a page says, without its tags."""
    assert answer.status_code == 200
    return " ".join(re.sub("<[^>]*>", " ", answer.content.decode()).split())


def press(operator: Client, row: Any, button: str, **values: str) -> str:
    return text_of(operator.post(address(row, "do", button), {"confirmed": "1", **values}, follow=True))


def test_sizes_tell_what_counts_in_the_quota(shelf: Shelf) -> None:
    shelf.versioning(Versioning.ENABLED)
    shelf.put("a", b"123")
    shelf.put("a", b"12345")
    shelf.put("gone", b"1")
    shelf.delete("gone")
    shelf.part(shelf.begin("on its way"), 1, b"1234567")
    other = buckets.create(actor=shelf.actor, name="other")
    found = sizes([shelf.bucket.pk, other.pk])
    assert found == {shelf.bucket.pk: Size(1, 5, 4, 9, 1, 7), other.pk: Size()}
    assert found[shelf.bucket.pk].size_bytes + found[shelf.bucket.pk].upload_bytes == shelf.used_bytes
    assert sizes([shelf.bucket.pk], most=3)[shelf.bucket.pk].is_exact is False
    assert sizes([shelf.bucket.pk], most=4)[shelf.bucket.pk].is_exact is True


def test_a_list_of_buckets_tells_how_much_is_in_them_and_who_may_read_it(shelf: Shelf, operator: Client) -> None:
    shelf.put("a", b"x" * 2048)
    assert f"shelf {shelf.project.name} 1 2 KiB never its project" in text_of(operator.get(address(Bucket)))
    buckets.put_acl(actor=shelf.actor, name="shelf", acl={"canned": "public-read"})
    shelf.versioning(Versioning.ENABLED)
    shown = operator.get(address(Bucket)).content.decode()
    assert re.search(r'cs-good[^>]*>enabled<', shown) and re.search(r'cs-warn[^>]*>all to read<', shown)
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::shelf/*"}
    buckets.put_policy(actor=shelf.actor, name="shelf", policy={"Version": "2012-10-17", "Statement": [allowed]})
    assert re.search(r'cs-bad[^>]*>all to write<', operator.get(address(Bucket)).content.decode())


def test_the_list_costs_the_same_for_one_bucket_and_for_many(
    shelf: Shelf, operator: Client, django_assert_max_num_queries: Any, django_assert_num_queries: Any
) -> None:
    operator.get(address(Bucket))
    with django_assert_max_num_queries(40) as one:
        operator.get(address(Bucket))
    for number in range(5):
        buckets.create(actor=shelf.actor, name=f"bucket-{number}")
    with django_assert_num_queries(len(one)):
        operator.get(address(Bucket))


def test_the_page_of_a_bucket_tells_what_takes_its_room(shelf: Shelf, operator: Client) -> None:
    shelf.versioning(Versioning.ENABLED)
    shelf.put("a", b"123")
    shelf.put("a", b"12345")
    shelf.part(shelf.begin("b"), 1, b"1234567")
    shown = text_of(operator.get(address(shelf.bucket, "change")))
    assert "5 bytes in 1" in shown and "3 bytes in 1" in shown and "7 bytes in 1" in shown


def test_an_access_list_names_users(shelf: Shelf, operator: Client) -> None:
    friend = user("friend")
    grants = [{"grantee": friend.pk.hex, "permission": "READ"}, {"grantee": "all", "permission": "READ_ACP"}]
    buckets.put_acl(actor=shelf.actor, name="shelf", acl={"grants": grants})
    shown = text_of(operator.get(address(shelf.bucket, "change")))
    assert "friend READ" in shown and "everybody READ_ACP" in shown


def test_an_upload_is_ended_and_a_version_deleted(shelf: Shelf, operator: Client) -> None:
    shelf.versioning(Versioning.ENABLED)
    first, second = shelf.put("a", b"123"), shelf.put("a", b"12345")
    upload = shelf.begin("b")
    shelf.part(upload, 1, b"1234567")
    assert "has ended" in press(operator, upload, "abort")
    assert not Upload.objects.exists()
    assert "is deleted" in press(operator, second, "delete")
    assert Version.objects.get().pk == first.pk and shelf.read("a") == b"123"
    assert shelf.used_bytes == 3
    assert shelf.faults() == []


def test_pages_of_versions_tell_which_is_the_latest(shelf: Shelf, operator: Client) -> None:
    shelf.versioning(Versioning.ENABLED)
    shelf.put("a", b"123")
    shelf.delete("a")
    shown = operator.get(f"{address(Version)}?bucket={shelf.bucket.pk}").content.decode()
    assert re.search(r'cs-bad[^>]*>deleted<', shown) and re.search(r'cs-off[^>]*>older<', shown)
    other = buckets.create(actor=shelf.actor, name="other")
    assert "0 versions" in text_of(operator.get(f"{address(Version)}?bucket={other.pk}"))


def test_a_policy_that_locks_everybody_out_is_taken_away(shelf: Shelf, operator: Client) -> None:
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::shelf", "arn:aws:s3:::shelf/*"]}
    buckets.put_policy(actor=shelf.actor, name="shelf", policy={"Version": "2012-10-17", "Statement": [denied]})
    assert "policy denies" in press(operator, shelf.bucket, "versioning", versioning="enabled")
    press(operator, shelf.bucket, "drop_policy")
    assert Bucket.objects.get().policy is None
