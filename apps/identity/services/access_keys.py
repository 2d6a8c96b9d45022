"""Access keys: how EC2 and S3 clients sign their requests. The secret must be readable to check a signature, so it is sealed."""

import json
import secrets
import string
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common import clock, vault
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Forbidden, InvalidState, NotFound
from apps.identity import policy, standing
from apps.identity.models import Credential, User
from apps.identity.selectors import delegated
from apps.identity.services import ceilings, tokens
from apps.identity.standing import Bearer

TYPE = delegated.ACCESS_KEY
MOST = 10
_LETTERS = string.ascii_uppercase + string.digits


@dataclass(frozen=True)
class Made:
    """A new access key; `secret` is shown once and never again."""

    key: Credential
    secret: str


@dataclass(frozen=True)
class Key:
    """An access key as a signature is checked with it: nothing is decided yet, see `use`."""

    access: str
    secret: str
    bearer: Bearer


def create(*, actor: Actor, user_id: uuid.UUID | None = None, project_id: uuid.UUID | None = None, name: str = "") -> Made:
    """A key of the actor's, or of another user's, for a project, by default the one that the actor works in.

    Raises Forbidden, NotFound (user, project), Conflict `access_key.too_many`.
    """
    user_id, project_id = user_id or actor.user_id, project_id or policy.in_project(actor)
    policy.require(actor, "identity.access_key.create", user_id=user_id)
    if name:
        check_name(name, most=64)
    found = standing.of(user_id, project_id) if user_id is not None else None
    if found is None or user_id is None:
        raise NotFound("user.not_found", f"There is no user {user_id}.", field="user_id")
    if found.place_id is None or found.place_is_domain or not any(standing.split(found.roles)):
        raise NotFound("project.not_found", f"There is no project {project_id} in which this user has a role.", field="project_id")
    bound = _bound_to(actor, user_id, project_id)
    access, secret = "AK" + _text(_LETTERS, 18), _text(string.ascii_letters + string.digits, 40)
    with transaction.atomic():
        # One after the other, or several would find room for the last one.
        User.objects.select_for_update(no_key=True).get(pk=user_id)
        if Credential.objects.filter(user_id=user_id, project_id=project_id, type=TYPE).count() >= MOST:
            raise Conflict("access_key.too_many", f"There are {MOST} keys of this user for this project, which is the most: delete one.", limit=MOST)
        made = Credential.objects.create(
            user_id=user_id, project_id=project_id, type=TYPE, name=name, access=access, blob=seal(access, secret),
            application_credential_id=bound,
        )
        _record(actor, "create", made)
    return Made(made, secret)


def delete(*, actor: Actor, access: str = "", key_id: uuid.UUID | None = None, user_id: uuid.UUID | None = None) -> None:
    """Void at once. `user_id`: only if it is that user's. Raises NotFound, Forbidden."""
    permission = "identity.access_key.delete"
    found = delegated.access_key(actor=actor, access=access, key_id=key_id, user_id=user_id, permission=permission)
    with transaction.atomic():
        if Credential.objects.filter(pk=found.pk).delete()[0]:
            _record(actor, "delete", found)


def secrets_of(*, actor: Actor) -> Callable[[Credential], str]:
    """What tells the secret of each key to its owner again, as Identity v3 does, and an empty text to others."""
    reads = ceilings.reads_secrets(actor)
    return lambda key: _opened(key.blob) if reads(key) else ""


def to_sign_with(*, actor: Actor) -> tuple[str, str]:
    """Public id and secret of the actor's newest key for the project that it works in, as far as it may read secrets.

    Raises InvalidState `access_key.none`.
    """
    reads = ceilings.reads_secrets(actor)
    rows = Credential.objects.filter(Q(user_id=actor.user_id), Q(project_id=actor.project_id), type=TYPE) if actor.user_id else Credential.objects.none()
    for row in rows.order_by("-pk"):
        if row.access and reads(row):
            return row.access, _opened(row.blob)
    raise InvalidState("access_key.none", "You have no access key for this project that this token may use: make one first.")


def find(*, access: str) -> Key | None:
    """The key with this public id, to check a signature with; one query. None if there is none."""
    found = standing.by_access(access)
    return None if found is None else Key(access, _opened(found.blob), found.bearer)


def use(*, key: Key, address: str = "", service: str = "", method: str = "", path: str = "") -> Actor:
    """Who asks, once the signature is right, as the policy sees them now. `service` and so on: see `tokens.check`.

    Raises Unauthenticated (disabled, no role any more), Forbidden `policy.access_rule`.
    """
    actor = tokens.actor_of(key.bearer, address=address)
    tokens.require_rule(key.bearer, service=service, method=method, path=path)
    note_use(key)
    return actor


def note_use(key: Key) -> None:
    """That its signature was right just now."""
    now = clock.now()
    if tokens.is_worth_noting(key.bearer.last_used_at, now):
        Credential.objects.filter(pk=key.bearer.id).update(last_used_at=now)


def seal(access: str, secret: str, **more: str | None) -> str:
    """What is kept of a key, in the shape that Identity v3 gives it."""
    return vault.seal(json.dumps({"access": access, "secret": secret, "trust_id": None, **more}))


def _opened(blob: str) -> str:
    return str(json.loads(vault.open(blob)).get("secret", ""))


def _bound_to(actor: Actor, user_id: uuid.UUID, project_id: uuid.UUID) -> uuid.UUID | None:
    """The application credential that the actor came by: the key can do no more than it. Raises Forbidden."""
    came_by = ceilings.came_by(actor)
    if came_by is None:
        return None
    if came_by.trust_id is not None:
        raise Forbidden("auth.bound", "A token by a trust makes no access keys.")
    if came_by.application_credential_id is not None and (user_id, project_id) != (actor.user_id, actor.project_id):
        raise Forbidden("auth.bound", "An application credential makes access keys for itself only.")
    return came_by.application_credential_id


def _text(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


def _record(actor: Actor, verb: str, key: Credential) -> None:
    record.write(
        actor, f"identity.access_key.{verb}", "access_key", key.access, project_id=key.project_id, name=key.name,
        changes={"user_id": key.user_id},
    )

