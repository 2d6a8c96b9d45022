"""The audit of quotas: usage against the things themselves, counted again by those who have them."""

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.sql import snapshot
from apps.identity import policy
from apps.quotas import registry
from apps.quotas.models import Usage
from apps.quotas.services import ledger


@dataclass(frozen=True)
class Drift:
    """A project that is said to have another amount of something than it has."""

    project_id: uuid.UUID
    resource: str
    used: int
    counted: int

    def __str__(self) -> str:
        return f"{self.resource}: {self.used} counted as used, {self.counted} there"


def drifts() -> list[Drift]:
    """All of them, from one snapshot: what is under way meanwhile is not taken for one."""
    with snapshot():
        names = sorted(registry.counted_resources())
        said = {row[0]: Counter(dict(zip(names, row[1:], strict=True))) for row in Usage.objects.values_list("project_id", *names)}
        there = registry.recount()
    return [
        drift
        for project_id in sorted(said.keys() | there.keys())
        for drift in _compared(project_id, said.get(project_id, Counter()), there.get(project_id, Counter()))
    ]


def repair(*, actor: Actor, project_ids: Iterable[uuid.UUID]) -> list[Drift]:
    """Count these projects again; what was wrong. Raises Forbidden."""
    policy.require(actor, "quotas.default.set")
    found: list[Drift] = []
    for project_id in project_ids:
        with transaction.atomic():
            wrong = recount(project_id)
            if wrong:
                changes = {drift.resource: [drift.used, drift.counted] for drift in wrong}
                record.write(actor, "quotas.usage.repair", "project", project_id, project_id=project_id, changes=changes)
        found += wrong
    return found


@transaction.atomic
def recount(project_id: uuid.UUID) -> list[Drift]:
    """Make one project's usage what it has; what was wrong. Right beside running requests: these lock the row last, so
    whatever of theirs is counted here is committed, and what is not is added or taken by them afterwards."""
    (row,) = ledger.lock([project_id])
    said = Counter({name: getattr(row, name) for name in registry.counted_resources()})
    found = _compared(project_id, said, registry.recount([project_id]).get(project_id, Counter()))
    for drift in found:
        setattr(row, drift.resource, drift.counted)
    if found:
        row.save(update_fields=[drift.resource for drift in found])
    return found


def _compared(project_id: uuid.UUID, said: "Counter[str]", there: "Counter[str]") -> list[Drift]:
    names = sorted(registry.counted_resources())
    return [Drift(project_id, name, said[name], there[name]) for name in names if said[name] != there[name]]
