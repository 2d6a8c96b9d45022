"""To whom a bucket is open besides its project, as one word for lists and pages. Requests are decided one by one, by `decide`.

It is about the bucket: single objects can have lists of their own.
"""

import enum

from apps.objects.access import acl, actions
from apps.objects.access.acl import Acl
from apps.objects.access.policy import Policy, Principal, Statement

_CHANGES = frozenset({"s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectAcl", "s3:PutBucketAcl", "s3:PutObjectTagging"})
_EVERYBODY = Principal()


class Exposure(enum.IntEnum):
    """NOBODY: to the project only. SOME: to those who are named, who are signed in, or who meet a condition. READ, WRITE: to everybody, key or
    not; all of the bucket or a part of it."""

    NOBODY, SOME, READ, WRITE = range(4)


def exposure(access_list: Acl | None, policy: Policy | None, *, owner: str) -> Exposure:
    """What list and policy give at most; what the policy denies again is not taken off. `owner`: canonical id of who made the bucket."""
    by_list = max((_of_grant(*grant) for grant in acl.spelled_out(access_list, owner, owner) if grant[0] != owner), default=Exposure.NOBODY)
    by_policy = max((_of_statement(each) for each in policy.statements if not each.denies), default=Exposure.NOBODY) if policy else Exposure.NOBODY
    return max(by_list, by_policy)


def _of_grant(grantee: str, permission: str) -> Exposure:
    if grantee != acl.ALL:
        return Exposure.SOME
    return Exposure.WRITE if permission in ("WRITE", "WRITE_ACP", "FULL_CONTROL") else Exposure.READ


def _of_statement(statement: Statement) -> Exposure:
    if _EVERYBODY not in statement.principals or statement.conditions or statement.variables:
        return Exposure.SOME
    meant = frozenset().union(*(actions.named(each) for each in statement.actions))
    if "Action" in statement.others:
        meant = actions.KNOWN - meant
    return Exposure.WRITE if meant & _CHANGES else Exposure.READ
