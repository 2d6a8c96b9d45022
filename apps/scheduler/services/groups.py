"""Server groups: instances of a project that belong on one host, or apart.

Exact whatever runs at once: who places members holds the rows of their groups from before it chooses until it commits, so
nobody else places one meanwhile; and of an `anti-affinity` group the database takes no member too many on a host. Groups
are locked after operations and before inventories, by id. An instance is in its group from its creation to its end.
"""

import uuid
from collections.abc import Iterable, Sequence
from functools import partial

from django.db import transaction
from django.db.models import Count

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Invalid, InvalidState
from apps.common.sql import hold, insert_rows, update_rows
from apps.identity import policy as permissions
from apps.operations.services import idempotency
from apps.operations.services.idempotency import Claim
from apps.quotas.services import reservations
from apps.scheduler import selectors
from apps.scheduler.models import GroupMember, ServerGroup
from apps.scheduler.request import Group
from apps.scheduler.states import GroupPolicy

MOST_PER_HOST = 1000
# So many members are named by a refusal.
_NAMED = 5
# Group, instance, host.
Seated = tuple[uuid.UUID, uuid.UUID, uuid.UUID]


def create(*, actor: Actor, name: str, policy: str, max_per_host: int = 1, client_token: str = "") -> ServerGroup:
    """A group without members.

    `client_token`: with the same one the same request is done once, and answered alike. Raises Forbidden, Invalid
    `server_group.policy`, `server_group.max_per_host`, Conflict `client_token.reused`, NotFound (gone since), QuotaExceeded.
    """
    permission = "scheduler.server_group.create"
    permissions.require(actor, permission)
    return idempotency.once(
        actor=actor, token=client_token,
        request={"kind": "server_group.create", "name": name, "policy": policy, "max_per_host": max_per_host},
        make=partial(_create, actor, name, policy, max_per_host),
        again=lambda ids: selectors.server_group(actor=actor, group_id=ids[0], permission=permission),
    )


def _create(actor: Actor, name: str, policy: str, max_per_host: int, claim: Claim) -> ServerGroup:
    project_id = permissions.in_project(actor)
    check_name(name)
    _check(policy, max_per_host)
    group = ServerGroup(project_id=project_id, user_id=actor.user_id, name=name, policy=policy, max_per_host=max_per_host)
    with transaction.atomic():
        claim([group.pk])
        group.save(force_insert=True)
        record.write(
            actor, "scheduler.server_group.create", "server_group", group.pk, project_id=project_id, name=name,
            changes={"policy": policy, "max_per_host": max_per_host},
        )
        reservations.reserve(project_id=project_id, amounts={"server_groups": 1})
    return group


@transaction.atomic
def delete(*, actor: Actor, group_id: uuid.UUID) -> None:
    """A group that no instance is in. Raises NotFound, Forbidden, InvalidState `server_group.in_use`."""
    group = selectors.server_group(actor=actor, group_id=group_id, permission="scheduler.server_group.delete", lock=True)
    members = group.members.order_by("pk")
    if count := members.count():
        named = [str(pk) for pk in members.values_list("pk", flat=True)[:_NAMED]]
        more = f" and {count - len(named)} more" if count > len(named) else ""
        raise InvalidState(
            "server_group.in_use",
            f"The server group {group.name} has {count} member{'s' if count != 1 else ''}: the instance{'s' if count != 1 else ''} "
            f"{', '.join(named)}{more}. An instance leaves its group when it is deleted.",
            members=named, count=count,
        )
    record.write(actor, "scheduler.server_group.delete", "server_group", group.pk, project_id=group.project_id, name=group.name)
    group.delete()
    reservations.release(project_id=group.project_id, amounts={"server_groups": 1})


