"""The groups' half of a synchronisation: the directory's groups are here, and in them are whom it says."""

import uuid
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError

from apps.identity.models import Group, GroupMember
from apps.identity.services import directory_rows
from apps.identity.services.directory_rows import SOURCE
from apps.identity.services.directory_run import Run
from apps.identity.services.directory_users import Users, batches

if TYPE_CHECKING:
    from apps.identity.directory.config import Config
    from apps.identity.directory.entries import GroupEntry

Pairs = list[tuple[uuid.UUID, uuid.UUID]]


class Groups:
    """Reads all groups, then writes them and their members."""

    def __init__(self, run: Run, config: "Config", domain_id: uuid.UUID | None, users: Users) -> None:
        self._run, self._config, self._domain_id, self._users = run, config, domain_id, users
        rows = list(Group.objects.filter(source=SOURCE).values_list("pk", "external_id", "name", "domain_id"))
        self._known = {key: (pk, name) for pk, key, name, domain in rows if domain == domain_id}
        self._elsewhere = [pk for pk, _, _, domain in rows if domain != domain_id]
        self._entries: dict[str, GroupEntry] = {}

    def read(self, connection: Any) -> None:
        """Raises Unavailable."""
        from apps.identity.directory import entries
        from apps.identity.directory.connection import pages

        wanted = entries.group_attributes(self._config, members=True)
        for base in self._config.group_bases:
            for page in pages(connection, self._config, base, self._config.group_filter, wanted):
                for dn, attributes in page:
                    try:
                        entry = entries.group_entry(self._config, dn, attributes)
                    except entries.Unfit as error:
                        self._run.report.problems.append(f"{error}; it is left out.")
                    else:
                        self._entries.setdefault(entry.key, entry)
                self._run.keep()
        self._keep_one_of_a_name()
        self._run.report.counts["groups_found"] = len(self._entries)

    def write(self) -> None:
        """Raises InvalidState `directory.too_many` before any membership is taken away."""
        ids = {key: pk for key, (pk, _) in self._known.items()}
        changed = [entry for key, entry in self._entries.items() if key not in self._known or self._known[key][1] != entry.name]
        if self._run.dry_run:
            for entry in changed:
                what = "groups_changed" if entry.key in self._known else "groups_created"
                self._run.report.note(what, entry.name, entry.dn)
        else:
            for batch in batches(changed):
                ids |= self._written(batch)
        gone = [*self._elsewhere, *(pk for key, (pk, _) in self._known.items() if key not in self._entries)]
        added, removed, there = self._differences(ids, gone)
        self._run.check_share("memberships", len(removed), there)
        self._write_members(added, removed)
        if not self._run.dry_run and gone:
            with self._run.step():
                directory_rows.delete_groups(gone, self._run.report)

    def _keep_one_of_a_name(self) -> None:
        """Of several of one name, the one that has it here already, else the first."""
        names: dict[str, str] = {}
        for entry in sorted(self._entries.values(), key=lambda e: self._known.get(e.key, (None, ""))[1] != e.name):
            if names.setdefault(entry.name.casefold(), entry.key) != entry.key:
                self._run.report.problems.append(f"{entry.dn}: there is another group named {entry.name}; it is left out.")
                del self._entries[entry.key]

    def _members(self) -> dict[str, frozenset[str]]:
        """Key of each group → keys of its users."""
        from apps.identity.directory.nesting import closures

        if not self._config.by_uid:
            return closures(self._entries.values(), self._users.by_dn)
        by_uid, by_gid = self._users.by_uid, self._users.by_gid
        return {
            key: frozenset([*(by_uid[uid] for uid in entry.members if uid in by_uid), *(by_gid.get(entry.gid, ()) if entry.gid else ())])
            for key, entry in self._entries.items()
        }

    def _differences(self, ids: dict[str, uuid.UUID], gone: list[uuid.UUID]) -> tuple[Pairs, Pairs, int]:
        """Memberships to add, to remove, and how many there are. Of users whom this run does not know, nothing is said."""
        everybody = self._users.everybody
        here: dict[uuid.UUID, set[uuid.UUID]] = {}
        for group_id, user_id in GroupMember.objects.filter(group__source=SOURCE).values_list("group_id", "user_id").iterator():
            if user_id in everybody:
                here.setdefault(group_id, set()).add(user_id)
        added: Pairs = []
        removed: Pairs = [(group_id, user_id) for group_id in gone for user_id in here.get(group_id, ())]
        for key, users in self._members().items():
            present = here.get(ids[key], set()) if key in ids else set()
            wanted = {self._users.ids[user] for user in users if user in self._users.ids}
            if key in ids:
                added += [(ids[key], user_id) for user_id in wanted - present]
                removed += [(ids[key], user_id) for user_id in present - wanted]
            if self._run.dry_run:
                self._rehearse(key, len(users) - len(wanted & present), len(present - wanted))
        return added, removed, sum(map(len, here.values()))

    def _rehearse(self, key: str, plus: int, minus: int) -> None:
        name = self._entries[key].name
        if plus:
            self._run.report.note("members_added", name, f"{plus} users", count=plus)
        if minus:
            self._run.report.note("members_removed", name, f"{minus} users", count=minus)

    def _write_members(self, added: Pairs, removed: Pairs) -> None:
        if self._run.dry_run:
            return
        # Sorted, so that a group is in as few batches as can be, and told of in as few records.
        for batch in batches(sorted(removed)):
            with self._run.step():
                directory_rows.write_members((), batch, self._run.report)
        for batch in batches(sorted(added)):
            with self._run.step():
                directory_rows.write_members(batch, (), self._run.report)

    def _written(self, batch: list["GroupEntry"]) -> dict[str, uuid.UUID]:
        assert self._domain_id is not None
        for last in (False, False, True):
            try:
                with self._run.step():
                    return directory_rows.write_groups(self._domain_id, batch, self._run.report)
            except IntegrityError:  # somebody made a group of one of these names at this moment
                if last:
                    raise
        raise AssertionError("unreachable")
