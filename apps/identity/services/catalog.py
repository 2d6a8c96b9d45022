"""Services, endpoints, regions and stored policies: what OpenStack clients find the services by. Built-in ones stay."""

import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypedDict, TypeVar, Unpack

from django.db import IntegrityError, transaction
from django.db.models import Model, ProtectedError, QuerySet

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Forbidden, Invalid, InvalidState, NotFound
from apps.common.ids import new_id
from apps.identity import builtin, policy
from apps.identity.fields import check_text
from apps.identity.models import Endpoint, Region, Service, StoredPolicy

PERMISSION = "identity.catalog.update"
INTERFACES = ("public", "internal", "admin")
MOST_URL, MOST_BLOB = 2048, 65536
# What an endpoint's address may hold, as `%(project_id)s` or `$(project_id)s`.
NAMES = ("public_url", "project_id", "tenant_id", "user_id")
_NAME = re.compile(r"[%$]\((\w*)\)s")
_URL = re.compile(r"[a-zA-Z0-9+.-]+:.+|%\(public_url\)s.*|\$\(public_url\)s.*")
M = TypeVar("M", bound=Model)


class ServiceChanges(TypedDict, total=False):
    type: str
    name: str
    description: str
    enabled: bool


class EndpointChanges(TypedDict, total=False):
    service_id: uuid.UUID
    interface: str
    region_id: str | None
    url: str
    name: str
    description: str
    enabled: bool


class RegionChanges(TypedDict, total=False):
    description: str
    parent_id: str | None


class PolicyChanges(TypedDict, total=False):
    type: str
    blob: str


@transaction.atomic
def create_service(*, actor: Actor, type: str, name: str = "", description: str = "", enabled: bool = True) -> Service:  # noqa: A002
    """A kind of API. Raises Forbidden, Invalid."""
    policy.require(actor, PERMISSION)
    _check({"type": type, "name": name, "description": description})
    made = Service.objects.create(type=type, name=name, description=description, enabled=enabled)
    _record(actor, "service", made, {"type": type})
    return made


@transaction.atomic
def update_service(*, actor: Actor, service_id: uuid.UUID, **changes: Unpack[ServiceChanges]) -> Service:
    """Change what is given; a built-in one keeps its type. Raises NotFound, Forbidden (also `catalog.builtin`), Invalid."""
    policy.require(actor, PERMISSION)
    _check(changes)
    service = _locked(Service.objects.all(), service_id, "service")
    if changes.get("type", service.type) != service.type:
        _not_builtin(service.pk, "service")
    return _save(actor, "service", service, changes)


@transaction.atomic
def delete_service(*, actor: Actor, service_id: uuid.UUID) -> None:
    """Delete it with its endpoints. Raises NotFound, Forbidden (also `catalog.builtin`)."""
    policy.require(actor, PERMISSION)
    service = _locked(Service.objects.all(), service_id, "service")
    _not_builtin(service.pk, "service")
    _delete(actor, "service", service)


@transaction.atomic
def create_endpoint(
    *, actor: Actor, service_id: uuid.UUID, interface: str, url: str, region_id: str | None = None, enabled: bool = True,
    name: str = "", description: str = "", make_region: bool = False,
) -> Endpoint:
    """An address of a service. `url` may hold `%(public_url)s`, `%(project_id)s`, `%(user_id)s`. `make_region`: if there is none.

    Raises Forbidden, Invalid (a field; `endpoint.url`, `service.not_found`, `region.not_found`).
    """
    policy.require(actor, PERMISSION)
    given: EndpointChanges = {
        "service_id": service_id, "interface": interface, "url": url, "region_id": region_id, "name": name,
        "description": description,
    }
    _check(given)
    if make_region:
        _make_region(actor, region_id)
    _refers(given)
    made = Endpoint.objects.create(
        service_id=service_id, interface=interface, url=url, region_id=region_id, enabled=enabled, name=name, description=description
    )
    _record(actor, "endpoint", made, {"interface": interface, "url": url})
    return made


