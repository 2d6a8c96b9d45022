"""The LDAP directory: its users and groups are brought here, again and again, so that roles can be given to them.

A user whom the directory disables, locks or has no more is disabled here, with all tokens; one that is let in again is enabled,
unless it was disabled here. Answers that would put out a great part of all users are not believed.
"""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import CloudError, Conflict
from apps.identity import policy
from apps.identity.directory import config as directory
from apps.identity.directory.config import is_configured
from apps.identity.models import DirectorySync, Group, Project, User
from apps.identity.services import domains
from apps.identity.services.directory_groups import Groups
from apps.identity.services.directory_rows import SOURCE
from apps.identity.services.directory_run import ACTOR, Report, Run, locked
from apps.identity.services.directory_users import Users

log = logging.getLogger(__name__)
PERMISSION = "identity.directory.sync"


@dataclass(frozen=True, kw_only=True)
class Status:
    """How the synchronisation goes. `error`: of the last one, if that did not come to its end; `result`: of the last good one."""

    configured: bool
    url: str
    domain: str
    domain_id: uuid.UUID | None
    running: bool
    due_at: datetime | None
    tried_at: datetime | None
    good_at: datetime | None
    age_s: float | None
    took_ms: int | None
    users: int
    users_enabled: int
    groups: int
    result: dict[str, Any]
    error: dict[str, Any] | None


def sync(*, dry_run: bool = False, force: bool = False) -> Report:
    """Bring users and groups up to date now; `dry_run`: only say what would be done; `force`: whatever share of them goes.

    Raises InvalidState (`directory.not_configured`, `directory.too_many`), Unavailable (`directory.…`), Conflict
    (`directory.running`). What was done until then stays, and nobody was disabled unless all users were read.
    """
    config = directory.load()
    run = Run(dry_run=dry_run, force=force)
    run.start()
    try:
        _work(run, config)
    except CloudError as error:
        run.end(error)
        raise
    except Exception as error:
        run.end(CloudError("directory.failed", f"{type(error).__name__}: {error}"))
        raise
    run.end()
    return run.report


def sync_if_due() -> Report | None:
    """The periodic one. A failure is in the status, and tried again in its time."""
    if not is_configured():
        return None
    row, now = DirectorySync.objects.filter(pk=1).first(), clock.now()
    if row is not None and ((row.due_at and row.due_at > now) or (row.holder and row.until and row.until > now)):
        return None
    try:
        return sync()
    except CloudError as error:
        log.warning("the directory is not synchronised: %s (%s)", error.message, error.code)
        return None


def ask_for_sync(*, actor: Actor) -> Status:
    """Have the periodic engine do one now. Raises Forbidden, InvalidState `directory.not_configured`, Unavailable."""
    policy.require_everywhere(actor, PERMISSION)
    directory.load()
    with transaction.atomic():
        row = locked()
        row.due_at = clock.now()
        row.save(update_fields=["due_at"])
        record.write(actor, PERMISSION, "directory", "ldap", name="ldap")
    return status(actor=actor)


def status(*, actor: Actor) -> Status:
    """Raises Forbidden."""
    policy.require_everywhere(actor, PERMISSION)
    row, now = DirectorySync.objects.filter(pk=1).first() or DirectorySync(), clock.now()
    users = User.objects.filter(source=SOURCE)
    return Status(
        configured=is_configured(), url=settings.ENV.ldap_url, domain=settings.ENV.ldap_domain, domain_id=domain_id(),
        running=bool(row.holder and row.until and row.until > now), due_at=row.due_at, tried_at=row.tried_at, good_at=row.good_at,
        age_s=(now - row.good_at).total_seconds() if row.good_at else None, took_ms=row.took_ms, users=users.count(),
        users_enabled=users.filter(is_active=True).count(), groups=Group.objects.filter(source=SOURCE).count(),
        result=row.result, error=row.error,
    )


def domain_id() -> uuid.UUID | None:
    """Of the domain that the directory's users live in; None while there is none of that name."""
    return Project.objects.filter(Q(name=settings.ENV.ldap_domain), is_domain=True).values_list("pk", flat=True).first()


def ensure_domain() -> uuid.UUID:
    """The same, made if there is none."""
    found = domain_id()
    if found is None:
        try:
            found = domains.create_domain(
                actor=ACTOR, name=settings.ENV.ldap_domain, description="Users and groups of the LDAP directory."
            ).pk
        except Conflict:  # another process was first
            found = domain_id()
            assert found is not None
    return found


def _work(run: Run, config: directory.Config) -> None:
    from apps.identity.directory.connection import connected

    home = domain_id() if run.dry_run else ensure_domain()
    with connected(config) as connection:
        users = Users(run, config, home)
        users.read(connection)
        users.put_out()
        groups = Groups(run, config, home, users)
        groups.read(connection)
        groups.write()


__all__ = [
    "PERMISSION", "Report", "Status", "ask_for_sync", "domain_id", "ensure_domain", "is_configured", "status", "sync", "sync_if_due",
]
