"""Kept secrets of any kind, as Identity v3's `/credentials` has them: `ec2` ones are access keys, `totp` ones second factors."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common import vault
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Forbidden, Invalid, NotFound
from apps.identity import policy
from apps.identity.models import Credential, Project, User
from apps.identity.selectors import delegated
from apps.identity.services import access_keys, ceilings, totp

_MOST_BLOB, _MOST_ACCESS = 65536, 128


def create(*, actor: Actor, user_id: uuid.UUID, type: str, blob: str, project_id: uuid.UUID | None = None) -> Credential:  # noqa: A002
    """Keep a secret for a user. Raises Forbidden, NotFound (user, project), Invalid (type, blob), Conflict `credential.exists`."""
    policy.require(actor, "identity.credential.create", user_id=user_id)
    _not_by_program(actor)
    check_name(type, field="type")
    if not User.objects.filter(pk=user_id).exists():
        raise NotFound("user.not_found", f"There is no user {user_id}.", field="user_id")
    made = Credential(user_id=user_id)
    _put(made, type, blob, project_id)
    _save(actor, "identity.credential.create", made, new=True)
    return made


def update(*, actor: Actor, credential_id: uuid.UUID, **changes: Any) -> Credential:
    """Change `type`, `blob` or `project_id`, whichever is given. Raises NotFound, Forbidden, Invalid, Conflict."""
    permission = "identity.credential.update"
    _not_by_program(actor)
    with transaction.atomic():
        delegated.credential(actor=actor, credential_id=credential_id, permission=permission)
        found = Credential.objects.select_for_update().filter(pk=credential_id).first()
        if found is None:
            raise NotFound("credential.not_found", f"There is no credential {credential_id} of yours.")
        blob = changes["blob"] if "blob" in changes else vault.open(found.blob)
        _put(found, changes.get("type", found.type), blob, changes.get("project_id", found.project_id))
        _save(actor, permission, found, new=False)
    return found


def delete(*, actor: Actor, credential_id: uuid.UUID) -> None:
    """Raises NotFound, Forbidden."""
    permission = "identity.credential.delete"
    found = delegated.credential(actor=actor, credential_id=credential_id, permission=permission)
    with transaction.atomic():
        if Credential.objects.filter(pk=found.pk).delete()[0]:
            record.write(actor, permission, "credential", found.pk, project_id=found.project_id, name=found.type)


def blobs(*, actor: Actor) -> Callable[[Credential], str]:
    """What tells the secret of each of them to its owner, and an empty text to others."""
    reads = ceilings.reads_secrets(actor)
    return lambda row: vault.open(row.blob) if reads(row) else ""


def _put(row: Credential, type: str, blob: str, project_id: uuid.UUID | None) -> None:  # noqa: A002
    """Raises Invalid, NotFound."""
    if not blob or len(blob) > _MOST_BLOB or "\x00" in blob:
        raise Invalid("credential.blob", f"blob: expected a text of 1 to {_MOST_BLOB} characters.", field="blob")
    if project_id is not None and not Project.objects.filter(pk=project_id).exists():
        raise NotFound("project.not_found", f"There is no project {project_id}.", field="project_id")
    row.type, row.project_id, row.access = type, project_id, None
    if type == access_keys.TYPE:
        row.access, row.blob = _access_key(blob, project_id)
    else:
        row.blob = vault.seal(totp.check_seed(blob) if type == totp.TYPE else blob)


def _access_key(blob: str, project_id: uuid.UUID | None) -> tuple[str, str]:
    """(public id, what is kept)."""
    if project_id is None:
        raise Invalid("credential.project", "project_id: an access key needs its project.", field="project_id")
    try:
        given = json.loads(blob)
        access, secret = given["access"], given["secret"]
    except (ValueError, TypeError, KeyError):
        raise Invalid("credential.blob", "Invalid blob in credential: expected JSON with access and secret.", field="blob") from None
    if not all(isinstance(text, str) and text.isprintable() for text in (access, secret)) or not 0 < len(access) <= _MOST_ACCESS or not secret:
        raise Invalid("credential.blob", f"Invalid blob in credential: expected texts, access of at most {_MOST_ACCESS}.", field="blob")
    return access, access_keys.seal(access, secret)


def _save(actor: Actor, permission: str, row: Credential, *, new: bool) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=new)
            record.write(actor, permission, "credential", row.pk, project_id=row.project_id, name=row.type, changes={"user_id": row.user_id})
    except IntegrityError:
        raise Conflict("credential.exists", "There is a credential with this access key already.", field="blob") from None


def _not_by_program(actor: Actor) -> None:
    """What is kept here has no limits of its own, so those of an application credential would be lost. Raises Forbidden."""
    token = ceilings.came_by(actor)
    if token is not None and (token.application_credential_id is not None or token.trust_id is not None):
        raise Forbidden("auth.bound", "An application credential or trust keeps no secrets; make an access key instead.")
