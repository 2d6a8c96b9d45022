"""Projects that are deleted: what identity asks and tells whoever keeps accounts of them."""

import uuid
from collections.abc import Collection

from django.db.models import Q

from apps.quotas import registry
from apps.quotas.models import Limit, Usage
from apps.quotas.resources import RESOURCES
from apps.quotas.services import ledger


def in_use(project_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, dict[str, int]]:
    """Which things these projects have, counted from the things themselves; sizes are left out."""
    things = [name for name, resource in RESOURCES.items() if not resource.unit]
    return {project_id: {name: amounts[name] for name in things} for project_id, amounts in registry.recount(project_ids).items()}


def close(project_ids: Collection[uuid.UUID]) -> None:
    """Wait for everybody who makes something in these projects; who comes later waits for this transaction. Raises NotFound."""
    ledger.lock(project_ids)


def forget(owner_ids: Collection[uuid.UUID]) -> None:
    """Projects or domains are gone: their usage and limits go too."""
    ids = list(owner_ids)
    Limit.objects.filter(Q(project_id__in=ids) | Q(domain_id__in=ids)).delete()
    Usage.objects.filter(pk__in=ids).delete()
