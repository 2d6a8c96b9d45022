"""Name and metadata of instances: no host is involved."""

import uuid

from django.db import transaction

from apps.common.checks import check_name
from apps.common.context import Actor
from apps.compute import selectors
from apps.compute.models import Instance
from apps.identity import policy


@transaction.atomic
def update(*, actor: Actor, instance_id: uuid.UUID, name: str | None = None, metadata: dict[str, str] | None = None) -> Instance:
    """Change what is given. The guest sees new metadata on its next rebuild only. Raises NotFound, Forbidden."""
    policy.require(actor, "compute.instance.update")
    instance = selectors.locked(actor=actor, instance_id=instance_id)
    changed = []
    if name is not None:
        check_name(name)
        instance.name = name
        changed.append("name")
    if metadata is not None:
        instance.metadata = metadata
        changed.append("metadata")
    if changed:
        instance.save(update_fields=changed)
    return instance
