"""A user of the directory who has shown its password there: brought up to date here before it is let in."""

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.identity import backends
from apps.identity.models import Group, GroupMember, User
from apps.identity.services import directory_rows
from apps.identity.services.directory_rows import SOURCE
from apps.identity.services.directory_run import Report, locked

if TYPE_CHECKING:
    from apps.identity.directory.entries import GroupEntry, UserEntry


def take_in(*, domain_id: uuid.UUID, entry: "UserEntry", groups: Sequence["GroupEntry"]) -> User | None:
    """The user, made or changed as its entry and groups say now; None if it may not sign in.

    Who is as it was costs reads only. Whoever was disabled here stays so.
    """
    user = _user(domain_id, entry.key)
    if user is None or not _is_current(user, entry, groups):
        try:
            _write(domain_id, entry, groups)
        except IntegrityError:  # somebody made a user or group of this name at this moment: it is theirs now
            _write(domain_id, entry, groups)
        user = _user(domain_id, entry.key)
    return user if user is not None and user.is_active else None


def _write(domain_id: uuid.UUID, entry: "UserEntry", groups: Sequence["GroupEntry"]) -> None:
    report = Report()
    with transaction.atomic():
        locked()
        ids = directory_rows.write_users(domain_id, [entry], report)
        user_id = ids.get(entry.key)
        if user_id is None:
            return
        if entry.state:
            directory_rows.disable_users({user_id: entry.state}, report)
        known = directory_rows.write_groups(domain_id, groups, report)
        wanted = {known[group.key] for group in groups if group.key in known}
        present = _group_ids(user_id)
        directory_rows.write_members(
            [(key, user_id) for key in wanted - present], [(key, user_id) for key in present - wanted], report
        )


def _is_current(user: User, entry: "UserEntry", groups: Sequence["GroupEntry"]) -> bool:
    if (user.username, user.email, user.directory_state) != (entry.name, entry.email, entry.state):
        return False
    here = dict(Group.objects.filter(members__user=user, source=SOURCE).values_list("external_id", "name"))
    return here == {group.key: group.name for group in groups}


def _group_ids(user_id: uuid.UUID) -> set[uuid.UUID]:
    return set(GroupMember.objects.filter(Q(user_id=user_id), group__source=SOURCE).values_list("group_id", flat=True))


def _user(domain_id: uuid.UUID, key: str) -> User | None:
    return backends.users().filter(domain_id=domain_id, source=SOURCE, external_id=key).first()
