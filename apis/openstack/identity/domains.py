"""Domains. Configurations of their own for drivers (`/domains/…/config`) are not offered: the directory is set up by settings."""

import re
import uuid
from typing import ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import Filter, Flag, Text, page
from apis.openstack.common.schema import UNSET, Name64, Options, Struct, UnsetType, for_services, given
from apis.openstack.common.schema import Text as Words
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity import rendering
from apis.openstack.identity.service import View
from apps.common.errors import Invalid
from apps.identity import selectors
from apps.identity.services import domains

_HEX = re.compile(r"[0-9a-f]{32}")


class Change(Struct):
    name: Name64 | UnsetType = UNSET
    description: Words | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    options: Options | UnsetType = UNSET


class Create(Change, kw_only=True):
    name: Name64
    explicit_domain_id: str | UnsetType = UNSET


FILTERS: dict[str, Filter] = {"name": Text("name"), "enabled": Flag("enabled")}


class DomainList(View):
    """All domains that one may see."""

    permissions: ClassVar = {"GET": "identity.domain.list", "POST": "identity.domain.create"}

    def get(self, call: Call) -> HttpResponse:
        return page(call, "domains", selectors.domains(actor=call.actor).prefetch_related("tags"), rendering.domain, FILTERS)

    def post(self, call: Call) -> HttpResponse:
        wanted = for_services(given(call.read(Create, "domain")))
        explicit = wanted.pop("explicit_domain_id", None)
        if explicit is not None:
            if not _HEX.fullmatch(explicit):
                raise Invalid(
                    "domain.id", "Domain ID does not conform to required UUID format.", field="explicit_domain_id"
                )
            wanted["domain_id"] = uuid.UUID(explicit)
        return reply({"domain": rendering.domain(domains.create_domain(actor=call.actor, **wanted))}, 201)


class DomainDetail(View):
    """One domain."""

    permissions: ClassVar = {
        "GET": "identity.domain.get", "PATCH": "identity.domain.update", "DELETE": "identity.domain.delete",
    }

    def get(self, call: Call, domain_id: uuid.UUID) -> HttpResponse:
        return reply({"domain": rendering.domain(selectors.domain(actor=call.actor, domain_id=domain_id))})

    def patch(self, call: Call, domain_id: uuid.UUID) -> HttpResponse:
        wanted = for_services(call.changes(Change, "domain", domain_id))
        changed = domains.update_domain(actor=call.actor, domain_id=domain_id, **wanted)
        return reply({"domain": rendering.domain(changed)})

    def delete(self, call: Call, domain_id: uuid.UUID) -> HttpResponse:
        domains.delete_domain(actor=call.actor, domain_id=domain_id)
        return nothing()


urlpatterns = [
    path("domains", DomainList.as_view()),
    path("domains/<id:domain_id>", DomainDetail.as_view()),
]
