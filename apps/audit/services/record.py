"""Writing records: of what was done, in the transaction that does it; of what was refused, on their own."""

import logging
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from apps.audit.changes import changed, text, tidy
from apps.audit.models import Record
from apps.audit.states import Decision
from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import CloudError
from apps.common.sql import insert_rows

log = logging.getLogger(__name__)
_NOBODY = Actor(user_id=None, user_name="", project_id=None)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One of several resources that one call changed."""

    resource_id: object
    name: str = ""
    project_id: uuid.UUID | None = None
    changes: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What a refused request was about, as far as its edge can tell; `user_name`, `address`: of one who is not signed in."""

    action: str
    resource_type: str = ""
    resource_id: object = ""
    method: str = ""
    path: str = ""
    user_name: str = ""
    address: str = ""
    request_id: str = ""


def write(
    actor: Actor, action: str, resource_type: str, resource_id: object, *, project_id: uuid.UUID | None = None, name: str = "",
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Record that `actor` did `action`: one INSERT, which lives and dies with the caller's transaction.

    `project_id` is the resource's; None: the installation's. `changes`: field → [before, after], or field → after (see
    `changed`); a value that is itself a list goes as a tuple. Raises RuntimeError outside of a transaction.
    """
    write_many(actor, action, resource_type, [Entry(resource_id=resource_id, name=name, project_id=project_id, changes=changes)])


def write_many(actor: Actor, action: str, resource_type: str, entries: Iterable[Entry]) -> None:
    """The same for many resources at once: still one INSERT. Entries may share one `changes`."""
    if not connection.in_atomic_block:
        raise RuntimeError("a record is written in the transaction of the change that it tells of")
    # 500 new instances share what was asked for.
    tidied: dict[int, dict[str, list[Any]]] = {}
    rows = []
    for entry in entries:
        if (changes := tidied.get(id(entry.changes))) is None:
            changes = tidied[id(entry.changes)] = tidy(entry.changes)
        rows.append(
            _row(
                actor, Decision.ALLOWED, action=action, resource_type=resource_type, resource_id=text(entry.resource_id, 255),
                name=text(entry.name, 255), project_id=entry.project_id, changes=changes,
            )
        )
    insert_rows(rows)


def refused(error: CloudError, attempt: Attempt, *, actor: Actor | None = None) -> None:
    """Record a refusal, in a transaction of its own. Whatever goes wrong with that is logged; the answer is given all the same."""
    who = actor or _NOBODY
    try:
        row = _row(
            who, Decision.REFUSED, action=text(attempt.action, 64), resource_type=text(attempt.resource_type, 32),
            resource_id=text(attempt.resource_id, 255), project_id=who.project_id or who.domain_id, code=text(error.code, 64),
            reason=text(error.message, 500), method=text(attempt.method, 8), path=text(attempt.path, 255),
        )
        row.user_name = row.user_name or text(attempt.user_name, 255)
        row.address = row.address or text(attempt.address, 64)
        row.request_id = row.request_id or text(attempt.request_id, 64)
        with transaction.atomic():
            insert_rows([row])
    except Exception:  # the trail must not decide whether somebody gets an answer
        log.exception("this refusal is not in the audit trail: %s %s %s", who.user_name, attempt.action, error.code)


def _row(actor: Actor, decision: Decision, **facts: Any) -> Record:
    return Record(
        at=clock.now(), decision=decision.value, user_id=actor.user_id, user_name=text(actor.user_name, 255),
        actor_project_id=actor.project_id or actor.domain_id, request_id=text(actor.request_id, 64), address=text(actor.address, 64), **facts,
    )


__all__ = ["Attempt", "Entry", "changed", "refused", "write", "write_many"]
