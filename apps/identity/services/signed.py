"""Who signed a request with an access key: as an Actor for dialects of our own, as a token for services that check no signatures."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import Unauthenticated
from apps.identity import policy
from apps.identity.models import User
from apps.identity.services import access_keys, ceilings, signin
from apps.identity.services.proofs import Proof
from apps.identity.services.signin import Scope
from apps.identity.services.tokens import Issued
from apps.identity.signatures import ALGORITHM, Signed, Signer, Text

# What S3 is in the catalog, and in access rules.
SERVICE = "object-store"


@dataclass(frozen=True)
class Caller:
    """Who signed a request, and what checks the signatures that come with its body (of version 4 only)."""

    actor: Actor
    signer: Signer | None


def caller(*, access: str, request: Text, address: str = "", method: str = "", path: str = "") -> Caller:
    """Who signed this request to S3; one query. `method`, `path`: for the access rules of application credentials.

    Raises Unauthenticated `auth.access_key` (no such key), `auth.signature` (wrong), `auth.disabled` and so on; Forbidden
    `policy.access_rule`.
    """
    key = access_keys.find(access=access)
    if key is None:
        raise Unauthenticated("auth.access_key", "There is no such access key.")
    if not request.is_by(key.secret, clock.now()):
        raise Unauthenticated("auth.signature", "The signature is wrong.")
    actor = access_keys.use(key=key, address=address, service=SERVICE, method=method, path=path)
    lines = request.text.split("\n")
    return Caller(actor, Signer.of(key.secret, lines[2]) if lines[0] == ALGORITHM else None)


def token_for(*, actor: Actor, access: str, request: Signed, http: Any = None) -> Issued:
    """A token of the key's owner in the key's project, with the limits of the key. `http`: the request of the service that asks.

    Raises Forbidden, Unauthenticated `auth.signature` (no such key, wrong, or too old), `auth.scope` (disabled, no role there).
    """
    policy.require_everywhere(actor, "identity.access_key.validate")
    key = access_keys.find(access=access)
    if key is None or not request.is_by(key.secret, clock.now()):
        raise Unauthenticated("auth.signature", "There is no such access key, or the signature is wrong or too old.")
    access_keys.note_use(key)
    bearer = key.bearer
    user = User.objects.select_related("domain").filter(Q(pk=bearer.standing.user_id)).first()
    if user is None:
        raise Unauthenticated("auth.signature", "There is no such access key, or the signature is wrong or too old.")
    proof = Proof(
        user=user, method=ceilings.BY_ACCESS_KEY, not_after=bearer.credential_expires_at, place_id=bearer.standing.place_id,
        application_credential_id=bearer.application_credential_id,
    )
    return signin.issue(proofs=[proof], scope=Scope(), request=http)
