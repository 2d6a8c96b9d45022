"""Reads of decisions and of server groups; of these the project's only, unless an operator asks."""

import uuid
from collections.abc import Collection
from datetime import datetime

import orjson
from django.db.models import Count, Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import Conflict, NotFound
from apps.identity import policy
from apps.scheduler.models import Decision, GroupMember, ServerGroup
from apps.scheduler.request import Group
from apps.scheduler.states import GroupPolicy


def decisions(instance_id: uuid.UUID) -> list[Decision]:
    """All decisions about one instance, newest first."""
    return list(Decision.objects.filter(instance_id=instance_id).order_by("-pk"))


def decision(*, actor: Actor, decision_id: uuid.UUID) -> Decision:
    """One decision about an instance of the project, or of any for operators. Raises Forbidden, NotFound."""
    permission = "compute.instance.explain"
    policy.require(actor, permission)
    rows = Decision.objects.filter(pk=decision_id)
    if not policy.everywhere(actor, permission):
        rows = rows.filter(Q(project_id=actor.project_id), project_id__isnull=False)
    found = rows.first()
    if found is None:
        raise NotFound("decision.not_found", f"There is no decision {decision_id} in this project (any more).")
    return found


def every_decision(
    *, actor: Actor, instance_id: uuid.UUID | None = None, host_id: uuid.UUID | None = None, host: str = "",
    project_id: uuid.UUID | None = None, outcome: str = "", since: datetime | None = None, until: datetime | None = None,
) -> "QuerySet[Decision]":
    """Of all projects; `host`: its name; `outcome`: `placed` or `no_host`. Raises Forbidden."""
    policy.require_everywhere(actor, "scheduler.decision.list")
    asked = {
        "instance_id": instance_id, "host_id": host_id, "host_name": host or None, "project_id": project_id, "at__gte": since,
        "at__lt": until, "host_id__isnull": {"placed": False, "no_host": True}.get(outcome),
    }
    return Decision.objects.filter(**{name: value for name, value in asked.items() if value is not None})


def alternates(instance_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[uuid.UUID]]:
    """Operation id → the hosts that its last decision has left for a retry, the best first."""
    rows = Decision.objects.filter(instance_id__in=instance_ids).order_by("pk")
    return {
        operation_id: [uuid.UUID(host_id) for host_id, _ in orjson.loads(kept)]
        for operation_id, kept in rows.values_list("operation_id", "alternates")
        if operation_id is not None
    }


def server_groups(*, actor: Actor, all_projects: bool = False) -> "QuerySet[ServerGroup]":
    """The project's with their members; operators may ask for all projects'. Raises Forbidden."""
    permission = "scheduler.server_group.list"
    policy.require(actor, permission)
    return _visible(actor, permission, all_projects=all_projects).prefetch_related("members")


def server_group(
    *, actor: Actor, group_id: uuid.UUID, permission: str = "scheduler.server_group.get", lock: bool = False
) -> ServerGroup:
    """`permission`: what is to be done with it; `lock`: so that nobody joins, in the caller's transaction. Raises Forbidden, NotFound."""
    policy.require(actor, permission)
    rows = _visible(actor, permission).filter(pk=group_id)
    found = (rows.select_for_update() if lock else rows).first()
    if found is None:
        raise no_group(group_id)
    return found


def server_group_named(*, actor: Actor, name: str) -> ServerGroup:
    """The only one of that name in the project. Raises Forbidden, NotFound, Conflict `server_group.ambiguous`."""
    policy.require(actor, "scheduler.server_group.get")
    found = list(ServerGroup.objects.filter(Q(project_id=actor.project_id), name=name)[:2])
    if not found:
        raise NotFound("server_group.not_found", f"There is no server group named {name!r} in this project.", field="server_group")
    if len(found) > 1:
        raise Conflict("server_group.ambiguous", f"Several server groups of this project are named {name!r}: give an id.", field="server_group")
    return found[0]


def standing(group: ServerGroup) -> Group:
    """A group and where its members are at this moment; who places one locks it instead (`services.groups`)."""
    placed = group.members.filter(host_id__isnull=False).values_list("host_id").annotate(Count("pk")).order_by()
    return Group(group.pk, GroupPolicy(group.policy), group.max_per_host, {host_id: count for host_id, count in placed if host_id})


def members() -> dict[uuid.UUID, tuple[uuid.UUID, uuid.UUID | None]]:
    """Every member: instance → its group, and the host that it is said to be on. For the audit."""
    return {pk: (group_id, host_id) for pk, group_id, host_id in GroupMember.objects.values_list("pk", "group_id", "host_id")}


def usage(project_ids: Collection[uuid.UUID] | None) -> dict[uuid.UUID, dict[str, int]]:
    """What server groups count as in quotas, by project."""
    rows = ServerGroup.objects.all()
    if project_ids is not None:
        rows = rows.filter(project_id__in=list(project_ids))
    counted = rows.values_list("project_id").annotate(Count("pk", distinct=True), Count("members")).order_by()
    return {project_id: {"server_groups": groups, "server_group_members": members} for project_id, groups, members in counted}


def no_group(group_id: uuid.UUID) -> NotFound:
    return NotFound("server_group.not_found", f"There is no server group {group_id} in this project.", field="server_group_id")


def _visible(actor: Actor, permission: str, *, all_projects: bool = True) -> "QuerySet[ServerGroup]":
    if all_projects and policy.everywhere(actor, permission):
        return ServerGroup.objects.all()
    return ServerGroup.objects.filter(Q(project_id=actor.project_id))
