"""Who may do what: roles, policies and access lists together."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apps.common.errors import Invalid
from apps.objects.access import acl, actions, policy
from apps.objects.access.asking import ANONYMOUS, NOBODY, Owner, Question, Subject
from apps.objects.access.decide import Case, Thing, decide

HERE, THERE = uuid.UUID(int=1), uuid.UUID(int=2)
ANN, BOB, EVE = (Subject(uuid.UUID(int=10 + number), name, project) for number, name, project in ((1, "ann", HERE), (2, "bob", THERE), (3, "eve", THERE)))
OWNER = Owner(ANN.user_id, HERE)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
PEOPLE = [NOBODY, ANN, BOB, EVE]


def case(subject: Subject, action: str = "s3:GetObject", **more: Any) -> Case:
    """About an object of Ann's in her bucket. Nobody has a role in the bucket's project; everybody may do it at home."""
    asked = Question(subject=subject, action=action, bucket="shelf", key="" if action in actions.OF_BUCKETS else "key")
    usual = {"owner": OWNER, "now": NOW, "thing": Thing(acl=None, owner=OWNER), "able": subject.user_id is not None}
    return Case(question=asked, **{**usual, **more})


def allowed(subject: Subject, action: str = "s3:GetObject", **more: Any) -> bool:
    return decide(case(subject, action, **more)).allowed


def said(effect: str, principal: Any = "*", action: str = "s3:*") -> policy.Policy:
    return policy.read(
        {"Statement": [{"Effect": effect, "Principal": principal, "Action": action, "Resource": "*"}]}, bucket="shelf"
    )


def granted(*grants: tuple[str, str]) -> dict[str, Any]:
    return {"grants": [{"grantee": grantee, "permission": permission} for grantee, permission in grants]}


# Roles and policies


def test_without_anything_only_roles_allow() -> None:
    assert [allowed(each) for each in PEOPLE] == [False] * 4
    assert allowed(ANN, by_role=True)


def test_a_policy_opens_a_bucket_to_a_project_and_not_to_others() -> None:
    to_bobs = said("Allow", {"AWS": THERE.hex})
    assert [allowed(each, policy=to_bobs) for each in PEOPLE] == [False, False, True, True]


def test_nobody_gets_more_from_outside_than_its_role_gives_it_at_home() -> None:
    to_bobs = said("Allow", {"AWS": THERE.hex})
    assert not allowed(BOB, policy=to_bobs, able=False)
    assert not allowed(BOB, acl=granted((BOB.canonical, "FULL_CONTROL")), able=False)
    assert allowed(BOB, policy=said("Allow"), able=False), "what is open to everybody is open to it, too"


def test_a_denial_goes_before_roles_lists_and_ownership() -> None:
    nobody = said("Deny")
    open_to_all = Thing(acl={"canned": "public-read-write"}, owner=Owner(BOB.user_id, THERE))
    for action in sorted(actions.KNOWN):
        for each in PEOPLE:
            verdict = decide(case(each, action, policy=nobody, by_role=True, acl={"canned": "public-read-write"}, thing=open_to_all))
            assert not verdict.allowed and verdict.denied_by == "Statement[0]"


@pytest.mark.parametrize("action", sorted(actions.ON_POLICIES))
def test_the_keepers_of_a_bucket_undo_every_policy(action: str) -> None:
    nobody = said("Deny")
    assert allowed(ANN, action, policy=nobody, by_role=True, keeper=True)
    assert not allowed(ANN, action, policy=nobody, by_role=True)
    assert not allowed(ANN, "s3:GetObject", policy=nobody, by_role=True, keeper=True)


@pytest.mark.parametrize("action", sorted(actions.ON_POLICIES))
def test_policies_are_not_given_away_by_policies(action: str) -> None:
    assert not allowed(BOB, action, policy=said("Allow"))
    assert allowed(ANN, action, policy=said("Allow"), by_role=True)


@given(
    some.sampled_from(PEOPLE), some.sampled_from(sorted(actions.KNOWN)), some.booleans(), some.booleans(), some.booleans(),
    some.sampled_from([None, "private", "public-read", "public-read-write", "authenticated-read"]),
    some.sampled_from([None, said("Allow"), said("Allow", {"AWS": THERE.hex}), said("Deny", {"AWS": THERE.hex})]),
)
def test_a_denial_only_ever_takes_away_and_a_permission_only_ever_gives(
    subject: Subject, action: str, by_role: bool, able: bool, keeper: bool, canned: str | None, there: policy.Policy | None
) -> None:
    asked = case(
        subject, action, by_role=by_role, able=able, keeper=keeper, policy=there, acl={"canned": canned} if canned else None,
        thing=Thing(acl={"canned": canned} if canned else None, owner=OWNER),
    )
    before, statements = decide(asked).allowed, there.statements if there else ()
    with_denial = decide(replace(asked, policy=policy.Policy((*statements, *said("Deny").statements)))).allowed
    with_permission = decide(replace(asked, policy=policy.Policy((*statements, *said("Allow").statements)))).allowed
    assert with_denial <= (before and keeper and by_role and action in actions.ON_POLICIES)
    assert before <= with_permission
    assert decide(replace(asked, by_role=True)).allowed >= before


# Access lists


@pytest.mark.parametrize(
    ("canned", "readers", "writers"),
    [
        ("private", set(), set()), ("public-read", {NOBODY, ANN, BOB}, set()), ("public-read-write", {NOBODY, ANN, BOB}, {NOBODY, ANN, BOB}),
        ("authenticated-read", {ANN, BOB}, set()), ("aws-exec-read", set(), set()),
    ],
)
def test_canned_lists_of_buckets(canned: str, readers: set[Subject], writers: set[Subject]) -> None:
    for action, meant in (("s3:ListBucket", readers), ("s3:ListBucketVersions", readers), ("s3:PutObject", writers), ("s3:DeleteObject", writers)):
        assert {each for each in (NOBODY, ANN, BOB) if allowed(each, action, acl={"canned": canned})} == meant, action
    assert not allowed(BOB, "s3:GetObject", acl={"canned": canned}), "who lists does not read yet"
    assert not allowed(BOB, "s3:DeleteObjectVersion", acl={"canned": canned})


@pytest.mark.parametrize(
    ("permission", "on_bucket", "on_object"),
    [
        ("READ", {"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation"},
         {"s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"}),
        ("WRITE", {"s3:PutObject", "s3:DeleteObject"}, set()),
        ("READ_ACP", {"s3:GetBucketAcl"}, {"s3:GetObjectAcl", "s3:GetObjectVersionAcl"}),
        ("WRITE_ACP", {"s3:PutBucketAcl"}, {"s3:PutObjectAcl", "s3:PutObjectVersionAcl"}),
    ],
)
def test_each_permission_of_a_grant_gives_what_it_says(permission: str, on_bucket: set[str], on_object: set[str]) -> None:
    to_bob = granted((BOB.canonical, permission))
    assert {action for action in actions.KNOWN if allowed(BOB, action, acl=to_bob)} == on_bucket
    thing = Thing(acl=to_bob, owner=OWNER)
    assert {action for action in actions.KNOWN if allowed(BOB, action, thing=thing)} == on_object
    assert not any(allowed(EVE, action, acl=to_bob, thing=thing) for action in actions.KNOWN)


def test_full_control_is_all_of_them() -> None:
    everything = granted((BOB.canonical, "FULL_CONTROL"))
    given_by = set().union(*acl.ON_BUCKET.values(), *acl.ON_OBJECT.values())
    assert {action for action in actions.KNOWN if allowed(BOB, action, acl=everything, thing=Thing(acl=everything, owner=OWNER))} == given_by


def test_who_writes_into_a_strangers_bucket_owns_what_it_writes() -> None:
    bobs = Thing(acl=None, owner=Owner(BOB.user_id, THERE))
    assert allowed(BOB, thing=bobs) and allowed(BOB, "s3:PutObjectAcl", thing=bobs)
    assert not allowed(EVE, thing=bobs)
    assert allowed(ANN, thing=bobs, by_role=True), "the bucket's project sees all that is in its bucket"
    locked = Thing(acl=granted((EVE.canonical, "READ")), owner=Owner(BOB.user_id, THERE))
    assert not allowed(BOB, thing=locked) and allowed(BOB, "s3:PutObjectAcl", thing=locked), "an owner can always take it back"
    elsewhere = Subject(BOB.user_id, "bob", uuid.UUID(int=9))
    assert not allowed(elsewhere, thing=bobs), "a key for another project is not the owner's"


def test_who_may_write_may_say_who_reads_what_it_writes() -> None:
    to_bob = granted((BOB.canonical, "WRITE"))
    assert allowed(BOB, "s3:PutObjectAcl", acl=to_bob, thing=None)
    assert not allowed(BOB, "s3:PutObjectAcl", acl=to_bob)


def test_who_has_left_the_project_keeps_nothing_by_what_it_made() -> None:
    left = Subject(ANN.user_id, "ann", THERE)
    for given_by in (None, granted((ANN.canonical, "FULL_CONTROL"))):
        for action in sorted(actions.KNOWN):
            assert not allowed(left, action, acl=given_by, thing=Thing(acl=given_by, owner=OWNER))
            assert not allowed(ANN, action, acl=given_by, thing=Thing(acl=given_by, owner=OWNER)), "in the project roles decide"


def test_an_upload_is_ended_by_who_began_it() -> None:
    bobs = Thing(acl=None, owner=Owner(BOB.user_id, THERE))
    for action in ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"):
        assert [allowed(each, action, thing=bobs, acl={"canned": "public-read-write"}) for each in (BOB, EVE, NOBODY)] == [True, False, False]


def test_what_nobody_in_particular_wrote_belongs_to_nobody() -> None:
    written = Thing(acl=None, owner=Owner(None, None))
    assert [allowed(each, thing=written) for each in PEOPLE] == [False] * 4


def test_lists_are_spelled_out_with_their_owners() -> None:
    assert acl.spelled_out(None, "a", "b") == [("a", "FULL_CONTROL")]
    assert acl.spelled_out({"canned": "bucket-owner-read"}, "a", "b") == [("a", "FULL_CONTROL"), ("b", "READ")]
    assert acl.spelled_out({"canned": "bucket-owner-full-control"}, "a", "a") == [("a", "FULL_CONTROL")]
    assert acl.spelled_out({"canned": "public-read"}, ANONYMOUS, "b") == [(ANONYMOUS, "FULL_CONTROL"), ("all", "READ")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"canned": "open"}, {"canned": "bucket-owner-read"}, {"canned": "private", "grants": []}, {"more": 1}, {"grants": 1},
        granted(("a", "EXECUTE")), granted(*[("all", "READ")] * 101), {"grants": [{"grantee": "all"}]},
    ],
    ids=str,
)
def test_what_is_no_list_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=r"access list|grant"):
        acl.check(wrong, is_object=False)


def test_lists_that_are_right_are_taken() -> None:
    for good in (None, {}, {"canned": "public-read"}, granted((BOB.canonical, "READ"))):
        acl.check(good, is_object=False)
    acl.check({"canned": "bucket-owner-read"}, is_object=True)
