"""OpenStack's SDK, as it is, keeps books in Placement at a server that listens."""

import dataclasses
import uuid
from collections.abc import Iterator
from typing import Any

import openstack
import pytest
from django.conf import LazySettings
from openstack.exceptions import ConflictException, NotFoundException

from apps.identity import builtin
from tests.support.identity import PASSWORD, make_user

# The SDK's own, about its next versions.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")]
AGGREGATE = "5a99e9a7-0000-4000-8000-000000000000"


@pytest.fixture
def sdk(live_server: Any, settings: LazySettings) -> Iterator[Any]:
    """The SDK's Placement, as an admin on the system."""
    settings.ENV = dataclasses.replace(settings.ENV, public_url=live_server.url)
    make_user("root", operator=True)
    auth = {
        "auth_url": f"{live_server.url}/identity/v3", "username": "root", "password": PASSWORD, "user_domain_name": "Default", "system_scope": "all",
    }
    connection = openstack.connect(auth=auth, region_name=builtin.REGION_ID, load_yaml_config=False, load_envvars=False)
    yield connection.placement
    connection.session.session.close()  # a kept socket keeps a thread of the server, and that its database connection


def test_the_sdk_finds_placement_and_its_versions(sdk: Any, live_server: Any) -> None:
    found = sdk.get_endpoint_data()
    assert (found.url, found.min_microversion, found.max_microversion) == (f"{live_server.url}/placement/", (1, 0), (1, 39))


def test_the_sdk_keeps_providers_and_what_they_have(sdk: Any) -> None:
    host = sdk.create_resource_provider(name="host")
    card = sdk.create_resource_provider(name="card", parent_provider_id=host.id)
    assert (card.parent_provider_id, card.root_provider_id) == (host.id, host.id)
    assert sdk.find_resource_provider("card", ignore_missing=False).id == card.id
    assert {each.name for each in sdk.resource_providers(in_tree=card.id)} == {"host", "card"}
    assert sdk.update_resource_provider(card, name="fpga").name == "fpga"
    sdk.create_resource_class(name="CUSTOM_FPGA")
    made = sdk.create_resource_provider_inventory(card, "CUSTOM_FPGA", total=2, max_unit=1)
    assert (made.total, made.max_unit, made.resource_provider_generation) == (2, 1, 1)
    assert sdk.update_resource_provider_inventory(made, card, total=4, resource_provider_generation=1).total == 4
    assert [(each.id, each.total) for each in sdk.resource_provider_inventories(card)] == [("CUSTOM_FPGA", 4)]
    sdk.create_trait("CUSTOM_FAST")
    assert "CUSTOM_FAST" in {each.id for each in sdk.traits()}
    traits = sdk.get_resource_provider_trait(card)
    sdk.set_resource_provider_trait(traits, traits=["CUSTOM_FAST"], resource_provider_generation=2)
    assert sdk.get_resource_provider_trait(card).traits == ["CUSTOM_FAST"]
    assert sdk.set_resource_provider_aggregates(sdk.get_resource_provider(host.id), AGGREGATE).aggregates == [AGGREGATE]
    with pytest.raises(ConflictException, match="409"):
        sdk.delete_resource_provider(host)
    sdk.delete_resource_provider(card)
    with pytest.raises(NotFoundException):
        sdk.get_resource_provider(card.id)


def test_the_sdk_claims_and_gives_back(sdk: Any) -> None:
    host = sdk.create_resource_provider(name="host")
    sdk.set_resource_provider_inventories(host, {"VCPU": {"total": 8}, "MEMORY_MB": {"total": 4096}}, 0)
    consumer = str(uuid.uuid4())
    [found] = sdk.allocation_candidates(resources="VCPU:2,MEMORY_MB:512", limit=1)
    assert found.mappings == {"": [host.id]}
    claim = {"allocations": found.allocations, "project_id": "red", "user_id": "ann", "consumer_generation": None, "consumer_type": "INSTANCE"}
    sdk.create_allocations({consumer: claim})
    held = sdk.get_allocation(consumer)
    assert held.allocations[host.id]["resources"] == {"VCPU": 2, "MEMORY_MB": 512} and held.consumer_generation == 1
    assert sdk.fetch_resource_provider_usages(host).usages == {"VCPU": 2, "MEMORY_MB": 512}
    assert [each.id for each in sdk.resource_provider_allocations(host)] == [consumer]
    assert [each.consumer_count for each in sdk.usages("red", consumer_type="INSTANCE")] == [1]
    with pytest.raises(ConflictException, match="409"):
        sdk.create_allocations({consumer: claim})
    sdk.delete_allocation(consumer)
    sdk.delete_resource_provider_inventories(host)
    assert list(sdk.resource_provider_inventories(host)) == []
