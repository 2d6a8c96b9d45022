"""Flavors and key pairs; instances have modules of their own."""

import uuid
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery, PageQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.compute import selectors
from apps.compute.api import filters, serializers
from apps.compute.services import catalog
from apps.identity.api.authentication import actor_of


class FlavorList(View):
    """Sizes of instances."""

    permissions: ClassVar = {"GET": "compute.flavor.list", "POST": "compute.flavor.create"}
    bodies: ClassVar = {"POST": serializers.CreateFlavor}

    @extend_schema(
        operation_id="flavors_list", parameters=[filters.FlavorQuery], responses=paged(serializers.FlavorSerializer), tags=["compute"]
    )
    def get(self, request: Request) -> Response:
        """List flavors."""
        query = filters.FlavorQuery.read(request)
        rows = selectors.flavors(actor=actor_of(request))
        return page(request, rows.filter(name=query["name"]) if "name" in query else rows, serializers.flavor)

    @extend_schema(
        operation_id="flavors_create", request=serializers.CreateFlavor, responses={201: serializers.FlavorSerializer}, tags=["compute"]
    )
    def post(self, request: Request) -> Response:
        """Create a flavor. For operators."""
        NoQuery.read(request)
        wanted = serializers.CreateFlavor.read(request)
        return Response(serializers.flavor(catalog.create_flavor(actor=actor_of(request), **wanted)), status=201)


class FlavorDetail(View):
    """One flavor."""

    permissions: ClassVar = {"GET": "compute.flavor.get", "DELETE": "compute.flavor.delete"}

    @extend_schema(operation_id="flavors_get", responses=serializers.FlavorSerializer, tags=["compute"])
    def get(self, request: Request, flavor_id: uuid.UUID) -> Response:
        """Show a flavor."""
        NoQuery.read(request)
        return Response(serializers.flavor(selectors.flavor(actor=actor_of(request), flavor_id=flavor_id)))

    @extend_schema(operation_id="flavors_delete", responses={204: None}, tags=["compute"])
    def delete(self, request: Request, flavor_id: uuid.UUID) -> Response:
        """Delete a flavor; instances keep their size. For operators."""
        NoQuery.read(request)
        catalog.delete_flavor(actor=actor_of(request), flavor_id=flavor_id)
        return Response(status=204)


class KeyPairList(View):
    """Public SSH keys of one's own."""

    permissions: ClassVar = {"GET": "compute.key_pair.list", "POST": "compute.key_pair.create"}
    bodies: ClassVar = {"POST": serializers.CreateKeyPair}

    @extend_schema(operation_id="key_pairs_list", parameters=[PageQuery], responses=paged(serializers.KeyPairSerializer), tags=["compute"])
    def get(self, request: Request) -> Response:
        """List one's own key pairs."""
        PageQuery.read(request)
        return page(request, selectors.key_pairs(actor=actor_of(request)), serializers.key_pair)

    @extend_schema(
        operation_id="key_pairs_create", request=serializers.CreateKeyPair, responses={201: serializers.KeyPairSerializer}, tags=["compute"]
    )
    def post(self, request: Request) -> Response:
        """Take in a public key."""
        NoQuery.read(request)
        wanted = serializers.CreateKeyPair.read(request)
        return Response(serializers.key_pair(catalog.create_key_pair(actor=actor_of(request), **wanted)), status=201)


class KeyPairDetail(View):
    """One key pair, by its name."""

    permissions: ClassVar = {"GET": "compute.key_pair.get", "DELETE": "compute.key_pair.delete"}

    @extend_schema(operation_id="key_pairs_get", responses=serializers.KeyPairSerializer, tags=["compute"])
    def get(self, request: Request, name: str) -> Response:
        """Show a key pair."""
        NoQuery.read(request)
        return Response(serializers.key_pair(selectors.key_pair(actor=actor_of(request), name=name)))

    @extend_schema(operation_id="key_pairs_delete", responses={204: None}, tags=["compute"])
    def delete(self, request: Request, name: str) -> Response:
        """Delete a key pair; instances keep the key."""
        NoQuery.read(request)
        catalog.delete_key_pair(actor=actor_of(request), name=name)
        return Response(status=204)
