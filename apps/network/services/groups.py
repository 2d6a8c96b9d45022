"""Security groups and their rules, and which ports are in them."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, InvalidState, NotFound
from apps.common.sql import SAMPLE, Compiled, hold, insert_rows
from apps.identity import policy
from apps.identity.fields import check_text
from apps.network import builtin, selectors
from apps.network.models import Port, PortGroup, Rule, SecurityGroup
from apps.network.selectors.groups import not_found
from apps.network.selectors.networks import COUNTED_PORTS
from apps.network.services import changes, in_the_way, rules
from apps.network.services.rules import Terms
from apps.network.states import Direction
from apps.quotas.services import reservations

# Every host of a member carries all rules, and a packet may be compared with all of them.
MOST_RULES, MOST_GROUPS = 500, 16
_NAME, _DESCRIPTION = 64, 255
_OUT = (Terms(direction=Direction.EGRESS.value, family=4), Terms(direction=Direction.EGRESS.value, family=6))


class GroupChanges(TypedDict, total=False):
    """What may be changed."""

    name: str
    description: str


def create(*, actor: Actor, name: str, description: str = "") -> SecurityGroup:
    """A group whose members may send anything, and are sent nothing but answers.

    Raises Forbidden, Invalid, Conflict `security_group.exists`, QuotaExceeded.
    """
    policy.require(actor, "network.security_group.create")
    project_id = policy.in_project(actor)
    _check(name=name, description=description)
    if name == builtin.DEFAULT_NAME:
        raise _exists(name)  # or will, as soon as somebody needs it
    try:
        with transaction.atomic():
            group = SecurityGroup.objects.create(project_id=project_id, name=name, description=description)
            insert_rows([_rule(group.pk, terms) for terms in _OUT])
            record.write(actor, "network.security_group.create", "security_group", group.pk, project_id=project_id, name=name)
            reservations.reserve(project_id=project_id, amounts={"security_groups": 1})
    except IntegrityError:
        raise _exists(name) from None
    return group


_DEFAULT = Compiled(lambda project_id: SecurityGroup.objects.filter(project_id=project_id, is_default=True), SAMPLE)


def ensure_default(project_id: uuid.UUID) -> SecurityGroup:
    """The group of ports for which nobody has named one; made on first use, and no quota counts it.

    Its members may send anything, and are sent what other members send. Nobody asked for it, so the audit trail says nothing.
    """
    found = _DEFAULT.first(project_id)
    if found is not None:
        return found
    group = SecurityGroup(
        project_id=project_id, name=builtin.DEFAULT_NAME, is_default=True, description="For ports for which no group was named."
    )
    members = [Terms(direction=Direction.INGRESS.value, family=family, remote_group_id=group.pk) for family in (4, 6)]
    try:
        with transaction.atomic():
            group.save(force_insert=True)
            insert_rows([_rule(group.pk, terms) for terms in (*_OUT, *members)])
    except IntegrityError:
        return SecurityGroup.objects.get(project_id=project_id, is_default=True)  # a twin was first
    return group


def update(*, actor: Actor, group_id: uuid.UUID, **wanted: Unpack[GroupChanges]) -> SecurityGroup:
    """Raises NotFound, Forbidden, Invalid, Conflict `security_group.exists`, InvalidState `security_group.default`."""
    _check(**wanted)
    try:
        with transaction.atomic():
            group = selectors.group(actor=actor, group_id=group_id, permission="network.security_group.update", lock=True)
            changed = record.changed(group, **wanted)
            if group.is_default and "name" in changed:
                raise _of_default("renamed", field="name")
            if changed.get("name", [])[1:] == [builtin.DEFAULT_NAME]:
                raise _exists(builtin.DEFAULT_NAME)
            for field, (_, value) in changed.items():
                setattr(group, field, value)
            if changed:
                group.save(update_fields=list(changed))
                _record(actor, group, changed)
    except IntegrityError:
        raise _exists(wanted.get("name", "")) from None
    return group


@transaction.atomic
def delete(*, actor: Actor, group_id: uuid.UUID) -> None:
    """A group that no port is in, and no rule of another group names.

    Raises NotFound, Forbidden, InvalidState `security_group.default`, `security_group.in_use`.
    """
    group = selectors.group(actor=actor, group_id=group_id, permission="network.security_group.delete", lock=True)
    if group.is_default:
        raise _of_default("deleted")
    naming = SecurityGroup.objects.filter(rules__remote_group=group).exclude(pk=group.pk).distinct()
    in_the_way.require_none(
        actor, "security_group", group.name, port=Port.objects.filter(memberships__group=group), security_group=naming
    )
    record.write(actor, "network.security_group.delete", "security_group", group.pk, project_id=group.project_id, name=group.name)
    Rule.objects.filter(group=group).delete()
    SecurityGroup.objects.filter(pk=group.pk).delete()
    reservations.release(project_id=group.project_id, amounts={"security_groups": 1})


@transaction.atomic
def add_rule(
    *, actor: Actor, group_id: uuid.UUID, direction: str, family: int = 4, protocol: int | str | None = None,
    first: int | None = None, last: int | None = None, cidr: str = "", remote_group_id: uuid.UUID | None = None,
    description: str = "",
) -> Rule:
    """Allow something more to all members at once; arguments as `rules.checked` says.

    Raises NotFound (group, remote group), Forbidden, Invalid (`rule.…`), Conflict `rule.exists`, InvalidState `rule.too_many`.
    """
    terms = rules.checked(
        direction=direction, family=family, protocol=protocol, first=first, last=last, cidr=cidr, remote_group_id=remote_group_id
    )
    check_text(description, most=_DESCRIPTION)
    seen = selectors.group(actor=actor, group_id=group_id, permission="network.security_group.update")
    group = _locked(seen, remote_group_id)
    twin = group.rules.filter(fingerprint=terms.fingerprint).first()
    if twin is not None:
        raise Conflict("rule.exists", f"The group {group.name} has this rule already: {twin.pk}.", rule_id=str(twin.pk))
    if group.rules.count() >= MOST_RULES:
        raise InvalidState("rule.too_many", f"The group {group.name} has {MOST_RULES} rules, and no group has more.", limit=MOST_RULES)
    rule = _rule(group.pk, terms, description)
    rule.save(force_insert=True)
    _record(actor, group, {"rule": terms.fingerprint})
    changes.group(group.pk)
    return rule


@transaction.atomic
def delete_rule(*, actor: Actor, rule_id: uuid.UUID) -> None:
    """What it allowed ends at once, also for connections that are open. Raises NotFound, Forbidden."""
    permission = "network.security_group.update"
    rule = selectors.rule(actor=actor, rule_id=rule_id, permission=permission)
    group = selectors.group(actor=actor, group_id=rule.group_id, permission=permission, lock=True)
    if Rule.objects.filter(pk=rule.pk).delete()[0]:
        _record(actor, group, {"rule": [rule.fingerprint, None]})
        changes.group(group.pk)


@transaction.atomic
def set_of_port(*, actor: Actor, port_id: uuid.UUID, group_ids: Collection[uuid.UUID]) -> list[uuid.UUID]:
    """Have a port be in exactly these groups of its project, from now on; none: it is sent nothing but answers, and sends nothing.

    Returns them. Raises NotFound (port, group), Forbidden, Invalid `port.groups`, InvalidState `port.no_port_security`.
    """
    policy.require(actor, "network.port.update")
    seen = _port(actor, port_id)
    wanted = joinable(project_id=seen.project_id, group_ids=group_ids)
    port = Port.objects.select_for_update(no_key=True).filter(pk=port_id).first()
    if port is None:
        raise _no_port(port_id)
    if wanted and not port.port_security:
        raise InvalidState(
            "port.no_port_security", "Port security is off on this port, so no security group holds there: switch it on first.",
            field="security_groups",
        )
    had = set(PortGroup.objects.filter(port=port).values_list("group_id", flat=True))
    left, joined = had.difference(wanted), [group_id for group_id in wanted if group_id not in had]
    if left or joined:
        PortGroup.objects.filter(port=port, group_id__in=left).delete()
        insert_rows([PortGroup(port_id=port.pk, group_id=group_id) for group_id in joined])
        pair = [tuple(sorted(map(str, groups))) for groups in (had, wanted)]
        record.write(
            actor, "network.port.update", "port", port.pk, project_id=port.project_id, name=port.name, changes={"groups": pair}
        )
        changes.members([port.pk], left=left)
    return wanted


def joinable(*, project_id: uuid.UUID | None, group_ids: Iterable[uuid.UUID], field: str = "security_groups") -> list[uuid.UUID]:
    """These groups of a project, each once, in their order; none of them is deleted before the transaction ends.

    Raises NotFound, naming the first that is not there; Invalid `port.groups`.
    """
    wanted = list(dict.fromkeys(group_ids))
    if len(wanted) > MOST_GROUPS:
        raise Invalid("port.groups", f"{field}: a port is in at most {MOST_GROUPS} groups, got {len(wanted)}.", field=field)
    if not wanted:
        return []
    held = hold(SecurityGroup, wanted)
    ours = set(SecurityGroup.objects.filter(Q(project_id=project_id), pk__in=held).values_list("pk", flat=True))
    for group_id in wanted:
        if group_id not in ours:
            raise not_found(group_id, field)
    return wanted


def forget(project_ids: Collection[uuid.UUID]) -> None:
    """Projects are gone: so are their default groups, which nobody else deletes."""
    gone = SecurityGroup.objects.filter(project_id__in=list(project_ids), is_default=True)
    Rule.objects.filter(group__in=gone).delete()
    gone.delete()


def _locked(group: SecurityGroup, remote_group_id: uuid.UUID | None) -> SecurityGroup:
    """The group, for change, and the one that its new rule names; whoever takes both takes them in the same order."""
    ids: Sequence[uuid.UUID] = [group.pk] if remote_group_id is None else [group.pk, remote_group_id]
    rows = SecurityGroup.objects.filter(pk__in=ids, project_id=group.project_id).order_by("pk")
    found = {row.pk: row for row in rows.select_for_update(no_key=True)}
    if group.pk not in found:
        raise not_found(group.pk)
    if remote_group_id is not None and remote_group_id not in found:
        raise not_found(remote_group_id, "remote_group_id")
    return found[group.pk]


def _port(actor: Actor, port_id: uuid.UUID) -> Port:
    """One of the project's own: what stands for a floating address or a host's way out has no groups."""
    found = Port.objects.filter(pk=port_id, device_kind__in=COUNTED_PORTS).first()
    if found is None or (found.project_id != actor.project_id and not policy.everywhere(actor, "network.port.update")):
        raise _no_port(port_id)
    return found


def _rule(group_id: uuid.UUID, terms: Terms, description: str = "") -> Rule:
    return Rule(
        group_id=group_id, direction=terms.direction, family=terms.family, protocol=terms.protocol, first=terms.first,
        last=terms.last, cidr=terms.cidr, remote_group_id=terms.remote_group_id, fingerprint=terms.fingerprint,
        description=description,
    )


def _check(*, name: str | None = None, description: str | None = None) -> None:
    if name is not None:
        check_name(name, most=_NAME)
    if description is not None:
        check_text(description, most=_DESCRIPTION)


def _record(actor: Actor, group: SecurityGroup, changed: Mapping[str, Any]) -> None:
    record.write(
        actor, "network.security_group.update", "security_group", group.pk, project_id=group.project_id, name=group.name,
        changes=changed,
    )


def _exists(name: str) -> Conflict:
    return Conflict("security_group.exists", f"This project has a security group named {name!r} already.", field="name")


def _of_default(what: str, *, field: str | None = None) -> InvalidState:
    return InvalidState("security_group.default", f"The project's default security group cannot be {what}.", field=field)


def _no_port(port_id: uuid.UUID) -> NotFound:
    return NotFound("port.not_found", f"There is no port {port_id} in this project.", field="port_id")
