"""The reshaper: inventories move between providers, and what is claimed of them with them, all at once."""

from typing import ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.views import Call, nothing
from apis.openstack.placement import shapes
from apis.openstack.placement.allocations import wanted_of
from apis.openstack.placement.inventories import all_facts
from apis.openstack.placement.service import View
from apps.placement.services import allocations
from apps.placement.services.allocations import Reshaped


class Reshaper(View):
    """For those who manage hosts, when the shape of a tree changes."""

    permissions: ClassVar = {"POST": "placement.allocation.reshape"}
    since: ClassVar = {"POST": (1, 30)}

    def post(self, call: Call) -> HttpResponse:
        given: shapes.Reshaping = shapes.POST_RESHAPER.read(call)
        wanted = {
            provider_id: Reshaped(generation=each.resource_provider_generation, inventories=all_facts(call, each.inventories))
            for provider_id, each in given.inventories.items()
        }
        allocations.reshape(actor=call.actor, inventories=wanted, allocations=wanted_of(given.allocations))
        return nothing()


urlpatterns = [path("reshaper", Reshaper.as_view())]
