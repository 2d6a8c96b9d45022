"""Zones and aggregates: what they are, what is in the way of deleting them, and what follows them."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.hosts import selectors
from apps.hosts.models import Aggregate, Host, Zone
from apps.hosts.services import admission, aggregates, enrol, zones
from apps.placement.models import ProviderAggregate
from tests.support.cloud import Cloud, make_project, refusal
from tests.support.hosts import FakeHost
from tests.support.identity import make_actor

pytestmark = pytest.mark.django_db(transaction=True)


def inside(host: FakeHost) -> set[uuid.UUID]:
    """The aggregates that placement knows of."""
    return set(ProviderAggregate.objects.filter(provider_id=host.id).values_list("aggregate_id", flat=True))


# Zones


def test_a_host_is_enrolled_in_a_zone_that_is_there_and_a_refusal_lists_those() -> None:
    zones.create(actor=SYSTEM, name="west")
    zones.create(actor=SYSTEM, name="east")
    error = refusal(enrol.enrol, actor=SYSTEM, name="hv1", zone="wset")
    assert (error.code, error.field) == ("host.zone", "zone")
    assert "'wset'" in error.message and "east" in error.message and "west" in error.message
    assert not Host.objects.exists()
    assert enrol.enrol(actor=SYSTEM, name="hv1", zone="west").host.zone == "west"


def test_the_default_zone_is_always_there() -> None:
    Zone.objects.all().delete()
    assert enrol.enrol(actor=SYSTEM, name="hv1").host.zone == "default"
    zone = Zone.objects.get()
    Host.objects.all().delete()
    assert refusal(zones.delete, actor=SYSTEM, zone_id=zone.pk).code == "zone.default"


def test_a_zone_with_hosts_cannot_be_deleted_and_the_refusal_names_them() -> None:
    zone = zones.create(actor=SYSTEM, name="west")
    for number in range(7):
        enrol.enrol(actor=SYSTEM, name=f"hv{number}", zone="west")
    error = refusal(zones.delete, actor=SYSTEM, zone_id=zone.pk)
    assert (error.code, error.kind, error.facts["count"]) == ("zone.in_use", "invalid_state", 7)
    assert "the hosts hv0, hv1, hv2, hv3, hv4 and 2 more are in it" in error.message
    for number in range(1, 7):
        admission.update_named(actor=SYSTEM, name=f"hv{number}", zone="default")
    assert "the host hv0 is in it" in refusal(zones.delete, actor=SYSTEM, zone_id=zone.pk).message
    admission.update_named(actor=SYSTEM, name="hv0", zone="default")
    zones.delete(actor=SYSTEM, zone_id=zone.pk)
    assert not Zone.objects.filter(name="west").exists()
    assert refusal(zones.delete, actor=SYSTEM, zone_id=zone.pk).code == "zone.not_found"


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 64, "ä", "a\n"])
def test_a_zone_has_a_name_that_fits_into_an_address(name: str) -> None:
    assert refusal(zones.create, actor=SYSTEM, name=name).code == "zone.name"


def test_two_zones_do_not_share_a_name() -> None:
    zones.create(actor=SYSTEM, name="west")
    assert refusal(zones.create, actor=SYSTEM, name="west").code == "zone.exists"


def test_a_host_moves_to_a_zone_that_is_there_and_keeps_what_was_not_named() -> None:
    zones.create(actor=SYSTEM, name="west")
    host = enrol.enrol(actor=SYSTEM, name="hv1").host
    admission.update(actor=SYSTEM, host_id=host.pk, enabled=False, reason="new disk")
    moved = admission.update(actor=SYSTEM, host_id=host.pk, zone="west")
    assert (moved.zone, moved.enabled, moved.disabled_reason) == ("west", False, "new disk")
    assert refusal(admission.update, actor=SYSTEM, host_id=host.pk, zone="nowhere").code == "host.zone"
    back = admission.update(actor=SYSTEM, host_id=host.pk, enabled=True, reason="it is ignored")
    assert (back.zone, back.enabled, back.disabled_reason) == ("west", True, "")
    assert refusal(admission.update, actor=SYSTEM, host_id=uuid.uuid4(), zone="west").code == "host.not_found"


# Aggregates


def test_an_aggregate_says_what_its_hosts_have_in_common_and_for_whom_they_are() -> None:
    project = make_project("shop")
    made = aggregates.create(actor=SYSTEM, name="fast", metadata={"disk": "nvme"}, project_ids=[project.pk, project.pk])
    assert (made.metadata, made.project_ids) == ({"disk": "nvme"}, [str(project.pk)])
    changed = aggregates.update(actor=SYSTEM, aggregate_id=made.pk, metadata={"rack": "7"})
    assert (changed.name, changed.metadata, changed.project_ids) == ("fast", {"rack": "7"}, [str(project.pk)])
    (facts,) = selectors.scheduling_aggregates()
    assert facts == (made.pk, "fast", {"rack": "7"}, frozenset({project.pk}))
    assert aggregates.update(actor=SYSTEM, aggregate_id=made.pk, name="quick", project_ids=[]).project_ids == []


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"name": ""}, "name.invalid"), ({"name": "a\0"}, "name.invalid"), ({"name": "taken"}, "aggregate.exists"),
        ({"metadata": {"": "x"}}, "aggregate.metadata"), ({"metadata": {"a": "x" * 256}}, "aggregate.metadata"),
        ({"metadata": {"a": "\n"}}, "aggregate.metadata"), ({"metadata": {str(n): "" for n in range(129)}}, "aggregate.metadata"),
        ({"project_ids": [uuid.UUID(int=7)]}, "aggregate.project"),
    ],
    ids=["no-name", "nul", "taken", "no-key", "long-value", "line-end", "too-many", "no-project"],
)
def test_what_an_aggregate_cannot_be_is_refused_when_it_is_made_and_when_it_is_changed(wanted: dict[str, Any], code: str) -> None:
    aggregates.create(actor=SYSTEM, name="taken")
    assert refusal(aggregates.create, actor=SYSTEM, **{"name": "new", **wanted}).code == code
    other = aggregates.create(actor=SYSTEM, name="other")
    assert refusal(aggregates.update, actor=SYSTEM, aggregate_id=other.pk, **wanted).code == code


def test_an_aggregate_with_hosts_cannot_be_deleted_and_the_refusal_names_them(cloud: Cloud) -> None:
    host = cloud.host("hv1")
    made = aggregates.create(actor=SYSTEM, name="fast")
    for _ in range(2):  # the second time it is in there
        aggregates.add_host(actor=SYSTEM, aggregate_id=made.pk, host_id=host.id)
    error = refusal(aggregates.delete, actor=SYSTEM, aggregate_id=made.pk)
    assert error.code == "aggregate.in_use" and "the host hv1 is in it" in error.message
    aggregates.remove_host(actor=SYSTEM, aggregate_id=made.pk, host_id=host.id)
    assert refusal(aggregates.remove_host, actor=SYSTEM, aggregate_id=made.pk, host_id=host.id).code == "aggregate.no_such_host"
    aggregates.delete(actor=SYSTEM, aggregate_id=made.pk)
    assert not Aggregate.objects.exists()


def test_nobody_who_is_not_there_can_be_put_into_an_aggregate() -> None:
    made = aggregates.create(actor=SYSTEM, name="fast")
    assert refusal(aggregates.add_host, actor=SYSTEM, aggregate_id=made.pk, host_id=uuid.uuid4()).code == "host.not_found"
    assert refusal(aggregates.add_host, actor=SYSTEM, aggregate_id=uuid.uuid4(), host_id=uuid.uuid4()).code == "aggregate.not_found"


def test_placement_has_the_aggregates_of_hosts_by_the_same_id(cloud: Cloud) -> None:
    host, other = cloud.host("hv1"), cloud.host("hv2")
    fast, near = (aggregates.create(actor=SYSTEM, name=name) for name in ("fast", "near"))
    for aggregate in (fast, near):
        aggregates.add_host(actor=SYSTEM, aggregate_id=aggregate.pk, host_id=host.id)
    assert inside(host) == {fast.pk, near.pk} and inside(other) == set()
    aggregates.remove_host(actor=SYSTEM, aggregate_id=fast.pk, host_id=host.id)
    assert inside(host) == {near.pk}


def test_a_host_that_joined_before_it_ever_spoke_is_in_its_aggregates_from_its_hello_on(cloud: Cloud) -> None:
    host = FakeHost(cloud.bus, "hv1")
    made = aggregates.create(actor=SYSTEM, name="fast")
    aggregates.add_host(actor=SYSTEM, aggregate_id=made.pk, host_id=host.id)
    assert inside(host) == set()
    host.hello()
    assert inside(host) == {made.pk}


# Who may, and what is told


@pytest.mark.parametrize(
    "call",
    [
        lambda actor: zones.create(actor=actor, name="west"), lambda actor: zones.update(actor=actor, zone_id=uuid.uuid4()),
        lambda actor: zones.delete(actor=actor, zone_id=uuid.uuid4()), lambda actor: aggregates.create(actor=actor, name="fast"),
        lambda actor: aggregates.update(actor=actor, aggregate_id=uuid.uuid4()),
        lambda actor: aggregates.delete(actor=actor, aggregate_id=uuid.uuid4()),
        lambda actor: aggregates.add_host(actor=actor, aggregate_id=uuid.uuid4(), host_id=uuid.uuid4()),
        lambda actor: aggregates.remove_host(actor=actor, aggregate_id=uuid.uuid4(), host_id=uuid.uuid4()),
        lambda actor: admission.update(actor=actor, host_id=uuid.uuid4()),
        lambda actor: list(selectors.aggregates(actor=actor)),
    ],
    ids=["zone-create", "zone-update", "zone-delete", "create", "update", "delete", "add", "remove", "host", "list"],
)
def test_members_of_projects_may_nothing_of_this(call: Callable[[Any], object]) -> None:
    assert refusal(call, make_actor(make_project(), role="admin")).code == "policy.forbidden"


def test_everybody_in_a_project_may_list_zones() -> None:
    zones.create(actor=SYSTEM, name="west")
    assert "west" in {zone.name for zone in selectors.zones(actor=make_actor(make_project(), role="reader"))}


def test_each_change_is_in_the_audit_trail_once(cloud: Cloud) -> None:
    host, project = cloud.host("hv1"), make_project("shop")
    last = Record.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    zone = zones.create(actor=SYSTEM, name="west")
    made = aggregates.create(actor=SYSTEM, name="fast", project_ids=[project.pk])
    for _ in range(2):
        zones.update(actor=SYSTEM, zone_id=zone.pk, enabled=False)
        admission.update(actor=SYSTEM, host_id=host.id, zone="west")
        aggregates.update(actor=SYSTEM, aggregate_id=made.pk, metadata={"disk": "nvme"})
        aggregates.add_host(actor=SYSTEM, aggregate_id=made.pk, host_id=host.id)
    aggregates.remove_host(actor=SYSTEM, aggregate_id=made.pk, host_id=host.id)
    aggregates.delete(actor=SYSTEM, aggregate_id=made.pk)
    rows = list(Record.objects.filter(pk__gt=last).order_by("pk"))
    assert [(row.action, row.name) for row in rows] == [
        ("hosts.zone.create", "west"), ("hosts.aggregate.create", "fast"), ("hosts.zone.update", "west"), ("hosts.host.update", "hv1"),
        ("hosts.aggregate.update", "fast"), ("hosts.aggregate.update", "fast"), ("hosts.aggregate.update", "fast"),
        ("hosts.aggregate.delete", "fast"),
    ]
    assert rows[1].changes["project_ids"] == [None, [str(project.pk)]]
    assert rows[3].changes == {"zone": ["default", "west"]}
    assert rows[4].changes == {"metadata": [{}, {"disk": "nvme"}]}
    assert (rows[5].changes, rows[6].changes) == ({"host": [None, "hv1"]}, {"host": ["hv1", None]})
