"""The users' half of a synchronisation: everybody the directory has is here, and whoever it has no more is out."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import IntegrityError
from django.db.models import Q

from apps.common import clock
from apps.identity.models import User
from apps.identity.services import directory_rows
from apps.identity.services.directory_rows import SOURCE
from apps.identity.services.directory_run import Run

if TYPE_CHECKING:
    from apps.identity.directory.config import Config
    from apps.identity.directory.entries import UserEntry

# Rows in one transaction.
BATCH = 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Known:
    """A user of the directory as it was when the run began."""

    pk: uuid.UUID
    username: str
    email: str
    is_active: bool
    state: str


class Users:
    """Reads all users and writes what has changed. Afterwards it knows them by what groups call them: `by_dn`, `by_uid`, `by_gid`
    give keys, and `ids` the row of a key. Of each it keeps some hundred bytes, never its entry."""

    def __init__(self, run: Run, config: "Config", domain_id: uuid.UUID | None) -> None:
        self._run, self._config, self._domain_id = run, config, domain_id
        self._known: dict[str, _Known] = {}
        # Where the operator has chosen another domain, those of the former one are gone.
        self._elsewhere: list[uuid.UUID] = []
        self._active = 0
        self._read_known()
        self._holders = {known.username.casefold(): key for key, known in self._known.items()}
        self._names: dict[str, str] = {}
        self._met: set[str] = set()
        self._leaving: dict[uuid.UUID, str] = {}
        self._states: dict[uuid.UUID, str] = {}
        self.ids: dict[str, uuid.UUID] = {key: known.pk for key, known in self._known.items()}
        self.found: set[str] = set()
        self.by_dn: dict[str, str] = {}
        self.by_uid: dict[str, str] = {}
        self.by_gid: dict[str, list[str]] = {}

    @property
    def everybody(self) -> frozenset[uuid.UUID]:
        """Rows that this run knows; who came by signing in meanwhile is not among them, and left alone."""
        return frozenset([*self.ids.values(), *self._elsewhere])

    def read(self, connection: Any) -> None:
        """Read them page by page; those who are new, changed or let in again are written at once. Raises Unavailable."""
        waiting: list[UserEntry] = []
        for base in self._config.user_bases:
            for page in self._pages(connection, base):
                self._take_in([entry for entry in page if self._is_clear(entry, waiting)])
                self._run.keep()
        # Names that others had: by now it is known whether they still do.
        for batch in batches(waiting):
            self._take_in([entry for entry in batch if self._claims(entry)])
        self._run.report.counts["users_found"] = len(self.found)
        if not self.found:
            self._run.report.problems.append("There are no users below CLOUDSITE_LDAP_USER_BASE that CLOUDSITE_LDAP_USER_FILTER lets through.")

    def put_out(self) -> None:
        """Disable whom the directory has disabled, or has no more. Raises InvalidState `directory.too_many`."""
        from apps.identity.directory.entries import GONE

        leaving = self._leaving | dict.fromkeys(self._elsewhere, GONE)
        for known in (known for key, known in self._known.items() if key not in self.found):
            if known.is_active:
                leaving[known.pk] = GONE
            elif known.state not in ("", GONE):
                self._states[known.pk] = GONE
        self._run.check_share("users", len(leaving), self._active, found=len(self.found))
        if self._run.dry_run:
            names = {known.pk: known.username for known in self._known.values()}
            for pk, state in leaving.items():
                self._run.report.note("users_disabled", names.get(pk, str(pk)), state)
            return
        for batch in batches([*leaving.items(), *self._states.items()]):
            with self._run.step():
                directory_rows.disable_users(dict(batch), self._run.report)

    def _read_known(self) -> None:
        columns = ("pk", "external_id", "username", "email", "is_active", "directory_state")
        rows = User.objects.filter(source=SOURCE)
        for pk, key, username, email, is_active, state in rows.filter(Q(domain_id=self._domain_id)).values_list(*columns).iterator():
            self._known[key] = _Known(pk, username, email, is_active, state)
            self._active += is_active
        self._elsewhere = list(rows.exclude(Q(domain_id=self._domain_id)).filter(is_active=True).values_list("pk", flat=True))
        self._active += len(self._elsewhere)

    def _pages(self, connection: Any, base: str) -> Iterator[list["UserEntry"]]:
        from apps.identity.directory import entries
        from apps.identity.directory.connection import pages

        now, wanted = clock.now(), entries.user_attributes(self._config)
        for page in pages(connection, self._config, base, self._config.user_filter, wanted):
            found = []
            for dn, attributes in page:
                try:
                    found.append(entries.user_entry(self._config, dn, attributes, now))
                except entries.Unfit as error:
                    self._run.report.problems.append(f"{error}; it is left out.")
            yield found

    def _is_clear(self, entry: "UserEntry", waiting: list["UserEntry"]) -> bool:
        """Whether it can be taken in now. Bases may overlap, so it may have come before."""
        if entry.key in self._met:
            return False
        self._met.add(entry.key)
        if self._holders.get(entry.name.casefold(), entry.key) != entry.key:
            waiting.append(entry)
            return False
        return self._claims(entry)

    def _claims(self, entry: "UserEntry") -> bool:
        """A name is that of one entry; with two, whoever had it keeps it, and nobody can sign in by it."""
        if self._names.setdefault(entry.name.casefold(), entry.key) != entry.key:
            self._run.report.problems.append(f"{entry.dn}: there is another user named {entry.name}; it is left out.")
            return False
        self.found.add(entry.key)
        if entry.state and entry.key not in self._known:
            return True  # gets no row, so is in no group
        self.by_dn[entry.dn] = entry.key
        if entry.uid:
            self.by_uid[entry.uid] = entry.key
        if entry.gid:
            self.by_gid.setdefault(entry.gid, []).append(entry.key)
        return True

    def _take_in(self, entries: Sequence["UserEntry"]) -> None:
        """Entries that say what is here already cost nothing."""
        changed = [entry for entry in entries if self._is_changed(entry)]
        if self._run.dry_run:
            self._rehearse(changed)
            return
        for batch in batches(changed):
            self.ids |= self._written(batch)

    def _is_changed(self, entry: "UserEntry") -> bool:
        known = self._known.get(entry.key)
        if known is None:
            return not entry.state
        if entry.state and known.is_active:
            self._leaving[known.pk] = entry.state
        elif entry.state and known.state not in ("", entry.state):
            self._states[known.pk] = entry.state
        return (known.username, known.email) != (entry.name, entry.email) or bool(known.state and not entry.state)

    def _written(self, batch: Sequence["UserEntry"]) -> dict[str, uuid.UUID]:
        assert self._domain_id is not None
        for last in (False, False, True):
            try:
                with self._run.step():
                    return directory_rows.write_users(self._domain_id, batch, self._run.report)
            except IntegrityError:  # somebody made a user of one of these names at this moment
                if last:
                    raise
        raise AssertionError("unreachable")

    def _rehearse(self, changed: Sequence["UserEntry"]) -> None:
        for entry in changed:
            known = self._known.get(entry.key)
            if known is None:
                self._run.report.note("users_created", entry.name, entry.dn)
                continue
            if known.state and not entry.state:
                self._run.report.note("users_enabled", entry.name, f"was {known.state}")
            if (known.username, known.email) != (entry.name, entry.email):
                self._run.report.note("users_changed", entry.name, f"was {known.username} {known.email}")


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """So many at a time."""
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch
