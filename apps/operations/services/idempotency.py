"""Client tokens: a request that is sent twice is done once."""

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
from django.db import IntegrityError, transaction

from apps.common.errors import Conflict
from apps.operations.models import ClientToken


class Twin(Conflict):
    """Another request with the same token was first, just now."""


def recall(*, project_id: uuid.UUID, token: str, request: Any) -> list[uuid.UUID] | None:
    """The resources that the first request with this token made; None if this is the first.

    Raises Conflict `client_token.reused` if the token came with another request before.
    """
    seen = ClientToken.objects.filter(project_id=project_id, token=token).first()
    if seen is None:
        return None
    if seen.fingerprint != _fingerprint(request):
        raise Conflict("client_token.reused", "This idempotency key was used with a different request.", field="Idempotency-Key")
    return [uuid.UUID(text) for text in seen.resource_ids]


def remember(*, project_id: uuid.UUID, token: str, request: Any, resource_ids: Sequence[uuid.UUID]) -> None:
    """Claim the token inside the creating transaction. Raises Twin if another one was first."""
    try:
        with transaction.atomic():
            ClientToken.objects.create(
                project_id=project_id, token=token, fingerprint=_fingerprint(request),
                resource_ids=[str(resource_id) for resource_id in resource_ids],
            )
    except IntegrityError:
        raise Twin("client_token.race", "The same request is being worked on at this moment.") from None


def _fingerprint(request: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
