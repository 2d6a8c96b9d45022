"""How large images may be."""

import uuid

from django.conf import settings

from apps.common.context import SYSTEM
from apps.identity import selectors as identity
from apps.images import store
from apps.quotas import selectors as quotas
from apps.quotas.resources import UNLIMITED

_GIB = 1024**3


def most_bytes() -> int:
    """Of a file."""
    most: int = settings.ENV.max_image_gb * _GIB
    return most


def check(size_bytes: int) -> None:
    """Raises Invalid `image.too_large`."""
    if size_bytes > most_bytes():
        raise store.too_large(most_bytes())


def most_virtual_bytes(project_id: uuid.UUID | None) -> int:
    """Of the disk in a file: as the settings say, and no larger than all disks of the project together may be."""
    most: int = settings.ENV.max_image_virtual_gb
    if project_id is not None:
        domain_id = identity.projects(actor=SYSTEM).filter(pk=project_id).values_list("domain_id", flat=True).first()
        limit = quotas.accounts({project_id: domain_id})[project_id].bounds["disk_gb"].limit
        most = most if limit == UNLIMITED else min(most, limit)
    return most * _GIB
