"""Client tokens: a request that is sent twice is done once."""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from django.db import IntegrityError, transaction

from apps.common.context import Actor
from apps.common.errors import CloudError, Conflict, NotFound
from apps.identity import policy
from apps.operations.models import ClientToken

T = TypeVar("T")
Claim = Callable[[Sequence[uuid.UUID]], None]


class Twin(Conflict):
    """Another request with the same token was first, just now."""


def unclaimed(resource_ids: Sequence[uuid.UUID]) -> None:
    """The claim of a request that came without a token."""


def once(*, actor: Actor, token: str, request: Any, make: Callable[[Claim], T], again: Callable[[list[uuid.UUID]], T]) -> T:
    """What `make` makes; if the same request was there before with this token, what `again` finds by the ids that were claimed then.

    `make` gives its claim the ids, in its transaction and before it takes anything that is counted. An empty token is none. Raises
    Invalid `auth.project_needed` (tokens belong to projects), Conflict `client_token.reused`, NotFound (deleted since), and what the
    two raise.
    """
    if not token:
        return make(unclaimed)
    key = {"project_id": policy.in_project(actor), "token": token, "request": request}
    if (seen := recall(**key)) is not None:
        return _found(again, seen)
    try:
        return make(lambda ids: remember(**key, resource_ids=ids))
    except CloudError:
        # It may have been refused because the same request was first by a moment: that one has committed by now.
        if (seen := recall(**key)) is None:
            raise
        return _found(again, seen)


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


def _found(again: Callable[[list[uuid.UUID]], T], seen: list[uuid.UUID]) -> T:
    try:
        return again(seen)
    except NotFound as error:
        # Without the field: nothing that this request names is missing.
        raise NotFound(error.code, f"This request was done before, and what it made was deleted since. {error.message}") from None


def _fingerprint(request: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
