"""What the directory says of one user, and what would become of that here; for `manage.py ldap_check --user`."""

from dataclasses import dataclass

from django.db.models import Q

from apps.common import clock
from apps.common.errors import Conflict, NotFound
from apps.identity.directory import config as directory
from apps.identity.models import Assignment, User
from apps.identity.services.directory import domain_id
from apps.identity.services.directory_rows import SOURCE


@dataclass(frozen=True, kw_only=True)
class Found:
    """`here`: what a sync makes of it; `roles`: those that its groups give it here, as `member in demo`."""

    dn: str
    key: str
    name: str
    email: str
    state: str
    here: str
    groups: list[str]
    roles: list[str]


def look_up(name: str) -> Found:
    """Raises NotFound, Conflict (several of that name), InvalidState, Unavailable."""
    config = directory.load()
    import ldap.filter

    from apps.identity.directory import entries
    from apps.identity.directory.connection import connected, pages
    from apps.identity.directory.nesting import closures

    query = f"(&{config.user_filter}({config.name_attribute}={ldap.filter.escape_filter_chars(name)}))"
    with connected(config) as connection:
        found = {
            dn: attributes for base in config.user_bases
            for page in pages(connection, config, base, query, entries.user_attributes(config)) for dn, attributes in page
        }
        if len(found) != 1:
            raise _not_one(name, list(found))
        ((dn, attributes),) = found.items()
        try:
            user = entries.user_entry(config, dn, attributes, clock.now())
        except entries.Unfit as error:
            raise NotFound("user.not_found", f"{error}; so it is left out.", field="user") from None
        wanted = entries.group_attributes(config, members=True)
        listed = [
            entries.group_entry(config, dn, attributes) for base in config.group_bases
            for page in pages(connection, config, base, config.group_filter, wanted) for dn, attributes in page
        ]
    if config.by_uid:
        mine = {group.key: group.name for group in listed if user.uid in group.members or (user.gid and user.gid == group.gid)}
    else:
        inside = closures(listed, {user.dn: user.key})
        mine = {group.key: group.name for group in listed if user.key in inside[group.key]}
    return Found(
        dn=dn, key=user.key, name=user.name, email=user.email, state=user.state, here=_here(user.key, user.name, user.state),
        groups=sorted(mine.values()), roles=_roles(list(mine)),
    )


def _here(key: str, name: str, state: str) -> str:
    rows = User.objects.filter(Q(domain_id=domain_id()))
    row = rows.filter(source=SOURCE, external_id=key).first()
    if row is not None:
        return f"user {row.pk}, {'enabled' if row.is_active else row.directory_state or 'disabled here'}"
    if rows.filter(username=name).exclude(source=SOURCE).exists():
        return "left out: a user of the database has that name in this domain"
    return f"not made, since it is {state}" if state else "a new user"


def _roles(keys: list[str]) -> list[str]:
    rows = Assignment.objects.filter(group__source=SOURCE, group__external_id__in=keys).select_related("role", "project", "group")
    return sorted(
        f"{row.role.name} {'on the system' if row.project is None else f'in {row.project.name}'} by {row.group}" for row in rows
    )


def _not_one(name: str, dns: list[str]) -> Conflict | NotFound:
    if not dns:
        return NotFound("user.not_found", f"The directory has no user named {name!r} below the bases, or the filter leaves it out.", field="user")
    return Conflict("user.ambiguous", f"The directory has several users named {name!r}, so none can sign in: {'; '.join(dns)}.", field="user")
