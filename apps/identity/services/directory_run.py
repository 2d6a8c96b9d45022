"""One synchronisation with the directory at a time: its lease, its transactions, and what it says of itself."""

import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from apps.common import clock
from apps.common.context import EVERYTHING, Actor
from apps.common.errors import CloudError, Conflict, InvalidState
from apps.identity.models import DirectorySync

# In whose name users and groups of the directory are written.
ACTOR = Actor(user_id=None, user_name="directory", project_id=None, roles=("admin",), system_grants=EVERYTHING)
# Whoever runs one and dies is succeeded after so long, and twice what one question may take; each step extends it.
_LEASE_S = 15.0
_KEPT_EVERY_S = 5.0
# Fewer than these may always go.
_FEW = 10
_SHOWN = 20


@dataclass
class Report:
    """What a synchronisation did, or would do: `counts` by name, `problems` for the operator, `lines` (if asked for) one by one."""

    detailed: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    lines: list[dict[str, str]] = field(default_factory=list)

    def note(self, what: str, name: str, detail: str = "", *, count: int = 1) -> None:
        """`what` happened to one of them, such as `users_created`."""
        self.counts[what] += count
        if self.detailed:
            self.lines.append({"what": what.replace("_", " "), "name": name, "detail": detail})

    def as_dict(self) -> dict[str, Any]:
        """For the status: all counts, the first problems."""
        return {**self.counts, "problems": self.problems[:_SHOWN], "problem_count": len(self.problems)}


class Run:
    """A synchronisation that is at work. A rehearsal (`dry_run`) has no lease and writes nothing."""

    def __init__(self, *, dry_run: bool, force: bool) -> None:
        self.dry_run, self.force = dry_run, force
        self.report = Report(detailed=dry_run)
        self._holder = f"{socket.gethostname()[:20]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._started = self._kept = time.monotonic()

    def start(self) -> None:
        """Raises Conflict `directory.running`."""
        if self.dry_run:
            return
        with transaction.atomic():
            row, now = locked(), clock.now()
            if row.holder and row.until is not None and row.until > now:
                raise Conflict("directory.running", f"A synchronisation is running since {row.tried_at:%H:%M:%S}; wait for its end.")
            row.holder, row.tried_at, row.until = self._holder, now, _lease_end()
            row.due_at = now + timedelta(seconds=settings.ENV.ldap_sync_s)
            row.save(update_fields=["holder", "tried_at", "until", "due_at"])

    @contextmanager
    def step(self) -> Iterator[None]:
        """A transaction in which nobody else writes users or groups of the directory. Raises Conflict `directory.overtaken`."""
        with transaction.atomic():
            if locked().holder != self._holder:
                raise Conflict("directory.overtaken", "This synchronisation took so long that another one was started.")
            DirectorySync.objects.filter(pk=1).update(until=_lease_end())
            self._kept = time.monotonic()
            yield

    def keep(self) -> None:
        """To be called now and then while nothing is written."""
        if not self.dry_run and time.monotonic() - self._kept > _KEPT_EVERY_S:
            with self.step():
                pass

    def end(self, error: CloudError | None = None) -> None:
        """Leave the verdict for the status; what was done until then stays."""
        if self.dry_run:
            return
        now, facts = clock.now(), {} if error else {"good_at": clock.now(), "result": self.report.as_dict()}
        DirectorySync.objects.filter(pk=1, holder=self._holder).update(
            holder="", until=None, took_ms=int((time.monotonic() - self._started) * 1000),
            error=error and {**error.as_dict(), "at": now.isoformat()}, **facts,
        )

    def check_share(self, what: str, going: int, of: int, *, found: int = 1) -> None:
        """Raises InvalidState `directory.too_many` if more would go than the operator trusts the directory to mean.

        `found`: how many the directory has; if none, its answer is not believed, however few would go.
        """
        percent = settings.ENV.ldap_most_disabled_percent
        if self.force or not going or (found and (going <= _FEW or going * 100 <= of * percent)):
            return
        why = f"more than {percent} %" if found else "and the directory has none"
        raise InvalidState(
            "directory.too_many",
            f"{going} of {of} {what} would go, {why}: the synchronisation has stopped before that. If it is meant, run "
            "`manage.py ldap_sync --force`; `--dry-run` shows what it would do.",
            going=going, of=of,
        )


def _lease_end() -> datetime:
    return clock.after(_LEASE_S + 2 * settings.ENV.ldap_timeout_s)


def locked() -> DirectorySync:
    """The row, locked in the caller's transaction: whoever has it may write users and groups of the directory."""
    row = DirectorySync.objects.select_for_update().filter(pk=1).first()
    if row is None:
        DirectorySync.objects.bulk_create([DirectorySync(pk=1)], ignore_conflicts=True)
        row = DirectorySync.objects.select_for_update().get(pk=1)
    return row
