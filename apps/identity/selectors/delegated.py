"""Reads of what lets programs act for a user: application credentials, their access rules, access keys, trusts, kept secrets.

They are a user's own. Roles on the system reach those of others, named by `user_id`; what one may not see is not there.
"""

import uuid
from typing import TypeVar

from django.db.models import Model, Prefetch, Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import policy
from apps.identity.models import AccessRule, ApplicationCredential, Credential, Role, Trust

M = TypeVar("M", bound=Model)
ACCESS_KEY = "ec2"


def application_credentials(*, actor: Actor, user_id: uuid.UUID | None = None) -> "QuerySet[ApplicationCredential]":
    """One's own, or another user's. Raises Forbidden."""
    user_id = _of(actor, "identity.application_credential.list", user_id)
    rows = ApplicationCredential.objects.filter(Q(user_id=user_id)).select_related("project")
    return rows.prefetch_related(Prefetch("roles", Role.objects.order_by("name")), "access_rules")


def application_credential(
    *, actor: Actor, credential_id: uuid.UUID, user_id: uuid.UUID | None = None,
    permission: str = "identity.application_credential.get",
) -> ApplicationCredential:
    """`user_id`: only if it is that user's. Raises NotFound, Forbidden."""
    rows = ApplicationCredential.objects.select_related("project").prefetch_related("roles", "access_rules")
    found = rows.filter(_whose(user_id), pk=credential_id).first()
    return owned(actor, permission, found, "application credential", credential_id)


def access_rules(*, actor: Actor, user_id: uuid.UUID | None = None) -> "QuerySet[AccessRule]":
    """One's own, or another user's. Raises Forbidden."""
    user_id = _of(actor, "identity.application_credential.list", user_id)
    return AccessRule.objects.filter(Q(user_id=user_id))


def access_rule(
    *, actor: Actor, rule_id: uuid.UUID, user_id: uuid.UUID | None = None, permission: str = "identity.application_credential.get"
) -> AccessRule:
    """`user_id`: only if it is that user's. Raises NotFound, Forbidden."""
    return owned(actor, permission, AccessRule.objects.filter(_whose(user_id), pk=rule_id).first(), "access rule", rule_id)


def access_keys(*, actor: Actor, user_id: uuid.UUID | None = None) -> "QuerySet[Credential]":
    """One's own, or another user's. Raises Forbidden."""
    user_id = _of(actor, "identity.access_key.list", user_id)
    return Credential.objects.filter(Q(user_id=user_id), type=ACCESS_KEY).select_related("project").defer("blob")


def access_key(
    *, actor: Actor, access: str = "", key_id: uuid.UUID | None = None, user_id: uuid.UUID | None = None,
    permission: str = "identity.access_key.get",
) -> Credential:
    """By its public id or that of its row; `user_id`: only if it is that user's. Raises NotFound, Forbidden."""
    rows = Credential.objects.filter(_whose(user_id), type=ACCESS_KEY).select_related("project")
    found = rows.filter(Q(pk=key_id) if key_id is not None else Q(access=access)).first()
    return owned(actor, permission, found, "access key", access or key_id)


def trusts(*, actor: Actor, trustor_id: uuid.UUID | None = None, trustee_id: uuid.UUID | None = None) -> "QuerySet[Trust]":
    """Trusts that hold: given by one, taken by one, or all of them for whom may see them. Raises Forbidden."""
    rows = _trusts().filter(deleted_at=None)
    if trustor_id is None and trustee_id is None:
        if not policy.everywhere(actor, "identity.trust.list"):
            policy.require(actor, "identity.trust.list", user_id=actor.user_id)
            rows = rows.filter(Q(trustor_id=actor.user_id) | Q(trustee_id=actor.user_id))
        return rows
    for user_id, name in ((trustor_id, "trustor_id"), (trustee_id, "trustee_id")):
        if user_id is not None:
            rows = rows.filter(**{name: user_id})
    me = actor.user_id if actor.user_id in (trustor_id, trustee_id) else trustor_id or trustee_id
    policy.require(actor, "identity.trust.list", user_id=me)
    return rows


def trust(*, actor: Actor, trust_id: uuid.UUID, permission: str = "identity.trust.get") -> Trust:
    """One that holds, given or taken by the actor. Raises NotFound, Forbidden."""
    found = _trusts().filter(pk=trust_id, deleted_at=None).first()
    if found is None or (actor.user_id not in (found.trustor_id, found.trustee_id) and not policy.everywhere(actor, permission)):
        raise _nothing("trust", trust_id)
    policy.require(actor, permission, user_id=actor.user_id)
    return found


def credentials(*, actor: Actor, user_id: uuid.UUID | None = None, type: str = "") -> "QuerySet[Credential]":  # noqa: A002
    """Kept secrets of all kinds: one's own, another user's, or all of them for whom may see them. Raises Forbidden."""
    rows = Credential.objects.filter(verified=True, **({"type": type} if type else {}))
    if user_id is None and policy.everywhere(actor, "identity.credential.list"):
        return rows
    return rows.filter(Q(user_id=_of(actor, "identity.credential.list", user_id)))


def credential(*, actor: Actor, credential_id: uuid.UUID, permission: str = "identity.credential.get") -> Credential:
    """Raises NotFound, Forbidden."""
    found = Credential.objects.filter(pk=credential_id, verified=True).first()
    return owned(actor, permission, found, "credential", credential_id)


def owned(actor: Actor, permission: str, row: M | None, thing: str, asked: object) -> M:
    """A row of the actor's, or of another user's that the permission reaches. Raises NotFound, Forbidden (one's own, but not so)."""
    owner: uuid.UUID | None = getattr(row, "user_id", None)
    if row is None or (owner != actor.user_id and not policy.everywhere(actor, permission)):
        raise _nothing(thing, asked)
    policy.require(actor, permission, user_id=owner)
    return row


def _trusts() -> "QuerySet[Trust]":
    return Trust.objects.select_related("trustor", "trustee", "project").prefetch_related("roles")


def _whose(user_id: uuid.UUID | None) -> Q:
    return Q() if user_id is None else Q(user_id=user_id)


def _of(actor: Actor, permission: str, user_id: uuid.UUID | None) -> uuid.UUID | None:
    user_id = user_id or actor.user_id
    policy.require(actor, permission, user_id=user_id)
    return user_id


def _nothing(thing: str, asked: object) -> NotFound:
    return NotFound(f"{thing.replace(' ', '_')}.not_found", f"There is no {thing} {asked} of yours.")
