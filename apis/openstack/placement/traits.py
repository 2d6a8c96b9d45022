"""Traits: what providers are, as opposed to how much they have. The standard ones are always there; clients make `CUSTOM_` ones."""

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.placement import query, shapes
from apis.openstack.placement.service import View, location, stamped
from apps.common.errors import Invalid
from apps.placement import selectors
from apps.placement.names import is_custom
from apps.placement.services import traits

if TYPE_CHECKING:
    from apps.placement.models import ResourceProvider

_SINCE = (1, 6)


class TraitList(View):
    """All of them, or those that a query asks for."""

    permissions: ClassVar = {"GET": "placement.provider.list"}
    since: ClassVar = {"GET": _SINCE}

    def get(self, call: Call) -> HttpResponse:
        found = selectors.traits(actor=call.actor, **_wanted(call))
        return stamped(call, reply({"traits": found}))


class TraitDetail(View):
    """Whether there is one, and making it so."""

    permissions: ClassVar = {"GET": "placement.provider.list", "PUT": "placement.trait.update", "DELETE": "placement.trait.update"}
    since: ClassVar = {"GET": _SINCE, "PUT": _SINCE, "DELETE": _SINCE}
    bodies: ClassVar = frozenset()
    renders: ClassVar = False

    def get(self, call: Call, trait_name: str) -> HttpResponse:
        found = selectors.trait(actor=call.actor, name=trait_name)
        return stamped(call, nothing(), found.updated_at)

    def put(self, call: Call, trait_name: str) -> HttpResponse:
        if not is_custom(trait_name):
            raise Invalid(
                "request.invalid", "The trait is invalid. A valid trait must be no longer than 255 characters, start with the prefix"
                ' "CUSTOM_" and use following characters: "A"-"Z", "0"-"9" and "_"',
            )
        made = traits.create(actor=call.actor, name=trait_name)
        return stamped(call, nothing(201 if made else 204, {"Location": location("traits", trait_name)}))

    def delete(self, call: Call, trait_name: str) -> HttpResponse:
        traits.delete(actor=call.actor, name=trait_name)
        return nothing()


class ProviderTraits(View):
    """Those of one provider."""

    permissions: ClassVar = {"GET": "placement.provider.list", "PUT": "placement.trait.update", "DELETE": "placement.trait.update"}
    since: ClassVar = {"GET": _SINCE, "PUT": _SINCE, "DELETE": _SINCE}

    def get(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        return _of_provider(call, selectors.provider(actor=call.actor, provider_id=provider_id))

    def put(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        given: shapes.Traits = shapes.PUT_TRAITS.read(call)
        provider = traits.set_of(
            actor=call.actor, provider_id=provider_id, generation=given.resource_provider_generation, names=given.traits
        )
        return _of_provider(call, provider)

    def delete(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        traits.set_of(actor=call.actor, provider_id=provider_id, generation=None, names=[])
        return nothing()


def _of_provider(call: Call, provider: "ResourceProvider") -> HttpResponse:
    # Also those that its host reports, whatever a client has set.
    names = sorted(row.name for row in provider.traits.all())
    return stamped(call, reply({"traits": names, "resource_provider_generation": provider.generation}), provider.updated_at)


def _wanted(call: Call) -> dict[str, Any]:
    """`name=in:A,B`, `name=startswith:CUSTOM_`, `associated=true`."""
    given = query.parameters(call, ("name", "associated"))
    wanted: dict[str, Any] = {}
    if "name" in given:
        how, colon, text = given["name"].partition(":")
        if not colon:
            raise Invalid(
                "request.query", "Badly formatted name parameter. Expected name query string parameter in form:"
                f' ?name=[in|startswith]:[name1,name2|prefix]. Got: "{given["name"][:64]}"',
            )
        if how == "in":
            wanted["names"] = text.split(",")
        elif how == "startswith":
            wanted["prefix"] = text
    if "associated" in given:
        if given["associated"].lower() not in ("true", "false"):
            raise Invalid("request.query", 'The query parameter "associated" only accepts "true" or "false"')
        wanted["associated"] = given["associated"].lower() == "true"
    return wanted


urlpatterns = [
    path("traits", TraitList.as_view()),
    path("traits/<str:trait_name>", TraitDetail.as_view()),
    path("resource_providers/<id:provider_id>/traits", ProviderTraits.as_view()),
]
