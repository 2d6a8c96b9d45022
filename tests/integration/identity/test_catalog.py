"""Services, endpoints, regions and stored policies."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from apps.audit.models import Record
from apps.common.context import SYSTEM, Actor
from apps.identity import builtin, selectors
from apps.identity.models import Endpoint, Region, Service
from apps.identity.services import catalog
from tests.support.cloud import make_project, refusal
from tests.support.identity import make_actor

pytestmark = pytest.mark.django_db(transaction=True)


def make_service(kind: str = "dns") -> Service:
    return catalog.create_service(actor=SYSTEM, type=kind, name="designate")


def make_endpoint(service: Service, **more: Any) -> Endpoint:
    fields = {"interface": "public", "url": "http://dns.example.org/%(project_id)s", **more}
    return catalog.create_endpoint(actor=SYSTEM, service_id=service.pk, **fields)


def test_a_service_is_in_the_catalog_once_it_has_an_endpoint_and_while_both_are_enabled() -> None:
    def kinds() -> set[str]:
        return {row.service_type for row in selectors.catalog()}

    assert kinds() == {"identity", "placement"}
    service = make_service()
    assert kinds() == {"identity", "placement"}
    endpoint = make_endpoint(service, region_id=builtin.REGION_ID)
    assert kinds() == {"dns", "identity", "placement"}
    catalog.update_service(actor=SYSTEM, service_id=service.pk, enabled=False)
    assert kinds() == {"identity", "placement"}
    catalog.update_service(actor=SYSTEM, service_id=service.pk, enabled=True)
    catalog.update_endpoint(actor=SYSTEM, endpoint_id=endpoint.pk, enabled=False)
    assert kinds() == {"identity", "placement"}
    catalog.delete_service(actor=SYSTEM, service_id=service.pk)
    assert not Endpoint.objects.filter(pk=endpoint.pk).exists()
    assert Record.objects.filter(action="identity.catalog.update").count() == 6


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"interface": "secret"}, "endpoint.interface", "interface"), ({"url": ""}, "name.invalid", "url"),
        ({"url": "no address"}, "endpoint.url", "url"), ({"url": "http://x/%(secret_key)s"}, "endpoint.url", "url"),
        ({"url": "http://x/%(project_id)"}, "endpoint.url", "url"), ({"region_id": "nowhere"}, "region.not_found", "region_id"),
        ({"description": "\x00"}, "text.invalid", "description"),
    ],
)
def test_a_field_of_an_endpoint_that_is_wrong_is_named(fields: dict[str, Any], code: str, field: str) -> None:
    service = make_service()
    error = refusal(make_endpoint, service, **fields)
    assert (error.kind, error.code, error.field) == ("invalid", code, field)
    endpoint = make_endpoint(service)
    error = refusal(catalog.update_endpoint, actor=SYSTEM, endpoint_id=endpoint.pk, **fields)
    assert (error.kind, error.code, error.field) == ("invalid", code, field)


def test_an_endpoint_is_of_a_service_that_is_there() -> None:
    error = refusal(make_endpoint, Service(pk=uuid.uuid4()))
    assert (error.kind, error.code, error.field) == ("invalid", "service.not_found", "service_id")


def test_regions_stand_below_each_other_and_not_in_a_circle() -> None:
    for key, parent in (("eu", None), ("eu-north", "eu"), ("eu-north-1", "eu-north")):
        catalog.create_region(actor=SYSTEM, region_id=key, parent_id=parent)
    assert refusal(catalog.create_region, actor=SYSTEM, region_id="eu").code == "region.exists"
    assert refusal(catalog.create_region, actor=SYSTEM, region_id="x", parent_id="nowhere").code == "region.parent_not_found"
    assert refusal(catalog.update_region, actor=SYSTEM, region_id="eu", parent_id="eu-north-1").code == "region.circle"
    assert refusal(catalog.update_region, actor=SYSTEM, region_id="eu", parent_id="eu").code == "region.circle"
    assert len(catalog.create_region(actor=SYSTEM).pk) == 32
    endpoint = make_endpoint(make_service(), region_id="eu-north-1")
    assert refusal(catalog.delete_region, actor=SYSTEM, region_id="eu").code == "region.in_use"
    catalog.delete_endpoint(actor=SYSTEM, endpoint_id=endpoint.pk)
    catalog.delete_region(actor=SYSTEM, region_id="eu")
    assert not Region.objects.filter(pk__startswith="eu").exists()


def test_what_is_built_in_stays() -> None:
    identity, endpoint = builtin.SERVICE_IDS["identity"], builtin.ENDPOINT_IDS["identity"]
    for call in (
        lambda: catalog.delete_service(actor=SYSTEM, service_id=identity),
        lambda: catalog.update_service(actor=SYSTEM, service_id=identity, type="x"),
        lambda: catalog.delete_endpoint(actor=SYSTEM, endpoint_id=endpoint),
        lambda: catalog.update_endpoint(actor=SYSTEM, endpoint_id=endpoint, url="http://evil.example.org/"),
        lambda: catalog.update_endpoint(actor=SYSTEM, endpoint_id=endpoint, enabled=False),
        lambda: catalog.delete_region(actor=SYSTEM, region_id=builtin.REGION_ID),
    ):
        error = refusal(call)
        assert (error.kind, error.code) == ("forbidden", "catalog.builtin")
    assert catalog.update_service(actor=SYSTEM, service_id=identity, description="x").description == "x"
    assert catalog.update_region(actor=SYSTEM, region_id=builtin.REGION_ID, description="x").description == "x"


def test_a_stored_policy_is_a_document_and_decides_nothing() -> None:
    made = catalog.create_policy(actor=SYSTEM, type="application/json", blob="{}")
    assert catalog.update_policy(actor=SYSTEM, policy_id=made.pk, blob="[]").blob == "[]"
    assert refusal(catalog.update_policy, actor=SYSTEM, policy_id=made.pk, blob="\x00").code == "text.invalid"
    assert selectors.stored_policy(actor=SYSTEM, policy_id=made.pk) == made
    assert "[]" not in str(Record.objects.values())
    catalog.delete_policy(actor=SYSTEM, policy_id=made.pk)
    assert refusal(catalog.delete_policy, actor=SYSTEM, policy_id=made.pk).code == "policy.not_found"


CHANGES: dict[str, Callable[[Actor], object]] = {
    "create a service": lambda actor: catalog.create_service(actor=actor, type="x"),
    "delete a service": lambda actor: catalog.delete_service(actor=actor, service_id=uuid.uuid4()),
    "create an endpoint": lambda actor: catalog.create_endpoint(actor=actor, service_id=uuid.uuid4(), interface="public", url="http://x"),
    "delete an endpoint": lambda actor: catalog.delete_endpoint(actor=actor, endpoint_id=uuid.uuid4()),
    "create a region": lambda actor: catalog.create_region(actor=actor),
    "delete a region": lambda actor: catalog.delete_region(actor=actor, region_id="x"),
    "create a policy": lambda actor: catalog.create_policy(actor=actor, type="x", blob="x"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_projects_admin_reads_the_catalog_and_changes_nothing(name: str) -> None:
    actor = make_actor(make_project(), role="admin")
    assert refusal(CHANGES[name], actor).code == "policy.forbidden"
    assert selectors.services(actor=actor).count() == len(builtin.SERVICES)
    assert selectors.endpoint(actor=actor, endpoint_id=builtin.ENDPOINT_IDS["identity"]).interface == "public"
    assert selectors.region(actor=actor, region_id=builtin.REGION_ID).pk == builtin.REGION_ID
