"""Bucket policies: what they allow and deny, and what is refused because it is not understood."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apps.common.errors import Invalid
from apps.objects.access import actions, policy
from apps.objects.access.asking import NOBODY, Question, Subject
from apps.objects.access.policy import Effect

HERE, THERE = uuid.UUID(int=1), uuid.UUID(int=2)
ANN, BOB = Subject(uuid.UUID(int=11), "ann", HERE), Subject(uuid.UUID(int=12), "bob", THERE)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OBJECTS, BUCKET = "arn:aws:s3:::shelf/*", "arn:aws:s3:::shelf"


def statement(**elements: Any) -> dict[str, Any]:
    """One that allows everybody to read; an element that is None is left out."""
    said = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": OBJECTS, **elements}
    return {name: value for name, value in said.items() if value is not None}


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> dict[str, Any]:
    return {"Version": version, "Statement": list(statements)}


def says(said: dict[str, Any], subject: Subject = NOBODY, action: str = "s3:GetObject", key: str = "key", **facts: Any) -> Effect:
    """Facts by name, with `_` for `:`."""
    asked = Question(
        subject=subject, action=action, bucket="shelf", key=key, facts={name.replace("_", ":", 1): value for name, value in facts.items()}
    )
    return policy.read(said, bucket="shelf").effect(asked, NOW)[0]


def when(operator: str, key: str, value: Any, **facts: Any) -> Effect:
    return says(document(statement(Condition={operator: {key: value}})), **facts)


# Who


@pytest.mark.parametrize(
    ("principal", "meant"),
    [
        ("*", {NOBODY, ANN, BOB}), ({"AWS": "*"}, {NOBODY, ANN, BOB}),
        ({"AWS": f"arn:aws:iam::{HERE.hex}:root"}, {ANN}), ({"AWS": f"arn:aws:iam::{HERE}:root"}, {ANN}), ({"AWS": THERE.hex}, {BOB}),
        ({"AWS": [f"arn:aws:iam::{HERE.hex}:user/ann", THERE.hex]}, {ANN, BOB}), ({"AWS": f"arn:aws:iam::{HERE.hex}:user/bob"}, set()),
        ({"CanonicalUser": BOB.canonical}, {BOB}),
    ],
)
def test_principals_are_projects_users_and_everybody(principal: Any, meant: set[Subject]) -> None:
    said = document(statement(Principal=principal))
    assert {each for each in (NOBODY, ANN, BOB) if says(said, each) is Effect.ALLOW} == meant


def test_those_whom_a_denial_does_not_mean_are_spared() -> None:
    said = document(statement(), statement(Effect="Deny", Principal=None, NotPrincipal={"AWS": HERE.hex}))
    assert [says(said, each) for each in (ANN, BOB, NOBODY)] == [Effect.ALLOW, Effect.DENY, Effect.DENY]


# What and where


def test_actions_are_named_by_patterns_whatever_their_case() -> None:
    said = document(statement(Action=["s3:get*Tagging", "S3:PUTOBJECT"]))
    allowed = {action for action in actions.OF_OBJECTS if says(said, action=action) is Effect.ALLOW}
    assert allowed == {"s3:GetObjectTagging", "s3:GetObjectVersionTagging", "s3:PutObject"}


def test_all_but_some_actions_and_resources_can_be_meant() -> None:
    but_reading = document(statement(Action=None, NotAction="s3:Get*"))
    assert (says(but_reading), says(but_reading, action="s3:PutObject")) == (Effect.NONE, Effect.ALLOW)
    but_secrets = document(statement(Resource=None, NotResource="arn:aws:s3:::shelf/secret/*"))
    assert (says(but_secrets, key="secret/a"), says(but_secrets, key="open/a")) == (Effect.NONE, Effect.ALLOW)


def test_a_bucket_and_its_objects_are_two_resources() -> None:
    listing, reading = document(statement(Action="s3:ListBucket", Resource=BUCKET)), document(statement())
    assert (says(listing, action="s3:ListBucket", key=""), says(reading, action="s3:ListBucket", key="")) == (Effect.ALLOW, Effect.NONE)
    both = document(statement(Action="s3:*", Resource="*"))
    assert (says(both, action="s3:ListBucket", key=""), says(both)) == (Effect.ALLOW, Effect.ALLOW)


def test_everybody_gets_a_folder_by_name() -> None:
    said = document(statement(Resource=f"{BUCKET}/home/${{aws:username}}/*"))
    assert [says(said, ANN, key=f"home/{name}/a") for name in ("ann", "bob")] == [Effect.ALLOW, Effect.NONE]
    assert says(said, key="home//a") is Effect.NONE, "who has no name has no folder"
    old = document(statement(Resource=f"{BUCKET}/home/${{aws:username}}/*"), version="2008-10-17")
    assert says(old, ANN, key="home/ann/a") is Effect.NONE, "the old version of the language knows no variables"


def test_what_allows_by_a_name_that_is_not_known_allows_nothing() -> None:
    but_own = document(statement(Resource=None, NotResource=f"{BUCKET}/home/${{aws:username}}/*"))
    assert (says(but_own, ANN), says(but_own)) == (Effect.ALLOW, Effect.NONE)
    denied = document(statement(), statement(Effect="Deny", Resource=None, NotResource=f"{BUCKET}/home/${{aws:username}}/*"))
    assert (says(denied, ANN, key="home/ann/a"), says(denied, key="home/ann/a")) == (Effect.ALLOW, Effect.DENY)


# When


@pytest.mark.parametrize(
    ("operator", "key", "value", "facts", "holds"),
    [
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", {"aws_sourceip": "192.0.2.9"}, True),
        ("IpAddress", "aws:SourceIp", ["192.0.2.0/24", "2001:db8::/32"], {"aws_sourceip": "2001:db8::1"}, True),
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", {"aws_sourceip": "::ffff:192.0.2.9"}, True),
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", {"aws_sourceip": "198.51.100.1"}, False),
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", {}, False),
        ("NotIpAddress", "aws:SourceIp", "192.0.2.0/24", {"aws_sourceip": "198.51.100.1"}, True),
        ("NotIpAddress", "aws:SourceIp", ["192.0.2.0/24", "198.51.100.0/24"], {"aws_sourceip": "198.51.100.1"}, False),
        ("NotIpAddress", "aws:SourceIp", "192.0.2.0/24", {}, True),
        ("Bool", "aws:SecureTransport", "true", {"aws_securetransport": "true"}, True),
        ("Bool", "aws:SecureTransport", True, {"aws_securetransport": "false"}, False),
        ("Bool", "aws:SecureTransport", "false", {"aws_securetransport": "false"}, True),
        ("StringEquals", "s3:prefix", ["a/", "b/"], {"s3_prefix": "b/"}, True),
        ("StringEquals", "S3:Prefix", "a*", {"s3_prefix": "ab"}, False),
        ("StringEquals", "s3:prefix", "", {"s3_prefix": ""}, True),
        ("StringNotEquals", "s3:prefix", ["a/", "b/"], {"s3_prefix": "b/"}, False),
        ("StringNotEquals", "s3:prefix", ["a/", "b/"], {"s3_prefix": "c/"}, True),
        ("StringNotEquals", "s3:prefix", "a/", {}, True),
        ("StringEqualsIgnoreCase", "s3:x-amz-acl", "Public-Read", {"s3_x-amz-acl": "public-read"}, True),
        ("StringNotEqualsIgnoreCase", "s3:x-amz-acl", "Public-Read", {"s3_x-amz-acl": "public-read"}, False),
        ("StringLike", "s3:prefix", "home/*", {"s3_prefix": "home/ann"}, True),
        ("StringNotLike", "s3:prefix", "home/*", {"s3_prefix": "home/ann"}, False),
        ("StringLike", "s3:prefix", "home/*", {}, False),
        ("StringLikeIfExists", "s3:prefix", "home/*", {}, True),
        ("StringLikeIfExists", "s3:prefix", "home/*", {"s3_prefix": "other"}, False),
        ("Null", "s3:prefix", "true", {}, True),
        ("Null", "s3:prefix", "true", {"s3_prefix": ""}, False),
        ("Null", "s3:prefix", False, {"s3_prefix": ""}, True),
        ("NumericLessThanEquals", "s3:max-keys", 100, {"s3_max-keys": "100"}, True),
        ("NumericLessThan", "s3:max-keys", "100", {"s3_max-keys": "100"}, False),
        ("NumericGreaterThan", "s3:max-keys", "99.5", {"s3_max-keys": "100"}, True),
        ("NumericGreaterThanEquals", "s3:max-keys", "100", {"s3_max-keys": "many"}, False),
        ("NumericEquals", "s3:max-keys", ["1", "2"], {"s3_max-keys": "2"}, True),
        ("NumericNotEquals", "s3:max-keys", "2", {"s3_max-keys": "2"}, False),
        ("NumericLessThan", "s3:max-keys", "100", {}, False),
        ("StringEquals", "s3:ExistingObjectTag/Colour", "red", {"s3_existingobjecttag/Colour": "red"}, True),
        ("StringEquals", "s3:ExistingObjectTag/Colour", "red", {"s3_existingobjecttag/colour": "red"}, False),
        ("StringEquals", "s3:RequestObjectTag/a", "b", {"s3_requestobjecttag/a": "b"}, True),
    ],
)
def test_conditions_hold_as_they_say(operator: str, key: str, value: Any, facts: dict[str, str], holds: bool) -> None:
    assert when(operator, key, value, **facts) is (Effect.ALLOW if holds else Effect.NONE)


@pytest.mark.parametrize(
    ("operator", "offset_s", "holds"),
    [
        ("DateLessThan", 60, True), ("DateLessThan", -60, False), ("DateGreaterThan", -60, True), ("DateGreaterThanEquals", 0, True),
        ("DateLessThanEquals", 0, True), ("DateEquals", 0, True), ("DateNotEquals", 0, False),
    ],
)
def test_conditions_know_the_time(operator: str, offset_s: int, holds: bool) -> None:
    at = NOW + timedelta(seconds=offset_s)
    for value in (at.isoformat(), at.strftime("%Y-%m-%dT%H:%M:%SZ"), str(int(at.timestamp())), int(at.timestamp())):
        assert when(operator, "aws:CurrentTime", value) is (Effect.ALLOW if holds else Effect.NONE)
        assert when(operator, "aws:EpochTime", value) is (Effect.ALLOW if holds else Effect.NONE)


def test_who_asks_is_known_to_conditions() -> None:
    arn = f"arn:aws:iam::{HERE.hex}:user/*"
    for operator, key, value in (
        ("ArnLike", "aws:PrincipalArn", arn), ("StringEquals", "aws:username", "ann"), ("StringEquals", "aws:userid", ANN.canonical),
        ("StringEquals", "aws:PrincipalAccount", HERE.hex),
    ):
        said = document(statement(Condition={operator: {key: value}}))
        assert [says(said, each) for each in (ANN, BOB, NOBODY)] == [Effect.ALLOW, Effect.NONE, Effect.NONE]


def test_all_conditions_must_hold_and_one_value_of_each() -> None:
    said = document(statement(Condition={
        "IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "198.51.100.0/24"]}, "StringLike": {"s3:prefix": "a*", "s3:delimiter": "/"},
    }))
    good: dict[str, Any] = {"aws_sourceip": "198.51.100.1", "s3_prefix": "ab", "s3_delimiter": "/"}
    assert says(said, **good) is Effect.ALLOW
    for name in good:
        assert says(said, **{**good, name: "203.0.113.1"}) is Effect.NONE


# What is refused


@pytest.mark.parametrize(
    ("elements", "part"),
    [
        ({"Effect": "allow"}, "Effect"), ({"Sid": 1}, "Sid"), ({"Strange": "x"}, "Strange"),
        ({"Principal": None}, "Principal"), ({"NotPrincipal": "*"}, "Principal"), ({"Principal": None, "NotPrincipal": "*"}, "NotPrincipal"),
        ({"Principal": "ann"}, "Principal"), ({"Principal": {}}, "Principal"), ({"Principal": {"Service": "x"}}, "Principal.Service"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, "Principal"), ({"Principal": {"AWS": "arn:aws:iam::*:root"}}, "Principal"),
        ({"Principal": {"AWS": f"arn:aws:iam::{HERE.hex}:group/x"}}, "Principal"), ({"Principal": {"CanonicalUser": "ann"}}, "Principal"),
        ({"Principal": {"AWS": []}}, "Principal.AWS"),
        ({"Action": None}, "Action"), ({"NotAction": "s3:*"}, "Action"), ({"Action": "s3:Fly"}, "Action"), ({"Action": "ec2:*"}, "Action"),
        ({"Action": 1}, "Action"), ({"Action": "s3:ListBucket"}, "Action"), ({"Action": ["s3:GetObject", "s3:ListBucket"]}, "Action"),
        ({"Resource": None}, "Resource"), ({"NotResource": "*"}, "Resource"), ({"Resource": BUCKET}, "Action"),
        ({"Resource": "arn:aws:s3:::other/*"}, "Resource"), ({"Resource": "shelf/*"}, "Resource"),
        ({"Resource": f"{BUCKET}/${{aws:nothing}}"}, "Resource"), ({"Resource": f"{BUCKET}/${{aws:username"}, "Resource"),
        ({"Resource": None, "NotResource": "arn:aws:s3:::other/*"}, "NotResource"),
        ({"Condition": []}, "Condition"), ({"Condition": {"StringEquals": []}}, "Condition.StringEquals"),
        ({"Condition": {"StringSounds": {"s3:prefix": "a"}}}, "Condition.StringSounds.s3:prefix"),
        ({"Condition": {"ForAnyValue:StringEquals": {"s3:prefix": "a"}}}, "Condition.ForAnyValue:StringEquals.s3:prefix"),
        ({"Condition": {"NullIfExists": {"s3:prefix": "true"}}}, "Condition.NullIfExists.s3:prefix"),
        ({"Condition": {"StringEquals": {"aws:MultiFactorAuthAge": "1"}}}, "Condition.StringEquals.aws:MultiFactorAuthAge"),
        ({"Condition": {"StringEquals": {"s3:ExistingObjectTag/": "1"}}}, "Condition.StringEquals.s3:ExistingObjectTag/"),
        ({"Condition": {"StringLike": {"aws:SourceIp": "192.*"}}}, "Condition.StringLike.aws:SourceIp"),
        ({"Condition": {"IpAddress": {"s3:prefix": "192.0.2.1"}}}, "Condition.IpAddress.s3:prefix"),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/33"}}}, "Condition.IpAddress.aws:SourceIp"),
        ({"Condition": {"Bool": {"aws:SecureTransport": "yes"}}}, "Condition.Bool.aws:SecureTransport"),
        ({"Condition": {"NumericLessThan": {"s3:max-keys": "ten"}}}, "Condition.NumericLessThan.s3:max-keys"),
        ({"Condition": {"DateLessThan": {"aws:CurrentTime": "tomorrow"}}}, "Condition.DateLessThan.aws:CurrentTime"),
        ({"Condition": {"DateLessThan": {"aws:CurrentTime": "1" * 30}}}, "Condition.DateLessThan.aws:CurrentTime"),
        ({"Condition": {"StringEquals": {"s3:prefix": [{}]}}}, "Condition.StringEquals.s3:prefix"),
        ({"Condition": {"StringEquals": {"s3:prefix": []}}}, "Condition.StringEquals.s3:prefix"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(elements: dict[str, Any], part: str) -> None:
    with pytest.raises(Invalid) as caught:
        policy.check(document(statement(), statement(**elements)), bucket="shelf")
    assert (caught.value.code, caught.value.facts["part"]) == ("bucket.policy", f"Statement[1].{part}")
    assert caught.value.facts["part"] in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        [], "x", None, {}, {"Statement": []}, {"Statement": [1]}, {"Version": "2020-01-01", "Statement": [statement()]}, {**document(statement()), "Id": 1},
        {**document(statement()), "More": 1}, document(statement(Sid="a"), statement(Sid="a")), document(statement(Sid="x" * 20_480)),
        document(statement(Sid="a\0")), document(statement(Sid="\ud800")), document(statement(Condition={"NumericEquals": {"s3:max-keys": float("nan")}})),
    ],
    ids=str,
)
def test_what_is_no_policy_is_refused(said: Any) -> None:
    with pytest.raises(Invalid) as caught:
        policy.check(said, bucket="shelf")
    assert caught.value.code == "bucket.policy"


def test_one_statement_need_not_be_in_a_list() -> None:
    policy.check({"Statement": statement()}, bucket="shelf")


# A plain reading


_PRINCIPALS = some.sampled_from(["*", {"AWS": HERE.hex}, {"AWS": f"arn:aws:iam::{THERE.hex}:user/bob"}, {"CanonicalUser": ANN.canonical}])
_ACTIONS = some.lists(some.sampled_from(["s3:*", "s3:Get*", "s3:PutObject", "s3:?etObject"]), min_size=1, max_size=2)
_RESOURCES = some.lists(some.sampled_from(["*", f"{BUCKET}*", OBJECTS, f"{BUCKET}/a/*", f"{BUCKET}/?"]), min_size=1, max_size=2)
_CONDITIONS = some.dictionaries(
    some.sampled_from(["IpAddress", "NotIpAddress"]), some.just({"aws:SourceIp": ["192.0.2.0/25", "198.51.100.0/24"]}), max_size=2
) | some.dictionaries(
    some.sampled_from(["StringEquals", "StringLike", "StringNotEquals", "StringNotLike", "StringEqualsIfExists"]),
    some.fixed_dictionaries({"s3:prefix": some.lists(some.sampled_from(["a", "b", "a*"]), min_size=1, max_size=2)}), max_size=3,
)
_STATEMENTS = some.builds(
    lambda denies, who, what, where, not_what, not_where, asked: statement(
        Effect="Deny" if denies else "Allow", Principal=who, Condition=asked,
        **({"Action": None, "NotAction": what} if not_what else {"Action": what}),
        **({"Resource": None, "NotResource": where} if not_where else {"Resource": where}),
    ),
    some.booleans(), _PRINCIPALS, _ACTIONS, _RESOURCES, some.booleans(), some.booleans(), _CONDITIONS,
)
_QUESTIONS = some.builds(
    lambda subject, action, key, facts: Question(subject=subject, action=action, bucket="shelf", key=key, facts=facts),
    some.sampled_from([NOBODY, ANN, BOB]), some.sampled_from(["s3:GetObject", "s3:PutObject", "s3:GetObjectAcl", "s3:DeleteObject"]),
    some.sampled_from(["a", "a/b", "b/c"]),
    some.fixed_dictionaries({}, optional={
        "aws:sourceip": some.sampled_from(["192.0.2.1", "192.0.2.200", "198.51.100.1"]), "s3:prefix": some.sampled_from(["a", "b", "ab", ""]),
    }),
)


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def like(patterns: Any, text: str) -> bool:
    signs = {"*": ".*", "?": "."}
    return any(re.fullmatch("".join(signs.get(sign, re.escape(sign)) for sign in pattern), text, re.DOTALL) for pattern in listed(patterns))


def means(who: Any, subject: Subject) -> bool:
    if who == "*":
        return True
    if "CanonicalUser" in who:
        return subject.user_id is not None and who["CanonicalUser"] == subject.user_id.hex
    project = subject.project_id.hex if subject.project_id else ""
    return who["AWS"] in (project, f"arn:aws:iam::{project}:user/{subject.user_name}")


def holds(operator: str, asked: dict[str, list[str]], facts: Any) -> bool:
    [(key, values)] = asked.items()
    fact = facts.get(key.lower())
    if fact is None:
        return "Not" in operator or operator.endswith("IfExists")
    found = {
        "IpAddress": lambda: any(ip_address(fact) in ip_network(value) for value in values), "StringEquals": lambda: fact in values,
        "StringLike": lambda: like(values, fact),
    }[operator.replace("Not", "").removesuffix("IfExists")]()
    return found != ("Not" in operator)


def plainly(said: dict[str, Any], asked: Question) -> Effect:
    """The same by the letter of the language, and by nothing else."""
    effects = set()
    for each in said["Statement"]:
        what = like(each["Action"], asked.action) if "Action" in each else not like(each["NotAction"], asked.action)
        where = like(each["Resource"], asked.resource) if "Resource" in each else not like(each["NotResource"], asked.resource)
        if means(each["Principal"], asked.subject) and what and where and all(holds(operator, asked_of, asked.facts) for operator, asked_of in each["Condition"].items()):
            effects.add(each["Effect"])
    return Effect.DENY if "Deny" in effects else Effect.ALLOW if effects else Effect.NONE


@given(some.lists(_STATEMENTS, min_size=1, max_size=4), _QUESTIONS)
def test_policies_say_what_a_plain_reading_of_them_says(statements: list[dict[str, Any]], asked: Question) -> None:
    said = document(*statements)
    assert policy.read(said, bucket="shelf").effect(asked, NOW)[0] is plainly(said, asked)


@given(some.lists(_STATEMENTS, min_size=1, max_size=4), _QUESTIONS, some.randoms())
def test_the_order_of_statements_makes_no_difference_and_a_denial_always_wins(
    statements: list[dict[str, Any]], asked: Question, chance: Any
) -> None:
    shuffled = list(statements)
    chance.shuffle(shuffled)
    found = [policy.read(document(*each), bucket="shelf").effect(asked, NOW)[0] for each in (statements, shuffled)]
    assert found[0] is found[1]
    denied = [*statements, statement(Effect="Deny", Action="s3:*", Resource="*")]
    assert policy.read(document(*denied), bucket="shelf").effect(asked, NOW)[0] is Effect.DENY
