"""Who asks: by a signature, or nobody in particular. Identity knows the secrets; here is only what was signed."""

from apis.s3 import signing
from apis.s3.chunked import Signer
from apis.s3.errors import Refused
from apis.s3.request import Request
from apis.s3.signing import Claim
from apps.common import clock, rates
from apps.common.context import Actor
from apps.common.errors import Unauthenticated
from apps.identity.services import signed
from apps.identity.signatures import Text


def caller(request: Request) -> tuple[Actor, Claim | None, Signer | None]:
    """The Actor behind a request; one query. Marks in the request which headers were signed.

    Raises Refused (malformed, expired, unknown key, wrong signature), Unauthenticated, Forbidden, TooMany.
    """
    if request.header("x-amz-security-token") or "X-Amz-Security-Token" in request.query:
        raise Refused("InvalidToken", "There are no temporary credentials here: sign with an access key alone.")
    claim = signing.claim(request, clock.now())
    if claim is None:
        return nobody(request), None, None
    found = of_claim(request, claim)
    request.signed_headers = claim.signed
    return found.actor, claim, found.signer


def of_claim(request: Request, claim: Claim) -> signed.Caller:
    """Who signed it. Raises as `caller`."""
    try:
        found = signed.caller(
            access=claim.access, request=Text(signature=claim.signature, text=claim.text, scope=claim.scope), address=request.address,
            method=request.method, path=request.resource,
        )
    except Unauthenticated as error:
        if error.code == "auth.access_key":
            raise Refused("InvalidAccessKeyId", AWSAccessKeyId=claim.access[:128]) from None
        if error.code == "auth.signature":
            raise Refused(
                "SignatureDoesNotMatch", AWSAccessKeyId=claim.access[:128], SignatureProvided=claim.signature[:128],
                StringToSign=claim.text, CanonicalRequest=claim.canonical or None,
            ) from None
        raise
    rates.check_project(found.actor.project_id, "s3_project")
    return found


def nobody(request: Request) -> Actor:
    """Who did not say who it is: may do what is open to all."""
    return Actor(user_id=None, user_name="", project_id=None, address=request.address, request_id=request.id)
