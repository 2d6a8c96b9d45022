"""Bucket policies: read, checked, and asked. What is not understood is refused when it is put, and never overlooked later."""

import enum
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from apps.common.errors import Invalid
from apps.objects.access import actions, conditions
from apps.objects.access.asking import Question, Subject
from apps.objects.access.conditions import Condition, ConditionError
from apps.objects.access.patterns import Facts, Pattern, PatternError

MOST_BYTES = 20 * 1024
VERSIONS = ("2008-10-17", "2012-10-17")
_ARN = "arn:aws:s3:::"
_PRINCIPAL = re.compile(r"arn:aws:iam::([0-9a-fA-F-]{32,36}):(root|user/(.{1,255}))")
_STATEMENT = {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}


class Effect(enum.Enum):
    """What a policy says to a question; NONE: nothing."""

    NONE = ""
    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True)
class Principal:
    """Somebody whom a statement names. Nothing given: everybody."""

    project_id: uuid.UUID | None = None
    user_name: str = ""
    user_id: uuid.UUID | None = None

    def is_subject(self, subject: Subject) -> bool:
        if self.user_id is not None:
            return subject.user_id == self.user_id
        if self.project_id is None:
            return True
        return subject.project_id == self.project_id and (not self.user_name or subject.user_name == self.user_name)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """`others`: which of principals, actions and resources are those that are not meant."""

    name: str
    denies: bool
    principals: tuple[Principal, ...]
    actions: tuple[Pattern, ...]
    resources: tuple[Pattern, ...]
    others: frozenset[str]
    conditions: tuple[Condition, ...]
    variables: frozenset[str]

    def applies(self, question: Question, facts: Facts) -> bool:
        """Whether it is about this. What allows, and needs a fact that is not known, allows nothing."""
        if not self.denies and not self.variables <= facts.keys():
            return False
        who = any(each.is_subject(question.subject) for each in self.principals)
        what = any(each.fits(question.action, {}) for each in self.actions)
        if who == ("Principal" in self.others) or what == ("Action" in self.others):
            return False
        where = any(each.fits(question.resource, facts) for each in self.resources)
        return where != ("Resource" in self.others) and all(each.holds(facts) for each in self.conditions)


@dataclass(frozen=True)
class Policy:
    """A policy as it is asked."""

    statements: tuple[Statement, ...]

    def effect(self, question: Question, now: datetime) -> tuple[Effect, str]:
        """What it says, and which statement says it: one that denies goes before all that allow."""
        facts, found = question.known(now), (Effect.NONE, "")
        for statement in self.statements:
            if (statement.denies or found[0] is Effect.NONE) and statement.applies(question, facts):
                if statement.denies:
                    return Effect.DENY, statement.name
                found = (Effect.ALLOW, statement.name)
        return found


def check(document: Any, *, bucket: str) -> None:
    """Raises Invalid `bucket.policy`, which names the part (`Statement[0].Action`) that is not understood."""
    try:
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (ValueError, TypeError, RecursionError):
        raise _wrong("", "this is no JSON object that can be kept") from None
    if size > MOST_BYTES:
        raise _wrong("", f"a policy has at most {MOST_BYTES} bytes, not {size}")
    if "\\u0000" in text:  # PostgreSQL cannot keep it
        raise _wrong("", "there must be no NUL in it")
    read(document, bucket=bucket)


@lru_cache(maxsize=256)
def stored(text: bytes, bucket: str) -> Policy:
    """One that was checked when it was put. Raises Invalid if it was not."""
    return read(json.loads(text), bucket=bucket)


def read(document: Any, *, bucket: str) -> Policy:
    """Raises Invalid `bucket.policy`."""
    if not isinstance(document, Mapping):
        raise _wrong("", "a policy is an object with a Version and a list Statement")
    if strange := sorted(set(document) - {"Version", "Id", "Statement"}):
        raise _wrong(strange[0], "there is no such element")
    version = document.get("Version", VERSIONS[0])
    if version not in VERSIONS:
        raise _wrong("Version", f"expected {' or '.join(VERSIONS)}")
    if not isinstance(document.get("Id", ""), str):
        raise _wrong("Id", "expected a text")
    listed = document.get("Statement")
    listed = [listed] if isinstance(listed, Mapping) else listed
    if not isinstance(listed, list) or not listed:
        raise _wrong("Statement", "expected a list of statements")
    found = tuple(
        _Reader(each, f"Statement[{position}]", bucket, variables=version == VERSIONS[1]).statement() for position, each in enumerate(listed)
    )
    named = [each["Sid"] for each in listed if each.get("Sid")]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise _wrong("Statement", f"two statements have the Sid {twice[0][:64]}")
    return Policy(found)


