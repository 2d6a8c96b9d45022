"""Name and metadata of instances: no host is involved."""

import uuid

from django.db import transaction

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.compute import selectors
from apps.compute.models import Instance


@transaction.atomic
def update(*, actor: Actor, instance_id: uuid.UUID, name: str | None = None, metadata: dict[str, str] | None = None) -> Instance:
    """Change what is given. The guest sees new metadata on its next rebuild only. Raises NotFound, Forbidden."""
    instance = selectors.instance(actor=actor, instance_id=instance_id, permission="compute.instance.update", lock=True)
    if name is not None:
        check_name(name)
    wanted = {"name": name, "metadata": metadata}
    changes = record.changed(instance, **{field: value for field, value in wanted.items() if value is not None})
    if changes:
        for field, (_, value) in changes.items():
            setattr(instance, field, value)
        instance.save(update_fields=list(changes))
        record.write(
            actor, "compute.instance.update", "instance", instance.pk, project_id=instance.project_id, name=instance.name,
            changes=changes,
        )
    return instance
