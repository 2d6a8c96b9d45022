"""Rows of users and groups that come from the directory: written in few statements, for any number of entries.

The caller's transaction holds `directory_run.locked()`, so nobody else writes them. A name that a user of the database has in
that domain is never taken over; one that another entry had is taken from it, since the directory says whose it is now.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.auth.hashers import make_password
from django.db.models import Q

from apps.audit.services import record
from apps.audit.services.record import Entry
from apps.common.sql import insert_rows, update_rows
from apps.identity.models import Assignment, Group, GroupMember, User
from apps.identity.services import tokens
from apps.identity.services.directory_run import ACTOR, Report

if TYPE_CHECKING:
    from apps.identity.directory.entries import GroupEntry, UserEntry

SOURCE = "ldap"
R = TypeVar("R", User, Group)


def write_users(domain_id: uuid.UUID, entries: Sequence["UserEntry"], report: Report) -> dict[str, uuid.UUID]:
    """Make and change users; whom the directory lets in again is enabled. Returns key → id of those that there are now.

    Nobody is disabled here, and nobody is made whom the directory keeps out.
    """
    rows = {row.external_id: row for row in _rows(User, domain_id, entries)}
    coming = [entry for entry in entries if entry.key in rows or not entry.state]
    refused = _make_room(User, "username", domain_id, coming, rows, report)
    new, changed, created, updated = [], [], [], []
    for entry in coming:
        row = rows.get(entry.key)
        if row is None and entry.key not in refused:
            row = rows[entry.key] = User(
                domain_id=domain_id, username=entry.name, email=entry.email, source=SOURCE, external_id=entry.key,
                password=make_password(None),
            )
            new.append(row)
            created.append(Entry(resource_id=row.pk, name=row.username, project_id=domain_id))
            report.note("users_created", entry.name)
        elif row is not None:
            wanted: dict[str, Any] = {"email": entry.email, **({} if entry.key in refused else {"username": entry.name})}
            if not entry.state and row.directory_state:
                wanted |= {"is_active": True, "directory_state": ""}
                report.note("users_enabled", entry.name)
            if changes := record.changed(row, **wanted):
                for name, (_, value) in changes.items():
                    setattr(row, name, value)
                changed.append(row)
                updated.append(Entry(resource_id=row.pk, name=row.username, project_id=domain_id, changes=_shown(changes)))
                if changes.keys() & {"username", "email"}:
                    report.note("users_changed", entry.name)
    insert_rows(new)
    update_rows(changed, ["username", "email", "is_active", "directory_state"])
    record.write_many(ACTOR, "identity.user.create", "user", created)
    record.write_many(ACTOR, "identity.user.update", "user", updated)
    return {key: row.pk for key, row in rows.items()}


def disable_users(states: Mapping[uuid.UUID, str], report: Report) -> None:
    """These users are out at once, by order of the directory; whoever was disabled here before stays so."""
    ours = User.objects.select_for_update().filter(pk__in=list(states), source=SOURCE)
    rows = [row for row in ours if row.is_active or (row.directory_state and row.directory_state != states[row.pk])]
    told = []
    for row in rows:
        if row.is_active:
            report.note("users_disabled", row.username, states[row.pk])
            changes = {"enabled": [True, False], "directory_state": [row.directory_state, states[row.pk]]}
            told.append(Entry(resource_id=row.pk, name=row.username, project_id=row.domain_id, changes=changes))
        row.is_active, row.directory_state = False, states[row.pk]
    update_rows(rows, ["is_active", "directory_state"])
    tokens.revoke_all_of([row.pk for row in rows])
    record.write_many(ACTOR, "identity.user.update", "user", told)


def write_groups(domain_id: uuid.UUID, entries: Sequence["GroupEntry"], report: Report) -> dict[str, uuid.UUID]:
    """Make and rename groups. Returns key → id of those that there are now."""
    rows = {row.external_id: row for row in _rows(Group, domain_id, entries)}
    refused = _make_room(Group, "name", domain_id, entries, rows, report)
    new, renamed, updated = [], [], []
    for entry in entries:
        row = rows.get(entry.key)
        if entry.key in refused:
            continue
        if row is None:
            row = rows[entry.key] = Group(domain_id=domain_id, name=entry.name, source=SOURCE, external_id=entry.key)
            new.append(row)
            report.note("groups_created", entry.name)
        elif row.name != entry.name:
            updated.append(Entry(resource_id=row.pk, name=entry.name, project_id=domain_id, changes={"name": [row.name, entry.name]}))
            report.note("groups_changed", entry.name, row.name)
            row.name = entry.name
            renamed.append(row)
    insert_rows(new)
    update_rows(renamed, ["name"])
    created = [Entry(resource_id=row.pk, name=row.name, project_id=domain_id) for row in new]
    record.write_many(ACTOR, "identity.group.create", "group", created)
    record.write_many(ACTOR, "identity.group.update", "group", updated)
    return {key: row.pk for key, row in rows.items()}


def delete_groups(group_ids: Collection[uuid.UUID], report: Report) -> None:
    """Groups that the directory has no more. One that has roles stays, without members, and is reported: should it come back,
    so do its roles, and nobody has to remember them."""
    for row in Group.objects.filter(pk__in=list(group_ids), source=SOURCE).order_by("name"):
        roles = Assignment.objects.filter(group=row).count()
        if roles:
            report.problems.append(f"The group {row.name} is gone from the directory and has {roles} roles here: take them, or delete it.")
            continue
        report.note("groups_deleted", row.name)
        record.write(ACTOR, "identity.group.delete", "group", row.pk, project_id=row.domain_id, name=row.name)
        row.delete()


def write_members(
    added: Iterable[tuple[uuid.UUID, uuid.UUID]], removed: Iterable[tuple[uuid.UUID, uuid.UUID]], report: Report
) -> None:
    """Pairs of group and user that are to be, and that are no more. What is so already, or whose half is gone, is left out."""
    come, go = _by_group(added), _by_group(removed)
    names = {row.pk: row for row in Group.objects.filter(pk__in=[*come, *go])}
    users = dict(User.objects.filter(pk__in=[user for pairs in (come, go) for each in pairs.values() for user in each]).values_list("pk", "username"))
    there = {*GroupMember.objects.filter(group_id__in=list(come)).values_list("group_id", "user_id")} if come else set()
    new, told = [], []
    for key, group in names.items():
        plus = [user for user in come.get(key, ()) if user in users and (key, user) not in there]
        minus = [user for user in go.get(key, ()) if user in users]
        new += [GroupMember(group=group, user_id=user) for user in plus]
        GroupMember.objects.filter(Q(group=group), user_id__in=minus).delete()
        report.counts["members_added"] += len(plus)
        report.counts["members_removed"] += len(minus)
        changes = {"added": tuple(users[user] for user in plus), "removed": tuple(users[user] for user in minus)}
        if plus or minus:
            told.append(Entry(resource_id=key, name=group.name, project_id=group.domain_id, changes={k: v for k, v in changes.items() if v}))
    insert_rows(new)
    record.write_many(ACTOR, "identity.group.members", "group", told)


def _rows(model: type[R], domain_id: uuid.UUID, entries: Sequence["UserEntry | GroupEntry"]) -> list[R]:
    keys = [entry.key for entry in entries]
    return list(model._default_manager.select_for_update().filter(domain_id=domain_id, source=SOURCE, external_id__in=keys))


def _make_room(
    model: type[R], column: str, domain_id: uuid.UUID, entries: Sequence["UserEntry | GroupEntry"], rows: Mapping[str, R], report: Report
) -> set[str]:
    """Free the names that entries need; returns the keys of those that cannot have theirs."""
    wanted = {e.name: e for e in entries if e.key not in rows or getattr(rows[e.key], column) != e.name}
    held = model._default_manager.select_for_update().filter(domain_id=domain_id, **{f"{column}__in": list(wanted)})
    refused, moved = set(), []
    for holder in held:
        entry = wanted[getattr(holder, column)]
        if holder.source != SOURCE:
            refused.add(entry.key)
            report.problems.append(f"{entry.dn}: the name {entry.name} belongs to one in the database already; rename one of them.")
        elif holder.external_id != entry.key:
            # Of somebody who is gone, or who gets another name in this very run.
            setattr(holder, column, f"{entry.name[:40]} ({holder.pk.hex[-12:]})")
            moved.append(holder)
    update_rows(moved, [column])
    kind = model._meta.model_name or ""
    record.write_many(ACTOR, f"identity.{kind}.update", kind, [
        Entry(resource_id=row.pk, name=str(row), project_id=domain_id, changes={column: str(row)}) for row in moved
    ])
    return refused


def _by_group(pairs: Iterable[tuple[uuid.UUID, uuid.UUID]]) -> dict[uuid.UUID, list[uuid.UUID]]:
    found: dict[uuid.UUID, list[uuid.UUID]] = {}
    for group, user in pairs:
        found.setdefault(group, []).append(user)
    return found


def _shown(changes: Mapping[str, list[object]]) -> dict[str, list[object]]:
    return {"enabled" if name == "is_active" else name: value for name, value in changes.items()}
