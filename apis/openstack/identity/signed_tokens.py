"""`/ec2tokens`, `/s3tokens`: tokens for requests that were signed with an access key. They are for services that get such
requests, and need a role on the system.
"""

import base64
from typing import Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.schema import Struct, convert, missing
from apis.openstack.common.views import Call, reply
from apis.openstack.identity import tokens
from apis.openstack.identity.service import View
from apps.common.errors import Invalid
from apps.identity.services import signed
from apps.identity.signatures import Request, Signed, Text

_UNDER = ("credentials", "credential", "ec2Credentials")


class Ec2(Struct):
    """A signed request to EC2's API, taken apart."""

    access: str
    signature: str
    verb: str = "GET"
    host: str = ""
    path: str = "/"
    params: dict[str, str | int | float | bool] = {}
    headers: dict[str, str] = {}
    body_hash: str = ""

    def signed(self) -> Signed:
        """What is to be checked."""
        params = {name: str(value) for name, value in self.params.items()}
        return Request(
            signature=self.signature, verb=self.verb, host=self.host, path=self.path, params=params, headers=self.headers,
            body_hash=self.body_hash,
        )


class S3(Struct):
    """What a request to S3 was signed as. `token`: that text in Base64."""

    access: str
    signature: str
    token: str

    def signed(self) -> Signed:
        """What is to be checked."""
        try:
            raw = base64.b64decode(self.token.translate(_URL_SAFE) + "=" * (-len(self.token) % 4), validate=True)
            return Text(signature=self.signature, text=raw.decode())
        except ValueError:
            raise Invalid("request.invalid", "token: expected the text that was signed, in Base64.", field="token") from None


_URL_SAFE = str.maketrans("-_", "+/")


class _Tokens(View):
    """The answer is that of `/auth/tokens`."""

    permissions: ClassVar = {"POST": "identity.access_key.validate"}
    kind: ClassVar[type[Ec2 | S3]]

    def post(self, call: Call) -> HttpResponse:
        asked = convert(call.body, self.kind, _under(call.body))
        issued = signed.token_for(actor=call.actor, access=asked.access, request=asked.signed(), http=call.request)
        content = tokens.render(issued.token, issued.actor, with_catalog="nocatalog" not in call.query)
        return reply({"token": content}, headers={"X-Subject-Token": issued.secret})


class Ec2Tokens(_Tokens):
    """For services that speak EC2."""

    kind = Ec2


class S3Tokens(_Tokens):
    """For services that speak S3."""

    kind = S3


def _under(body: dict[str, Any]) -> str:
    """The key that the request has them under: there have been several."""
    for name in _UNDER:
        if name in body:
            return name
    raise missing("credentials", "request body")


urlpatterns = [path("ec2tokens", Ec2Tokens.as_view()), path("s3tokens", S3Tokens.as_view())]
