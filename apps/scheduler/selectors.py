"""Reads of decisions."""

import uuid

from apps.scheduler.models import Decision


def decisions(instance_id: uuid.UUID) -> list[Decision]:
    """All decisions about one instance, newest first."""
    return list(Decision.objects.filter(instance_id=instance_id).order_by("-pk"))