@transaction.atomic
def update_endpoint(
    *, actor: Actor, endpoint_id: uuid.UUID, make_region: bool = False, **changes: Unpack[EndpointChanges]
) -> Endpoint:
    """Change what is given; of the built-in one name, description and region. Raises NotFound, Forbidden (also
    `catalog.builtin`), Invalid."""
    policy.require(actor, PERMISSION)
    _check(changes)
    endpoint = _locked(Endpoint.objects.all(), endpoint_id, "endpoint")
    changed = record.changed(endpoint, **changes)
    if {"service_id", "interface", "url", "enabled"} & set(changed):
        _not_builtin(endpoint.pk, "endpoint")
    if make_region:
        _make_region(actor, changes.get("region_id"))
    _refers(changes)
    return _save(actor, "endpoint", endpoint, changes)


@transaction.atomic
def delete_endpoint(*, actor: Actor, endpoint_id: uuid.UUID) -> None:
    """Raises NotFound, Forbidden (also `catalog.builtin`)."""
    policy.require(actor, PERMISSION)
    endpoint = _locked(Endpoint.objects.all(), endpoint_id, "endpoint")
    _not_builtin(endpoint.pk, "endpoint")
    _delete(actor, "endpoint", endpoint)


def create_region(*, actor: Actor, region_id: str | None = None, description: str = "", parent_id: str | None = None) -> Region:
    """A named place; without a name it gets one. Raises Forbidden, Invalid, NotFound (parent), Conflict (`region.exists`)."""
    policy.require(actor, PERMISSION)
    key = region_id if region_id is not None else new_id().hex
    check_name(key, field="id")
    _check({"description": description})
    try:
        with transaction.atomic():
            _above(key, parent_id)
            made = Region(pk=key, description=description, parent_id=parent_id)
            made.save(force_insert=True)
            _record(actor, "region", made, {"parent_id": parent_id})
    except IntegrityError:
        raise Conflict("region.exists", f"Duplicate ID, {key}.", field="id") from None
    return made


@transaction.atomic
def update_region(*, actor: Actor, region_id: str, **changes: Unpack[RegionChanges]) -> Region:
    """Change what is given. Raises NotFound (region, parent), Forbidden, Invalid (`region.circle`)."""
    policy.require(actor, PERMISSION)
    _check(changes)
    list(Region.objects.select_for_update(no_key=True).order_by("pk"))  # a handful; two moves could close a circle together
    region = _locked(Region.objects.all(), region_id, "region")
    _above(region_id, changes.get("parent_id"))
    return _save(actor, "region", region, changes)


@transaction.atomic
def delete_region(*, actor: Actor, region_id: str) -> None:
    """Delete it with the regions below it. Raises NotFound, Forbidden (also `catalog.builtin`), InvalidState (`region.in_use`:
    there are endpoints in one of them)."""
    policy.require(actor, PERMISSION)
    rows = {row.pk: row for row in Region.objects.select_for_update().order_by("pk")}
    if region_id not in rows:
        raise _none("region", region_id)
    going = [region_id]
    for above in going:
        going += [row.pk for row in rows.values() if row.parent_id == above]
    for key in going:
        _not_builtin(key, "region")
    if Endpoint.objects.filter(region_id__in=going).exists():
        raise _region_in_use(region_id)
    for key in reversed(going):
        _delete(actor, "region", rows[key])


@transaction.atomic
def create_policy(*, actor: Actor, type: str, blob: str) -> StoredPolicy:  # noqa: A002
    """Keep a document; it decides nothing here. Raises Forbidden, Invalid."""
    policy.require(actor, PERMISSION)
    _check({"type": type, "blob": blob})
    made = StoredPolicy.objects.create(type=type, blob=blob)
    _record(actor, "stored_policy", made, {"type": type})
    return made


@transaction.atomic
def update_policy(*, actor: Actor, policy_id: uuid.UUID, **changes: Unpack[PolicyChanges]) -> StoredPolicy:
    """Change what is given. Raises NotFound, Forbidden, Invalid."""
    policy.require(actor, PERMISSION)
    _check(changes)
    return _save(actor, "stored_policy", _locked(StoredPolicy.objects.all(), policy_id, "policy"), changes)


@transaction.atomic
def delete_policy(*, actor: Actor, policy_id: uuid.UUID) -> None:
    """Raises NotFound, Forbidden."""
    policy.require(actor, PERMISSION)
    _delete(actor, "stored_policy", _locked(StoredPolicy.objects.all(), policy_id, "policy"))