class _Reader:
    """Reads one statement. `part`: where it stands."""

    def __init__(self, said: Any, part: str, bucket: str, *, variables: bool) -> None:
        self._part, self._bucket, self._with_variables = part, bucket, variables
        self._known = frozenset(conditions.KEYS) if variables else None
        if not isinstance(said, Mapping):
            raise _wrong(part, "a statement is an object")
        if strange := sorted(set(said) - _STATEMENT):
            raise _wrong(f"{part}.{strange[0]}", "there is no such element")
        self._said = said

    def statement(self) -> Statement:
        said = self._said
        sid = said.get("Sid", "")
        if not isinstance(sid, str):
            raise _wrong(f"{self._part}.Sid", "expected a text")
        if said.get("Effect") not in ("Allow", "Deny"):
            raise _wrong(f"{self._part}.Effect", "expected Allow or Deny")
        chosen = {name: self._one_of(name) for name in ("Principal", "Action", "Resource")}
        others = frozenset(name for name, element in chosen.items() if element != name)
        denies = said["Effect"] == "Deny"
        if "Principal" in others and not denies:
            raise _wrong(f"{self._part}.NotPrincipal", "only what denies can name those whom it does not mean")
        principals = tuple(self._principals(chosen["Principal"]))
        resources = self._resources(chosen["Resource"])
        meant = self._actions(chosen["Action"], resources if not others & {"Action", "Resource"} else None)
        asked = tuple(self._conditions())
        variables = frozenset().union(*(each.variables for each in resources), *(each.variables for each in asked))
        return Statement(
            name=sid or self._part, denies=denies, principals=principals, actions=meant, resources=resources, others=others, conditions=asked,
            variables=variables,
        )

    def _one_of(self, name: str) -> str:
        there = [each for each in (name, f"Not{name}") if each in self._said]
        if len(there) != 1:
            raise _wrong(f"{self._part}.{name}", f"expected {name} or Not{name}, and one of them only")
        return there[0]

    def _principals(self, element: str) -> Iterator[Principal]:
        said, part = self._said[element], f"{self._part}.{element}"
        if said == "*":
            yield Principal()
            return
        if not isinstance(said, Mapping) or not said:
            raise _wrong(part, 'expected "*", or an object with AWS or CanonicalUser')
        for kind in said:
            if kind not in ("AWS", "CanonicalUser"):
                raise _wrong(f"{part}.{kind}", "there are AWS and CanonicalUser only")
            for text in _texts(said[kind], f"{part}.{kind}"):
                yield _canonical(text, part) if kind == "CanonicalUser" else _somebody(text, part)

    def _actions(self, element: str, resources: tuple[Pattern, ...] | None) -> tuple[Pattern, ...]:
        part, found = f"{self._part}.{element}", []
        for text in _texts(self._said[element], part):
            pattern = Pattern(text, any_case=True)
            meant = actions.named(pattern)
            if not meant:
                raise _wrong(part, f"there is no action {text[:128]}")
            if resources is not None and not self._is_about(meant, resources):
                raise _wrong(part, f"{text[:128]} applies to none of the resources: buckets are {_ARN}{self._bucket}, objects {_ARN}{self._bucket}/*")
            found.append(pattern)
        return tuple(found)

    def _is_about(self, meant: frozenset[str], resources: tuple[Pattern, ...]) -> bool:
        name = f"{_ARN}{self._bucket}"
        return (bool(meant & actions.OF_BUCKETS) and any(each.can_fit(name) for each in resources)) or (
            bool(meant & actions.OF_OBJECTS) and any(each.can_fit_behind(f"{name}/") for each in resources)
        )

    def _resources(self, element: str) -> tuple[Pattern, ...]:
        part, found, name = f"{self._part}.{element}", [], f"{_ARN}{self._bucket}"
        for text in _texts(self._said[element], part):
            if text != "*" and not text.startswith(_ARN):
                raise _wrong(part, f"expected {_ARN}… , not {text[:128]}")
            try:
                pattern = Pattern(text, known=self._known)
            except PatternError as error:
                raise _wrong(part, str(error)) from None
            if not pattern.can_fit(name) and not pattern.can_fit_behind(f"{name}/"):
                raise _wrong(part, f"{text[:128]} is not in this bucket")
            found.append(pattern)
        return tuple(found)

    def _conditions(self) -> Iterator[Condition]:
        said, part = self._said.get("Condition", {}), f"{self._part}.Condition"
        if not isinstance(said, Mapping):
            raise _wrong(part, "expected an object")
        for operator, asked in said.items():
            if not isinstance(asked, Mapping) or not asked:
                raise _wrong(f"{part}.{operator}", "expected an object of keys with values")
            for key, values in asked.items():
                try:
                    yield conditions.read(operator, key, _texts(values, f"{part}.{operator}.{key}", plain=True), variables=self._with_variables)
                except ConditionError as error:
                    raise _wrong(f"{part}.{operator}.{key}", str(error)) from None


def _somebody(text: str, part: str) -> Principal:
    if text == "*":
        return Principal()
    match = _PRINCIPAL.fullmatch(text)
    found = _id(match[1] if match is not None else text)
    if found is None:
        raise _wrong(part, f"expected arn:aws:iam::<project id>:root or …:user/<name>, not {text[:128]}")
    return Principal(project_id=found, user_name=(match[3] or "") if match is not None else "")


def _canonical(text: str, part: str) -> Principal:
    found = _id(text)
    if found is None:
        raise _wrong(part, f"expected the id of a user, not {text[:128]}")
    return Principal(user_id=found)


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if re.fullmatch(r"[0-9a-fA-F-]{32,36}", text) else None
    except ValueError:
        return None


def _texts(said: Any, part: str, *, plain: bool = False) -> list[str]:
    """One text or a list of them. `plain`: numbers, true and false will do."""
    listed = said if isinstance(said, list) else [said]
    if plain:
        listed = [json.dumps(each) if isinstance(each, bool | int | float) else each for each in listed]
    if not listed or not all(isinstance(each, str) for each in listed):
        raise _wrong(part, "expected a text, or a list of texts")
    return list(listed)


def _wrong(part: str, text: str) -> Invalid:
    return Invalid("bucket.policy", f"{part}: {text}." if part else f"{text}.", field="policy", part=part)
