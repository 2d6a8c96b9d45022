"""Reads of services, endpoints, regions and stored policies."""

import uuid
from typing import NamedTuple, TypeVar

from django.db.models import Model, QuerySet

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.common.sql import as_uuid, fetch_prepared
from apps.identity import policy
from apps.identity.models import Endpoint, Region, Service, StoredPolicy

M = TypeVar("M", bound=Model)


# Asked with every token that is shown.
_OFFERED = """SELECT e.id, e.service_id, s.type, s.name, e.interface, e.region_id, e.url
FROM identity_endpoint e JOIN identity_service s ON s.id = e.service_id WHERE e.enabled AND s.enabled
ORDER BY s.type, e.service_id, e.region_id, e.interface, e.id"""


class Offered(NamedTuple):
    """An endpoint in the catalog."""

    id: uuid.UUID
    service_id: uuid.UUID
    service_type: str
    service_name: str
    interface: str
    region_id: str | None
    url: str


def catalog() -> list[Offered]:
    """The endpoints that clients are told of, with their services and in the order in which they are shown."""
    rows = fetch_prepared(_OFFERED, ())
    return [Offered(as_uuid(key), as_uuid(service), *others) for key, service, *others in rows]


def services(*, actor: Actor) -> "QuerySet[Service]":
    """Raises Forbidden."""
    policy.require(actor, "identity.catalog.list")
    return Service.objects.all()


def service(*, actor: Actor, service_id: uuid.UUID) -> Service:
    """Raises Forbidden, NotFound."""
    return _one(services(actor=actor), service_id, "service")


def endpoints(*, actor: Actor) -> "QuerySet[Endpoint]":
    """Raises Forbidden."""
    policy.require(actor, "identity.catalog.list")
    return Endpoint.objects.select_related("service")


def endpoint(*, actor: Actor, endpoint_id: uuid.UUID) -> Endpoint:
    """Raises Forbidden, NotFound."""
    return _one(endpoints(actor=actor), endpoint_id, "endpoint")


def regions(*, actor: Actor) -> "QuerySet[Region]":
    """Raises Forbidden."""
    policy.require(actor, "identity.catalog.list")
    return Region.objects.all()


def region(*, actor: Actor, region_id: str) -> Region:
    """Raises Forbidden, NotFound."""
    return _one(regions(actor=actor), region_id, "region")


def stored_policies(*, actor: Actor) -> "QuerySet[StoredPolicy]":
    """Raises Forbidden."""
    policy.require(actor, "identity.catalog.list")
    return StoredPolicy.objects.all()


def stored_policy(*, actor: Actor, policy_id: uuid.UUID) -> StoredPolicy:
    """Raises Forbidden, NotFound."""
    return _one(stored_policies(actor=actor), policy_id, "policy")


def _one(rows: "QuerySet[M]", key: uuid.UUID | str, thing: str) -> M:
    found = rows.filter(pk=key).first()
    if found is None:
        raise NotFound(f"{thing}.not_found", f"There is no {thing} {key}.", field=f"{thing}_id")
    return found
