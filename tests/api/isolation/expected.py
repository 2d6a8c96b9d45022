"""Who may do what, worked out of the table of permissions and nothing else: no service and no selector is asked."""

import fnmatch
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace

from apps.identity.permissions import OWN, TABLE
from tests.support.identity import granted

NOTHING: frozenset[str] = frozenset()
READING = (".list", ".get")
Places = frozenset[uuid.UUID]
Pairs = tuple[tuple[str, Places], ...]


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What somebody has who came by some token. `here`: in the place (a project or a domain) that the token is for.

    `lives_in`: the domain of the user, or that of the project.
    """

    user: uuid.UUID
    place: uuid.UUID | None = None
    here: frozenset[str] = NOTHING
    everywhere: frozenset[str] = NOTHING
    own: frozenset[str] = OWN

    def holds(self, permission: str) -> bool:
        """Whether over anything at all."""
        return permission in self.here | self.everywhere | self.own

    def only(self, patterns: Iterable[str]) -> "Rights":
        """What an application credential leaves that is limited to these, and that has no part in roles on the system."""
        return replace(
            self, here=named(self.here, patterns), own=named(self.own, patterns), everywhere=NOTHING
        )


@dataclass(frozen=True, kw_only=True)
class Target:
    """What an operation is done to. `places`: where one must have the permission to have it over this; `users`: whose own it
    is. `shared`: all who may read such things somewhere may read this one; `personal`: owners only, and only with the
    permission. `wider`: (permission, places), `own_by`: (permission, users): for one permission alone."""

    places: Places = frozenset()
    users: Places = frozenset()
    shared: bool = False
    personal: bool = False
    wider: Pairs = ()
    own_by: Pairs = ()

    def open_to(self, rights: Rights, permission: str) -> bool:
        """Whether these rights suffice, by the table."""
        if permission == "":
            return True
        if self.personal:
            return rights.user in self.users and permission in rights.here | rights.everywhere
        if permission in rights.everywhere:
            return True
        if permission in rights.own and rights.user in self.users.union(*_of(permission, self.own_by)):
            return True
        if self.shared and permission.endswith(READING):
            return permission in rights.here
        return permission in rights.here and rights.place in self.places.union(*_of(permission, self.wider))


class Here(Target):
    """The place that the caller works in, or the caller: lists, and what is made there."""

    def open_to(self, rights: Rights, permission: str) -> bool:
        return permission == "" or rights.holds(permission)


HERE = Here()
# The installation: a role in a project or domain is not enough.
SYSTEM = Target()


@dataclass(frozen=True, kw_only=True)
class Thing(Target):
    """Something of the victim. `key`: what names it in an address. `words`: what tells of it (ids and names), and is found in
    no answer to whom it is hidden from. `seen_by`: (permission, places): who may read of it. `known_to`: users who were told
    of it."""

    key: str
    words: tuple[str, ...] = ()
    seen_by: Pairs = ()
    known_to: Places = frozenset()

    def hidden_from(self, rights: Rights) -> bool:
        """Whether to such a caller it does not exist."""
        if self.shared or rights.user in self.users | self.known_to:
            return False
        return not any(_sees(rights, permission, places) for permission, places in self.seen_by)


def _of(permission: str, pairs: Pairs) -> list[Places]:
    return [places for name, places in pairs if name == permission]


def _sees(rights: Rights, permission: str, places: Places) -> bool:
    return permission in rights.everywhere or (permission in rights.here and rights.place in places)


def rights_of(
    user: uuid.UUID, place: uuid.UUID | None = None, *, project: str = "", domain: str = "", system: str = "", own: frozenset[str] = OWN
) -> Rights:
    """Rights by the built-in roles that somebody has in a project, in a domain, or on the system."""
    here = granted("project", project) if project else granted("domain", domain) if domain else NOTHING
    return Rights(user=user, place=place, here=here, everywhere=granted("system", system) if system else NOTHING, own=own)


def by_custom_role(permissions: Iterable[str]) -> frozenset[str]:
    """What a role with these permissions gives on the system: those of them that are asked there."""
    return frozenset(name for name in permissions if TABLE[name].system is not None)


def named(permissions: frozenset[str], patterns: Iterable[str]) -> frozenset[str]:
    """Those that one of the patterns names."""
    return frozenset(name for name in permissions if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))