def _check(given: Mapping[str, Any]) -> None:
    if "type" in given:
        check_name(given["type"], field="type")
    if given.get("name"):
        check_name(given["name"])
    if "description" in given:
        check_text(given["description"])
    if "blob" in given:
        check_text(given["blob"], field="blob", most=MOST_BLOB)
    if "interface" in given and given["interface"] not in INTERFACES:
        raise Invalid("endpoint.interface", f"interface: expected one of {', '.join(INTERFACES)}.", field="interface")
    if "url" in given:
        _check_url(given["url"])


def _check_url(url: str) -> None:
    check_name(url, field="url", most=MOST_URL)
    names, rest = _NAME.findall(url), _NAME.sub("", url)
    if not _URL.fullmatch(url) or any(name not in NAMES for name in names) or "%" in rest or "$" in rest:
        raise Invalid(
            "endpoint.url", f"Cannot create an endpoint with an invalid URL: {url[:200]}. Names that are filled in: {', '.join(NAMES)}.",
            field="url",
        )


def _refers(given: EndpointChanges) -> None:
    """Service and region stay while this transaction lasts."""
    if "service_id" in given and Service.objects.select_for_update(no_key=True).filter(pk=given["service_id"]).first() is None:
        raise Invalid("service.not_found", f"There is no service {given['service_id']}.", field="service_id")
    region_id = given.get("region_id")
    if region_id is not None and Region.objects.select_for_update(no_key=True).filter(pk=region_id).first() is None:
        raise Invalid("region.not_found", f"There is no region {region_id[:255]}.", field="region_id")


def _make_region(actor: Actor, region_id: str | None) -> None:
    """Unless it is there, or somebody else makes it at this moment."""
    if region_id is None or Region.objects.filter(pk=region_id).exists():
        return
    with suppress(Conflict):
        create_region(actor=actor, region_id=region_id)


def _above(region_id: str, parent_id: str | None) -> None:
    """That the parent is there, and not below the region itself."""
    above, seen = parent_id, {region_id}
    while above is not None:
        if above in seen:
            raise Invalid("region.circle", f"{region_id} would be below itself.", field="parent_id")
        seen.add(above)
        row = Region.objects.filter(pk=above).first()
        if row is None:
            raise NotFound("region.parent_not_found", f"There is no region {above[:255]}.", field="parent_id")
        above = row.parent_id


def _locked(rows: "QuerySet[M]", key: uuid.UUID | str, thing: str) -> M:
    found = rows.select_for_update().filter(pk=key).first()
    if found is None:
        raise _none(thing, key)
    return found


def _save(actor: Actor, kind: str, row: M, changes: Mapping[str, Any]) -> M:
    changed = record.changed(row, **changes)
    for field, (_, value) in changed.items():
        setattr(row, field, value)
    if changed:
        row.save(update_fields=list(changed))
        _record(actor, kind, row, changed)
    return row


def _delete(actor: Actor, kind: str, row: Model) -> None:
    _record(actor, kind, row, {"deleted": True})
    try:
        row.delete()
    except ProtectedError:
        raise _region_in_use(str(row.pk)) from None


def _not_builtin(key: uuid.UUID | str, thing: str) -> None:
    if key in {builtin.REGION_ID, *builtin.ENDPOINT_IDS.values(), *builtin.SERVICE_IDS.values()}:
        raise Forbidden("catalog.builtin", f"This {thing} is built in: it stays, and stays what it is.")


def _record(actor: Actor, kind: str, row: Model, changes: Mapping[str, Any]) -> None:
    name = getattr(row, "name", "") or getattr(row, "type", "") or str(row.pk)
    record.write(actor, PERMISSION, kind, row.pk, name=name, changes=changes)


def _region_in_use(region_id: str) -> InvalidState:
    return InvalidState("region.in_use", f"There are endpoints in the region {region_id[:255]}, or in one below it; delete these first.")


def _none(thing: str, key: uuid.UUID | str) -> NotFound:
    return NotFound(f"{thing}.not_found", f"There is no {thing} {str(key)[:255]}.", field=f"{thing}_id")
