"""The second factor over HTTP."""

import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api import fields
from apps.common.api.inputs import Input, NoQuery
from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.identity.services import totp

_TOTP = "identity.totp.manage"


class Code(Input):
    """A code of the second factor."""

    code = fields.Line(max_length=16)


class TotpSerializer(serializers.Serializer[Any]):
    enabled = serializers.BooleanField(help_text="Signing in takes a code beside the password.")


class EnrolmentSerializer(serializers.Serializer[Any]):
    seed = serializers.CharField(help_text="In Base32. Shown this once and never again.")
    uri = serializers.CharField(help_text="`otpauth://…`, which the app on the phone reads as a QR code.")
    image = serializers.CharField(help_text="That QR code as SVG, as a `data:` address.")


class Totp(View):
    """One's own second factor."""

    permissions: ClassVar = {"GET": _TOTP, "POST": _TOTP}

    @extend_schema(operation_id="totp_get", responses=TotpSerializer, tags=["identity"])
    def get(self, request: Request) -> Response:
        """Whether there is one."""
        NoQuery.read(request)
        return Response({"enabled": totp.is_on(actor=actor_of(request))})

    @extend_schema(operation_id="totp_enrol", request=None, responses={201: EnrolmentSerializer}, tags=["identity"])
    def post(self, request: Request) -> Response:
        """Make a seed for an app on the phone. It counts once a first code has shown that the app has it."""
        NoQuery.read(request)
        made = totp.enrol(actor=actor_of(request))
        return Response({"seed": made.seed, "uri": made.uri, "image": made.image}, status=201)


class TotpConfirmation(View):
    """The first code of a new second factor."""

    permissions: ClassVar = {"POST": _TOTP}
    bodies: ClassVar = {"POST": Code}

    @extend_schema(operation_id="totp_confirm", request=Code, responses={204: None}, tags=["identity"])
    def post(self, request: Request) -> Response:
        """From now on signing in takes a code beside the password."""
        NoQuery.read(request)
        totp.confirm(actor=actor_of(request), code=Code.read(request)["code"])
        return Response(status=204)


class TotpRemoval(View):
    """The end of one's second factor."""

    permissions: ClassVar = {"POST": _TOTP}
    bodies: ClassVar = {"POST": Code}

    @extend_schema(operation_id="totp_remove", request=Code, responses={204: None}, tags=["identity"])
    def post(self, request: Request) -> Response:
        """From now on the password is enough again."""
        NoQuery.read(request)
        totp.remove(actor=actor_of(request), code=Code.read(request)["code"], request=request._request)
        return Response(status=204)


class UserTotp(View):
    """The second factor of another user, whose phone was lost."""

    permissions: ClassVar = {"DELETE": "identity.user.set_password"}

    @extend_schema(operation_id="users_totp_delete", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, user_id: uuid.UUID) -> Response:
        """Take it away."""
        NoQuery.read(request)
        totp.remove_of(actor=actor_of(request), user_id=user_id)
        return Response(status=204)
