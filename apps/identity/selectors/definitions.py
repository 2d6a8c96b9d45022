"""Reads of roles and what they imply."""

import uuid

from django.db.models import Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import policy
from apps.identity.models import ImpliedRole, Project, Role
from apps.identity.permissions import Permission


def roles(*, actor: Actor, permission: str = "identity.role.list") -> "QuerySet[Role]":
    """All; or those without a domain, and those of the domain that the actor works in, be it in a project. To be changed:
    only the domain's. Raises Forbidden."""
    if policy.everywhere(actor, permission):
        return Role.objects.all()
    policy.require(actor, permission)
    domain = [actor.domain_id] if actor.domain_id else Project.objects.filter(Q(pk=actor.project_id)).values("domain_id")
    seen = Q(domain_id__in=domain)
    if permission in ("identity.role.list", "identity.role.get"):
        seen |= Q(domain=None)
    return Role.objects.filter(seen)


def role(*, actor: Actor, role_id: uuid.UUID, permission: str = "identity.role.get", lock: bool = False) -> Role:
    """One of them; `lock`: to be changed in the caller's transaction. Raises Forbidden, NotFound."""
    rows = roles(actor=actor, permission=permission).filter(pk=role_id)
    found = rows.select_for_update(no_key=True).first() if lock else rows.first()
    if found is None:
        raise NotFound("role.not_found", f"There is no role {role_id} of yours.", field="role_id")
    return found


def implied_roles(*, actor: Actor, prior_id: uuid.UUID | None = None) -> "QuerySet[ImpliedRole]":
    """Which role implies which at one step, as far as the actor sees both; `prior_id`: of this role. Raises Forbidden,
    NotFound."""
    seen = roles(actor=actor).values("pk")
    rows = ImpliedRole.objects.select_related("prior", "implied").filter(prior_id__in=seen, implied_id__in=seen)
    if prior_id is not None:
        rows = rows.filter(prior=role(actor=actor, role_id=prior_id))
    return rows.order_by("prior__name", "prior_id", "implied__name", "implied_id")


def permissions(*, actor: Actor) -> list[Permission]:
    """The table, with the operator's file over it. Raises Forbidden."""
    policy.require(actor, "identity.permission.list")
    return policy.table()
