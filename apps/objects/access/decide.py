"""The decision: what a policy denies is denied; then a role in the bucket's project allows, then the policy, then the access lists.

From outside of the project nobody gets more by policies and lists than its own role would let it do at home: a key that is for
reading stays one. What is open to everybody is open to it all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from apps.objects.access import acl
from apps.objects.access.acl import Acl
from apps.objects.access.actions import ON_POLICIES
from apps.objects.access.asking import NOBODY, Owner, Question
from apps.objects.access.policy import Effect, Policy


@dataclass(frozen=True, kw_only=True)
class Thing:
    """An object, or an upload that will be one: its list and owner."""

    acl: Acl | None
    owner: Owner


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is known where a question is decided. `thing`: the object, if it is there.

    `by_role`: a role in the bucket's project, or on the system, allows the action. `able`: the subject's role where it works would
    allow it there. `keeper`: one who can undo every policy of this bucket: who made it, admins of its project, operators.
    """

    question: Question
    owner: Owner
    now: datetime
    policy: Policy | None = None
    acl: Acl | None = None
    thing: Thing | None = None
    by_role: bool = False
    able: bool = False
    keeper: bool = False


@dataclass(frozen=True)
class Verdict:
    """`denied_by`: the statement of the policy that forbids it; empty where nothing allows it."""

    allowed: bool
    denied_by: str = ""


def decide(case: Case) -> Verdict:
    """Pure: the same case is always decided alike."""
    question = case.question
    if question.action in ON_POLICIES and not case.by_role:
        return Verdict(False)
    effect, statement = _effect(case, question)
    if effect is Effect.DENY and not (case.keeper and question.action in ON_POLICIES):
        return Verdict(False, statement)
    if case.by_role:
        return Verdict(True)
    if case.able and (effect is Effect.ALLOW or _listed(case, question)):
        return Verdict(True)
    return Verdict(_open_to_all(case))


def _open_to_all(case: Case) -> bool:
    stranger = replace(case.question, subject=NOBODY)
    return _effect(case, stranger)[0] is Effect.ALLOW or _listed(case, stranger)


def _effect(case: Case, question: Question) -> tuple[Effect, str]:
    return case.policy.effect(question, case.now) if case.policy is not None else (Effect.NONE, "")


def _listed(case: Case, question: Question) -> bool:
    if acl.of_bucket(question, case.acl, case.owner, is_new=case.thing is None):
        return True
    return case.thing is not None and acl.of_object(question, case.thing.acl, case.thing.owner, case.owner)


def facts_of_version(version: str) -> dict[str, str]:
    """Which version is asked for, as conditions ask about it; wherever the request says it."""
    return {"s3:versionid": version} if version else {}


def facts_of_existing(tags: Mapping[str, Any]) -> dict[str, str]:
    """What an object that is there says."""
    return {f"s3:existingobjecttag/{name}": str(value) for name, value in tags.items()}


def facts_of_new(tags: Mapping[str, Any], access_list: Acl | None = None) -> dict[str, str]:
    """What an object is to be, wherever the request says it: a form has fields, an upload in parts was begun with it."""
    facts = {f"s3:requestobjecttag/{name}": str(value) for name, value in tags.items()}
    if access_list and "canned" in access_list:
        facts["s3:x-amz-acl"] = access_list["canned"]
    return facts