def join(*, group_id: uuid.UUID, instance_ids: Sequence[uuid.UUID]) -> None:
    """New instances become members, inside the transaction that makes them; it counts them, too. Raises NotFound."""
    # Only held: many may join at once, also while members are placed; who deletes the group waits, and then finds them.
    if not hold(ServerGroup, [group_id]):
        raise selectors.no_group(group_id)
    insert_rows([GroupMember(instance_id=instance_id, group_id=group_id) for instance_id in instance_ids])


def leave(instance_ids: Iterable[uuid.UUID]) -> None:
    """These instances are gone, so they are members no more. None is no error; the caller gives back what they counted."""
    GroupMember.objects.filter(pk__in=set(instance_ids)).delete()


def lock(group_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Group]:
    """These groups and where their members are, until the caller's transaction ends. To be called before hosts are chosen; two statements."""
    wanted = set(group_ids)
    if not wanted:
        return {}
    rows = ServerGroup.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    held = {row.pk: Group(row.pk, GroupPolicy(row.policy), row.max_per_host, {}) for row in rows}
    # Not in the statement above: it sees what was committed before it began to wait.
    placed = GroupMember.objects.filter(group__in=held, host_id__isnull=False)
    for group_id, host_id, count in placed.values_list("group_id", "host_id").annotate(Count("pk")).order_by():
        held[group_id].hosts[host_id] = count
    return held


def seat(held: dict[uuid.UUID, Group], placed: Sequence[Seated]) -> None:
    """Members have a host now, of groups that `lock` has locked. Two statements at most.

    Raises IntegrityError if that is one too many on a host of an `anti-affinity` group.
    """
    if not placed:
        return
    taken = _taken(held, placed)
    rows = []
    for group_id, instance_id, host_id in placed:
        number = None
        if held[group_id].policy is GroupPolicy.ANTI_AFFINITY:
            seats = taken.setdefault((group_id, host_id), set())
            most = held[group_id].max_per_host
            # Where all are taken, the last one is asked for all the same: the database says no.
            number = next((each for each in range(1, most + 1) if each not in seats), most)
            seats.add(number)
        rows.append(GroupMember(instance_id=instance_id, group_id=group_id, host_id=host_id, seat=number))
    update_rows(rows, ["host_id", "seat"])


def unseat(instance_ids: Iterable[uuid.UUID]) -> None:
    """These instances are on no host (any more), and stay members. None is no error."""
    GroupMember.objects.filter(pk__in=set(instance_ids), host_id__isnull=False).update(host_id=None, seat=None)


def _taken(held: dict[uuid.UUID, Group], placed: Sequence[Seated]) -> dict[tuple[uuid.UUID, uuid.UUID | None], set[int]]:
    """The seats that others have on these hosts, by group and host."""
    strict = {group_id for group_id, _, _ in placed if held[group_id].policy is GroupPolicy.ANTI_AFFINITY}
    if not strict:
        return {}
    others = GroupMember.objects.filter(group__in=strict, host_id__in={host_id for _, _, host_id in placed}, seat__isnull=False)
    others = others.exclude(pk__in=[instance_id for _, instance_id, _ in placed])
    found: dict[tuple[uuid.UUID, uuid.UUID | None], set[int]] = {}
    for group_id, host_id, number in others.values_list("group_id", "host_id", "seat"):
        found.setdefault((group_id, host_id), set()).add(number or 0)
    return found


def _check(policy: str, max_per_host: int) -> None:
    if policy not in list(GroupPolicy):
        known = ", ".join(GroupPolicy)
        raise Invalid("server_group.policy", f"policy: expected one of {known}, got {policy[:64]!r}.", field="policy")
    if not 1 <= max_per_host <= MOST_PER_HOST:
        text = f"max_per_host: expected 1 to {MOST_PER_HOST}, got {max_per_host}."
        raise Invalid("server_group.max_per_host", text, field="max_per_host")
    if max_per_host > 1 and policy != GroupPolicy.ANTI_AFFINITY:
        text = f"max_per_host: only {GroupPolicy.ANTI_AFFINITY} groups have one, and this one is {policy}."
        raise Invalid("server_group.max_per_host", text, field="max_per_host")
