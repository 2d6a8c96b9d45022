"""Security groups and their rules: of the actor's project only; nobody shares them."""

import uuid

from django.db.models import Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import policy
from apps.network.models import Rule, SecurityGroup


def groups(*, actor: Actor, all_projects: bool = False) -> "QuerySet[SecurityGroup]":
    """The project's with their rules; operators may ask for all projects'. Raises Forbidden."""
    permission = "network.security_group.list"
    policy.require(actor, permission)
    return _visible(actor, permission, all_projects=all_projects).prefetch_related("rules")


def group(
    *, actor: Actor, group_id: uuid.UUID, permission: str = "network.security_group.get", lock: bool = False
) -> SecurityGroup:
    """`permission`: what is to be done with it; `lock`: for change in the caller's transaction. Raises Forbidden, NotFound."""
    policy.require(actor, permission)
    rows = _visible(actor, permission).filter(pk=group_id)
    # What only refers to the group, as a port's membership, does not wait for changes of it.
    found = (rows.select_for_update(no_key=permission != "network.security_group.delete") if lock else rows).first()
    if found is None:
        raise not_found(group_id)
    return found


def group_named(*, actor: Actor, name: str) -> SecurityGroup:
    """The project's of that name. Raises Forbidden, NotFound."""
    policy.require(actor, "network.security_group.get")
    found = SecurityGroup.objects.filter(Q(project_id=actor.project_id), name=name).first()
    if found is None:
        raise NotFound("security_group.not_found", f"There is no security group named {name!r} in this project.", field="group")
    return found


def rules(*, actor: Actor, all_projects: bool = False) -> "QuerySet[Rule]":
    """Those of the project's groups; operators may ask for all projects'. Raises Forbidden."""
    permission = "network.security_group.list"
    policy.require(actor, permission)
    return _rules(actor, permission, all_projects=all_projects)


def rule(*, actor: Actor, rule_id: uuid.UUID, permission: str = "network.security_group.get") -> Rule:
    """One with its group. Raises Forbidden, NotFound."""
    policy.require(actor, permission)
    found = _rules(actor, permission).filter(pk=rule_id).first()
    if found is None:
        raise NotFound("rule.not_found", f"There is no rule {rule_id} in this project.", field="rule_id")
    return found


def not_found(group_id: uuid.UUID, field: str = "security_group_id") -> NotFound:
    return NotFound("security_group.not_found", f"There is no security group {group_id} in this project.", field=field)


def _visible(actor: Actor, permission: str, *, all_projects: bool = True) -> "QuerySet[SecurityGroup]":
    if all_projects and policy.everywhere(actor, permission):
        return SecurityGroup.objects.all()
    return SecurityGroup.objects.filter(Q(project_id=actor.project_id))


def _rules(actor: Actor, permission: str, *, all_projects: bool = True) -> "QuerySet[Rule]":
    rows = Rule.objects.select_related("group")
    if all_projects and policy.everywhere(actor, permission):
        return rows
    return rows.filter(Q(group__project_id=actor.project_id))
