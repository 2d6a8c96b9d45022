"""Tokens over HTTP: sign in, list, revoke."""

import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api import fields
from apps.common.api.inputs import Input, NoQuery, PageQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.common.errors import NotFound
from apps.identity import selectors
from apps.identity.api.authentication import actor_of, token_of
from apps.identity.api.serializers import IssuedTokenSerializer, TokenSerializer, token
from apps.identity.services import signin, tokens

_SECRET = 4096


class UseApplicationCredential(Input):
    """Which one: its id, or its name beside the `username` of its owner."""

    id = fields.Id(default=None, allow_null=True)
    name = fields.Line(max_length=255, default="", allow_blank=True)
    secret = fields.Text(max_length=_SECRET, trim_whitespace=False)


class CreateToken(Input):
    """Exchange a password, a token or an application credential for a token."""

    username = fields.Text(max_length=255, default="", allow_blank=True)
    password = fields.Text(max_length=_SECRET, trim_whitespace=False, default="", allow_blank=True)
    otp = fields.Line(max_length=16, default="", allow_blank=True, help_text="The code of this moment, of who has a second factor.")
    domain = fields.Text(max_length=64, default="", allow_blank=True, help_text="Of the user: id or name; default: Default.")
    token = fields.Text(max_length=_SECRET, default="", allow_blank=True, help_text="Instead of a password: a token that is good.")
    application_credential = UseApplicationCredential(default=None, allow_null=True)
    project = fields.Text(max_length=64, default="", allow_blank=True, help_text="Id or name; needed by members of several.")
    for_domain = fields.Text(
        max_length=64, default="", allow_blank=True, help_text="Instead of a project: a domain to rule over, id or name."
    )
    system = fields.Flag(default=False, help_text="Instead of a project: the installation, by one's roles on the system.")
    name = fields.Line(max_length=64, default="", allow_blank=True, help_text="To tell one's tokens apart.")
    hours = fields.Whole(min_value=1, max_value=8760, default=None, allow_null=True, help_text="Life; default by the operator.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["token"] and not attrs["application_credential"]:
            missing = [name for name in ("username", "password") if not attrs[name]]
            if missing:
                raise serializers.ValidationError({name: ["This field may not be blank."] for name in missing}, code="blank")
        return attrs


class RevokeAll(Input):
    """End one's tokens."""

    keep_this = fields.Flag(default=False, help_text="All but the one that this request comes with.")


class RevokedSerializer(serializers.Serializer[Any]):
    revoked = serializers.IntegerField(help_text="How many tokens ended.")


class TokenList(View):
    """Bearer tokens of one's own."""

    permissions: ClassVar = {"GET": "identity.token.list", "POST": ""}
    permission_classes = [AllowAny]
    bodies: ClassVar = {"POST": CreateToken}

    def get_authenticators(self) -> list[BaseAuthentication]:
        # Who signs in may still send a token that has expired.
        return [] if self.request is not None and self.request.method == "POST" else super().get_authenticators()

    @extend_schema(operation_id="tokens_list", parameters=[PageQuery], responses=paged(TokenSerializer), tags=["identity"])
    def get(self, request: Request) -> Response:
        """List one's own tokens that still work."""
        actor = actor_of(request)
        PageQuery.read(request)
        return page(request, selectors.tokens(actor=actor), token)

    @extend_schema(
        operation_id="tokens_create", request=CreateToken, responses={201: IssuedTokenSerializer}, auth=[], tags=["identity"]
    )
    def post(self, request: Request) -> Response:
        """Sign in: a token for a user and a project, a domain or the system. The secret is shown this once."""
        NoQuery.read(request)
        wanted = CreateToken.read(request)
        issued = signin.login(request=request._request, **wanted)
        return Response({**token(issued.token), "secret": issued.secret}, status=201)


class RevokeTokens(View):
    """All tokens of one's own at once."""

    permissions: ClassVar = {"POST": "identity.token.revoke"}
    bodies: ClassVar = {"POST": RevokeAll}

    @extend_schema(operation_id="tokens_revoke_all", request=RevokeAll, responses=RevokedSerializer, tags=["identity"])
    def post(self, request: Request) -> Response:
        """Revoke all one's tokens, in whatever project: they stop working at once."""
        NoQuery.read(request)
        wanted = RevokeAll.read(request)
        return Response({"revoked": tokens.revoke_all(actor=actor_of(request), keep_this=wanted["keep_this"])})


class TokenDetail(View):
    """One token."""

    permissions: ClassVar = {"DELETE": "identity.token.revoke"}

    @extend_schema(operation_id="tokens_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, token_id: uuid.UUID) -> Response:
        """Revoke it: it stops working at once."""
        NoQuery.read(request)
        tokens.revoke(actor=actor_of(request), token_id=token_id)
        return Response(status=204)


class CurrentToken(View):
    """The token that the request comes with."""

    permissions: ClassVar = {"DELETE": "identity.token.revoke"}

    @extend_schema(operation_id="tokens_delete_current", responses={204: None}, tags=["identity"])
    def delete(self, request: Request) -> Response:
        """Sign out."""
        NoQuery.read(request)
        actor, held = actor_of(request), token_of(request)
        if held is None:
            raise NotFound("token.not_found", "This request came without a token.")
        tokens.revoke(actor=actor, token_id=held.id)
        return Response(status=204)
