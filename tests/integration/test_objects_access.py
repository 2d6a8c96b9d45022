"""Who may do what with a bucket of another project, and how denials reach those who work in it."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from apps.common.context import Actor
from apps.common.errors import CloudError, Forbidden, Invalid, NotFound
from apps.objects.inputs import About, Doomed
from apps.objects.models import Bucket
from apps.objects.selectors import buckets as buckets_there
from apps.objects.selectors import gate, listing
from apps.objects.selectors import objects as objects_there
from apps.objects.services import buckets, objects
from apps.objects.states import Versioning
from tests.support.cloud import make_project
from tests.support.identity import make_actor
from tests.support.objects import Shelf

ALL = "arn:aws:s3:::shelf/*"


@pytest.fixture
def bob(shelf: Shelf) -> Actor:
    """A member of another project."""
    return make_actor(make_project(), user=None)


def put_policy(shelf: Shelf, *statements: dict[str, Any], actor: Actor | None = None) -> None:
    usual = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": ALL}
    said = {"Version": "2012-10-17", "Statement": [{**usual, **each} for each in statements]}
    buckets.put_policy(actor=actor or shelf.actor, name=shelf.name, policy=said)


def refused(call: Callable[..., Any], *arguments: Any, **more: Any) -> CloudError:
    """What the call is refused with."""
    with pytest.raises(Forbidden) as caught:
        call(*arguments, **more)
    return caught.value


def put(shelf: Shelf, actor: Actor, key: str = "key", **more: Any) -> Any:
    return shelf.put(key, actor=actor, **more)


def found(shelf: Shelf, actor: Actor, key: str = "key", **facts: str) -> Any:
    context = {name.replace("_", ":", 1): value for name, value in facts.items()}
    return objects_there.found(actor=actor, bucket=shelf.name, key=key, context=context)[1]


def test_a_policy_lets_another_project_in(shelf: Shelf, bob: Actor) -> None:
    shelf.put()
    assert refused(found, shelf, bob).code == "object.forbidden"
    assert bob.project_id is not None
    put_policy(shelf, {"Principal": {"AWS": f"arn:aws:iam::{bob.project_id.hex}:root"}, "Action": ["s3:GetObject", "s3:PutObject"]})
    assert found(shelf, bob).etag == found(shelf, shelf.actor).etag
    put(shelf, bob, "theirs")
    refused(found, shelf, make_actor(make_project()))
    refused(objects.delete, actor=bob, bucket=shelf.name, key="key")
    reader = make_actor(None, role="reader")
    reader = Actor(user_id=reader.user_id, user_name="r", project_id=bob.project_id, grants=reader.grants)
    assert found(shelf, reader).key == "key"
    refused(put, shelf, reader, "more")


def test_what_everybody_may_read_is_read_without_a_name(shelf: Shelf) -> None:
    nobody = Actor(user_id=None, user_name="", project_id=None)
    shelf.put()
    refused(found, shelf, nobody)
    put_policy(shelf, {"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}})
    assert found(shelf, nobody, aws_sourceip="192.0.2.1").key == "key"
    refused(found, shelf, nobody, aws_sourceip="198.51.100.1")
    assert refused(found, shelf, nobody, "missing", aws_sourceip="192.0.2.1").code == "object.forbidden", "what is there is not told"


def test_tags_of_the_object_and_of_the_request_count(shelf: Shelf, bob: Actor) -> None:
    shelf.put("red", about=About(tags={"colour": "red"}))
    shelf.put("blue", about=About(tags={"colour": "blue"}))
    put_policy(shelf, {"Condition": {"StringEquals": {"s3:ExistingObjectTag/colour": "red"}}})
    assert found(shelf, bob, "red").key == "red"
    refused(found, shelf, bob, "blue")
    put_policy(shelf, {
        "Action": ["s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAcl"],
        "Condition": {"StringEquals": {"s3:RequestObjectTag/colour": "red", "s3:x-amz-acl": "bucket-owner-full-control"}},
    })
    good = About(tags={"colour": "red"}, acl={"canned": "bucket-owner-full-control"})
    assert put(shelf, bob, "more", about=good).user_id == bob.user_id
    for wrong in (About(tags={"colour": "red"}), About(tags={"colour": "blue"}, acl=good.acl), About(acl=good.acl)):
        refused(put, shelf, bob, "more", about=wrong)


def test_parts_are_what_their_upload_was_begun_as(shelf: Shelf, bob: Actor) -> None:
    red = {"Condition": {"StringEquals": {"s3:RequestObjectTag/colour": "red"}}}
    put_policy(shelf, {"Action": ["s3:PutObject", "s3:PutObjectTagging"], **red})
    refused(shelf.begin, "key", actor=bob, about=About(tags={"colour": "blue"}))
    upload = shelf.begin("key", actor=bob, about=About(tags={"colour": "red"}))
    assert shelf.complete(upload, [shelf.part(upload, 1, b"x", actor=bob)], actor=bob).tags == {"colour": "red"}
    blue = shelf.begin("key", about=About(tags={"colour": "blue"}))
    refused(shelf.part, blue, 1, b"x", actor=bob)


def test_a_version_is_denied_however_it_is_named(shelf: Shelf) -> None:
    shelf.versioning(Versioning.ENABLED)
    kept, other = shelf.put(), shelf.put()
    put_policy(shelf, {"Effect": "Deny", "Action": "s3:*Version", "Condition": {"StringEquals": {"s3:VersionId": kept.version}}})
    refused(shelf.delete, version=kept.version)
    results = objects.delete_many(actor=shelf.actor, bucket=shelf.name, doomed=[Doomed("key", each.version) for each in (kept, other)])
    assert isinstance(results[0], Forbidden) and not isinstance(results[1], CloudError)


def test_a_denial_binds_members_too_and_says_which_statement_it_is(shelf: Shelf) -> None:
    shelf.put()
    member = make_actor(shelf.project)
    put_policy(shelf, {"Sid": "keep", "Effect": "Deny", "Action": "s3:DeleteObject*"})
    for actor in (shelf.actor, member):
        error = refused(objects.delete, actor=actor, bucket=shelf.name, key="key")
        assert (error.code, error.facts["statement"]) == ("object.denied", "keep")
        assert found(shelf, actor).key == "key"
    results = objects.delete_many(actor=member, bucket=shelf.name, doomed=[Doomed("key")])
    assert isinstance(results[0], Forbidden)


def test_the_strangers_whom_a_policy_denies_are_told_nothing_of_it(shelf: Shelf, bob: Actor) -> None:
    shelf.put()
    put_policy(shelf, {}, {"Sid": "secret", "Effect": "Deny", "Action": "s3:*"})
    error = refused(found, shelf, bob)
    assert error.code == "object.forbidden" and "secret" not in str(error)


def test_nobody_is_locked_out_for_good(shelf: Shelf) -> None:
    member, boss, operator = make_actor(shelf.project), make_actor(shelf.project, role="admin"), make_actor(None, operator=True)
    for keeper in (shelf.actor, boss, operator):
        put_policy(shelf, {"Effect": "Deny", "Action": "s3:*", "Resource": "*"})
        assert refused(buckets.put_policy, actor=member, name=shelf.name, policy=None).code == "object.denied"
        refused(buckets_there.bucket, actor=member, name=shelf.name, action="s3:GetBucketPolicy")
        refused(buckets.delete, actor=keeper, name=shelf.name)
        assert buckets_there.bucket(actor=keeper, name=shelf.name, action="s3:GetBucketPolicy").policy is not None
        buckets.put_policy(actor=keeper, name=shelf.name, policy=None)
    reader = make_actor(shelf.project, role="reader")
    assert refused(buckets.put_policy, actor=reader, name=shelf.name, policy=None).code == "policy.forbidden"


def test_policies_are_not_given_to_other_projects(shelf: Shelf, bob: Actor) -> None:
    put_policy(shelf, {"Action": "s3:*", "Resource": "*"})
    refused(buckets_there.bucket, actor=bob, name=shelf.name, action="s3:GetBucketPolicy")
    refused(put_policy, shelf, {}, actor=bob)
    assert buckets.put_tags(actor=bob, name=shelf.name, tags={"a": "b"}).tags == {"a": "b"}


def test_a_policy_that_is_not_understood_is_not_kept(shelf: Shelf) -> None:
    put_policy(shelf, {})
    with pytest.raises(Invalid) as caught:
        put_policy(shelf, {"Action": "s3:Fly"})
    assert (caught.value.code, caught.value.facts["part"]) == ("bucket.policy", "Statement[0].Action")
    assert Bucket.objects.get().policy["Statement"][0]["Action"] == "s3:GetObject"
    for call in (
        lambda: buckets.put_acl(actor=shelf.actor, name=shelf.name, acl={"canned": "bucket-owner-read"}),
        lambda: put(shelf, shelf.actor, about=About(acl={"canned": "none"})),
        lambda: buckets.create(actor=shelf.actor, name="another", acl={"grants": 1}),
    ):
        with pytest.raises(Invalid, match="access list"):
            call()


def test_a_kept_policy_that_cannot_be_read_denies_everything(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    shelf.put()
    Bucket.objects.update(policy={"Statement": [{"Effect": "Perhaps"}]})
    with caplog.at_level(logging.ERROR):
        assert refused(found, shelf, shelf.actor).code == "object.denied"
    assert "shelf" in caplog.text
    buckets.put_policy(actor=shelf.actor, name=shelf.name, policy=None)
    assert found(shelf, shelf.actor).key == "key"


def test_access_lists_let_single_users_in(shelf: Shelf, bob: Actor) -> None:
    shelf.put()
    assert bob.user_id is not None
    buckets.put_acl(actor=shelf.actor, name=shelf.name, acl={"grants": [{"grantee": bob.user_id.hex, "permission": "WRITE"}]})
    refused(found, shelf, bob)
    own = put(shelf, bob, "own", about=About(acl={"canned": "private"}))
    assert found(shelf, bob, "own").pk == own.pk
    assert found(shelf, shelf.actor, "own").pk == own.pk, "the bucket's project sees what is in its bucket"
    refused(buckets_there.bucket, actor=bob, name=shelf.name)
    objects.put_acl(actor=shelf.actor, bucket=shelf.name, key="key", acl={"grants": [{"grantee": bob.user_id.hex, "permission": "READ"}]})
    assert found(shelf, bob).key == "key"
    buckets.put_acl(actor=shelf.actor, name=shelf.name, acl={"canned": "public-read"})
    holder = buckets_there.bucket(actor=Actor(user_id=None, user_name="", project_id=None), name=shelf.name)
    assert [row.key for row in listing.objects(holder).entries] == ["key", "own"]


def test_who_leaves_the_project_loses_its_buckets(shelf: Shelf) -> None:
    shelf.put()
    left = Actor(user_id=shelf.actor.user_id, user_name=shelf.actor.user_name, project_id=make_project().pk, grants=shelf.actor.grants)
    refused(found, shelf, left)
    assert not gate.allows(left, "s3:PutBucketAcl", buckets_there.named(shelf.name))


def test_a_bucket_of_others_is_as_good_as_none_where_names_are_not_public(shelf: Shelf, bob: Actor) -> None:
    with pytest.raises(NotFound) as theirs:
        buckets_there.shown(actor=bob, name=shelf.name)
    with pytest.raises(NotFound) as nothing:
        buckets_there.shown(actor=bob, name="none-such")
    assert str(theirs.value).replace("shelf", "") == str(nothing.value).replace("none-such", "")
    buckets.put_acl(actor=shelf.actor, name=shelf.name, acl={"canned": "public-read"})
    assert buckets_there.shown(actor=bob, name=shelf.name).name == "shelf"
    refused(buckets_there.shown, actor=bob, name=shelf.name, action="s3:DeleteBucket")
