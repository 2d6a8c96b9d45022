"""The LDAP directory over HTTP: how its synchronisation goes."""

from dataclasses import asdict
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.identity.services import directory


class DirectorySerializer(serializers.Serializer[Any]):
    configured = serializers.BooleanField(help_text="There is one: CLOUDSITE_LDAP_URL is set.")
    url = serializers.CharField()
    domain = serializers.CharField(help_text="In which its users and groups live.")
    domain_id = serializers.UUIDField(allow_null=True)
    running = serializers.BooleanField()
    due_at = serializers.DateTimeField(allow_null=True, help_text="When the next synchronisation begins.")
    tried_at = serializers.DateTimeField(allow_null=True)
    good_at = serializers.DateTimeField(allow_null=True, help_text="End of the last one that came to its end.")
    age_s = serializers.FloatField(allow_null=True)
    took_ms = serializers.IntegerField(allow_null=True)
    users = serializers.IntegerField(help_text="That came from a directory, and are still here.")
    users_enabled = serializers.IntegerField()
    groups = serializers.IntegerField()
    result = serializers.DictField(help_text="Of the last good one: what was done, and `problems`.")
    error = serializers.DictField(allow_null=True, help_text="Why the last one failed: `code`, `message`, `at`.")


class Directory(View):
    """The LDAP directory. For operators."""

    permissions: ClassVar = {"GET": directory.PERMISSION, "POST": directory.PERMISSION}

    @extend_schema(operation_id="directory_get", responses=DirectorySerializer, tags=["identity"])
    def get(self, request: Request) -> Response:
        """How the synchronisation with the LDAP directory goes. For operators."""
        NoQuery.read(request)
        return Response(asdict(directory.status(actor=actor_of(request))))

    @extend_schema(operation_id="directory_sync", request=None, responses={202: DirectorySerializer}, tags=["identity"])
    def post(self, request: Request) -> Response:
        """Have it synchronised within seconds. For operators."""
        NoQuery.read(request)
        return Response(asdict(directory.ask_for_sync(actor=actor_of(request))), status=202)
