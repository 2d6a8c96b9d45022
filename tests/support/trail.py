"""Records for tests."""

from typing import Any

from django.db import transaction

from apps.audit.models import Record
from apps.audit.services import record
from apps.common.context import SYSTEM


def write(resource_id: object = 0, **more: Any) -> Record:
    """Some record."""
    actor = more.pop("actor", SYSTEM)
    with transaction.atomic():
        record.write(actor, more.pop("action", "compute.instance.update"), "instance", resource_id, **more)
    return Record.objects.latest("pk")
