"""Traits and resource classes: the standard ones, and those that operators make."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import page_of_names
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.placement import selectors
from apps.placement.api import filters, serializers
from apps.placement.names import standard_classes
from apps.placement.selectors import Named
from apps.placement.services import classes, traits


class TraitList(View):
    """What providers can be. For operators."""

    permissions: ClassVar = {"GET": "placement.provider.list", "POST": "placement.trait.update"}
    bodies: ClassVar = {"POST": serializers.CreateCustom}

    @extend_schema(
        operation_id="traits_list", parameters=[filters.NamesQuery], responses=paged(serializers.NamedSerializer), tags=["placement"]
    )
    def get(self, request: Request) -> Response:
        """List traits, by name: some 400 there are always. For operators."""
        return _listed(request, selectors.named_traits(actor=actor_of(request)), str)

    @extend_schema(
        operation_id="traits_create", request=serializers.CreateCustom, responses={201: serializers.NamedSerializer}, tags=["placement"]
    )
    def post(self, request: Request) -> Response:
        """Make a trait of one's own; nothing happens if it is there. For operators."""
        NoQuery.read(request)
        name = serializers.CreateCustom.read(request)["name"]
        traits.create(actor=actor_of(request), name=name)
        return Response(serializers.named(Named(name, standard=False)), status=201)


class TraitDetail(View):
    """One trait. For operators."""

    permissions: ClassVar = {"DELETE": "placement.trait.update"}

    @extend_schema(operation_id="traits_delete", responses={204: None}, tags=["placement"])
    def delete(self, request: Request, trait_name: str) -> Response:
        """Delete a trait that was made here and that no provider has. For operators."""
        NoQuery.read(request)
        traits.delete(actor=actor_of(request), name=trait_name)
        return Response(status=204)


class ResourceClassList(View):
    """What inventories are of. For operators."""

    permissions: ClassVar = {"GET": "placement.provider.list", "POST": "placement.resource_class.update"}
    bodies: ClassVar = {"POST": serializers.CreateCustom}

    @extend_schema(
        operation_id="resource_classes_list", parameters=[filters.NamesQuery], responses=paged(serializers.NamedSerializer), tags=["placement"]
    )
    def get(self, request: Request) -> Response:
        """List resource classes: the standard ones, then the others by name. For operators."""
        return _listed(request, selectors.resource_classes(actor=actor_of(request)), _class_order)

    @extend_schema(
        operation_id="resource_classes_create", request=serializers.CreateCustom, responses={201: serializers.NamedSerializer},
        tags=["placement"],
    )
    def post(self, request: Request) -> Response:
        """Make a resource class of one's own; nothing happens if it is there. For operators."""
        NoQuery.read(request)
        name = serializers.CreateCustom.read(request)["name"]
        classes.ensure(actor=actor_of(request), name=name)
        return Response(serializers.named(Named(name, standard=False)), status=201)


class ResourceClassDetail(View):
    """One resource class. For operators."""

    permissions: ClassVar = {"DELETE": "placement.resource_class.update"}

    @extend_schema(operation_id="resource_classes_delete", responses={204: None}, tags=["placement"])
    def delete(self, request: Request, class_name: str) -> Response:
        """Delete a resource class that was made here and that no inventory is of. For operators."""
        NoQuery.read(request)
        classes.delete(actor=actor_of(request), name=class_name)
        return Response(status=204)


def _listed(request: Request, found: Sequence[Named], order: Callable[[str], Any]) -> Response:
    """`order`: of names, as `found` is in; also of one that is gone by now."""
    query = filters.NamesQuery.read(request)
    wanted = {
        each.name: each
        for each in found
        if query.get("standard") in (None, each.standard)
        and each.name.startswith(query.get("prefix", ""))
        and ("after" not in query or order(each.name) > order(query["after"]))
    }
    return page_of_names(request, list(wanted), lambda name: serializers.named(wanted[name]))


def _class_order(name: str) -> tuple[int, str]:
    known = standard_classes()
    return (known.index(name), "") if name in known else (len(known), name)
