"""Allocation candidates: which claims could be made to satisfy a request."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.microversions import Version
from apis.openstack.common.views import Call, reply
from apis.openstack.placement import candidates_query
from apis.openstack.placement.service import View, stamped, version_of
from apps.placement.candidates.forest import Provider
from apps.placement.candidates.query import Candidate, CandidateQuery
from apps.placement.services import asking

_DICTS, _TRAITS, _ALL_CLASSES, _TREES, _MAPPINGS = (1, 12), (1, 17), (1, 27), (1, 29), (1, 34)


class CandidateList(View):
    """Claims that could be made, and the providers that they are about."""

    permissions: ClassVar = {"GET": "placement.candidate.list"}
    since: ClassVar = {"GET": (1, 10)}

    def get(self, call: Call) -> HttpResponse:
        wanted, version = candidates_query.read(call), version_of(call)
        found = asking.candidates(actor=call.actor, wanted=wanted)
        return stamped(call, reply({
            "allocation_requests": [_request(each, version) for each in found.requests],
            "provider_summaries": _summaries(found.summaries, wanted, version),
        }))


def _request(each: Candidate, version: Version) -> dict[str, Any]:
    """As PUT /allocations takes it in the same version."""
    if version < _DICTS:
        return {"allocations": [
            {"resource_provider": {"uuid": provider_id}, "resources": dict(amounts)} for provider_id, amounts in each.allocations.items()
        ]}
    content: dict[str, Any] = {
        "allocations": {str(provider_id): {"resources": dict(amounts)} for provider_id, amounts in each.allocations.items()}
    }
    if version >= _MAPPINGS:
        content["mappings"] = {suffix: list(ids) for suffix, ids in each.mappings.items()}
    return content


def _summaries(providers: Mapping[Any, Provider], wanted: CandidateQuery, version: Version) -> dict[str, Any]:
    asked = {name for group in wanted.groups.values() for name in group.resources}
    return {str(key): _summary(each, asked, version) for key, each in providers.items()}


def _summary(each: Provider, asked: Collection[str], version: Version) -> dict[str, Any]:
    content: dict[str, Any] = {"resources": {
        name: {"capacity": stock.capacity, "used": stock.used} for name, stock in each.stocks.items()
        if version >= _ALL_CLASSES or name in asked
    }}
    if version >= _TRAITS:
        content["traits"] = sorted(each.traits)
    if version >= _TREES:
        content |= {"parent_provider_uuid": each.parent_id, "root_provider_uuid": each.root_id}
    return content


urlpatterns = [path("allocation_candidates", CandidateList.as_view())]
