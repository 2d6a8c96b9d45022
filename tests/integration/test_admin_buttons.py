"""Buttons and forms of the admin: each calls a service as the operator, and a refusal is a sentence."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.common.admin.buttons import Button
from apps.common.context import SYSTEM
from apps.compute.admin.instances import BUTTONS
from apps.compute.models import Flavor, Instance
from apps.hosts.models import Aggregate, Host, Zone
from apps.images.models import Image
from apps.network.models import Network
from apps.network.services import routers
from apps.operations.models import Operation
from apps.placement.models import Inventory, ResourceClass, ResourceProvider, Trait
from apps.placement.services import inventories
from tests.support.admin import address, signed_in, user
from tests.support.cloud import Cloud, make_image, operation_of
from tests.support.identity import give, make_token
from tests.support.placement import provider

Press = Callable[..., str]


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return signed_in(user("root", is_superuser=True, is_staff=True))


@pytest.fixture
def press(operator: Client) -> Callable[..., str]:
    """`press(row, "stop")`: confirm the button; the text of the page that follows."""

    def pressed(row: Model, button: str, **values: Any) -> str:
        answer = operator.post(address(row, "do", button), {"confirmed": "1", **values}, follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    return pressed


@pytest.mark.parametrize(
    ("button", "before"), [("stop", None), ("reboot_soft", None), ("reboot_hard", None), ("start", "stop")]
)
def test_power_buttons_start_an_operation_as_the_operator(
    cloud: Cloud, press: Press, button: str, before: str | None
) -> None:
    cloud.host()
    instance, host = cloud.active()
    if before:
        cloud.power(instance, before)
        host.work()
    page = press(instance, button)
    operation = operation_of(instance)
    assert (operation.kind, operation.user_name) == (f"instance.{button}", "root")
    assert len(host.commands()) == 1
    assert 'data-every-ms="2000"' in page, "the page follows the operation"


def test_deleting_an_instance(cloud: Cloud, press: Press) -> None:
    cloud.host()
    instance, host = cloud.active()
    assert "being deleted" in press(instance, "delete")
    host.work()
    instance.refresh_from_db()
    assert instance.state == "DELETED"


def test_a_snapshot_of_an_instance_is_begun(cloud: Cloud, press: Press) -> None:
    cloud.host()
    instance, host = cloud.active()
    assert "The image golden of web is under way." in press(instance, "snapshot", name="golden")
    image = Image.objects.get(name="golden")
    assert (image.project_id, host.command().body.image_id) == (cloud.project.pk, str(image.pk))


@pytest.mark.parametrize("button", BUTTONS, ids=lambda button: button.name)
def test_a_refusal_is_a_message_and_no_error_page(cloud: Cloud, press: Press, button: Button) -> None:
    instance = cloud.boot()
    Instance.objects.update(state="DELETED")
    values = {"name": "golden"} if button.form else {}
    assert "(instance.not_found)" in press(instance, button.name, **values)


def test_a_second_action_is_told_what_is_under_way(cloud: Cloud, press: Press) -> None:
    cloud.host()
    instance, _ = cloud.active()
    press(instance, "stop")
    assert "Another operation is under way: instance.stop" in press(instance, "reboot_hard")


def test_only_operators_press_buttons(cloud: Cloud) -> None:
    cloud.host()
    instance, host = cloud.active()
    client = signed_in(user("clerk", is_staff=True))
    page = client.get(address(instance, "change"))
    assert page.status_code == 200
    assert [label for label, _ in page.context["links"]] == ["Audit trail"]
    assert page.context["buttons"] == []
    assert client.post(address(instance, "do", "stop")).status_code == 403
    client.post(address(Instance), {"action": "do_stop", "_selected_action": str(instance.pk), "confirmed": "1"})
    assert client.post(reverse("admin:compute_instance_console", args=[instance.pk])).status_code == 403
    assert host.commands() == []


def test_many_at_once_are_asked_about_once_and_each_says_how_it_went(cloud: Cloud, operator: Client) -> None:
    cloud.host()
    running = [cloud.active(name=f"web-{number}")[0] for number in range(3)]
    waiting = cloud.boot(name="waiting")
    chosen = {"action": "do_stop", "_selected_action": [str(row.pk) for row in [*running, waiting]]}
    asked = operator.post(address(Instance), chosen)
    assert asked.status_code == 200
    assert "Stop 4 instances?" in asked.content.decode()
    assert Operation.objects.filter(kind="instance.stop").count() == 0
    page = operator.post(address(Instance), {**chosen, "confirmed": "1"}, follow=True).content.decode()
    assert Operation.objects.filter(kind="instance.stop").count() == 3
    assert "this one is BUILD. (instance.state)" in page


def test_disabling_a_host_needs_a_reason_and_enabling_forgets_it(cloud: Cloud, press: Press) -> None:
    host = Host.objects.get(pk=cloud.host("node-1").id)
    assert "This field is required." in press(host, "disable")
    press(host, "disable", reason="memory is being replaced")
    host.refresh_from_db()
    assert (host.enabled, host.disabled_reason) == (False, "memory is being replaced")
    assert "takes new instances" in press(host, "enable")
    host.refresh_from_db()
    assert (host.enabled, host.disabled_reason) == (True, "")


def test_revoking_a_token(cloud: Cloud, press: Press) -> None:
    ann = user("ann")
    give(ann, "member", cloud.project)
    issued = make_token(ann, cloud.project)
    assert "is void from now on" in press(issued.token, "revoke")
    issued.token.refresh_from_db()
    assert issued.token.revoked_at is not None
    assert "(token.not_found)" in press(issued.token, "revoke")


def test_deleting_a_tenants_private_image(cloud: Cloud, press: Press) -> None:
    image = make_image(cloud.project, visibility="private")
    press(image, "delete")
    image.refresh_from_db()
    assert image.state == "deleted"


def test_deleting_a_network_that_is_used_is_refused(cloud: Cloud, press: Press) -> None:
    cloud.host()
    cloud.active()
    network = Network.objects.get(ports__isnull=False)
    assert "(network.in_use)" in press(network, "delete")
    cloud.delete(Instance.objects.get())
    cloud.run()
    assert "1 router (default" in press(network, "delete")
    assert network.router_id is not None
    routers.detach(actor=cloud.actor, router_id=network.router_id, subnet_id=network.subnets.get().pk)
    press(network, "delete")
    assert not Network.objects.filter(pk=network.pk).exists()


def test_adjusting_an_inventory(cloud: Cloud, press: Press) -> None:
    cloud.host(VCPU=16)
    inventory = Inventory.objects.get(resource_class="VCPU")
    press(inventory, "adjust", allocation_ratio="2", reserved="4")
    inventory.refresh_from_db()
    assert (inventory.capacity, inventory.reserved) == (24, 4)
    assert "(inventory.reserved)" in press(inventory, "adjust", allocation_ratio="2", reserved="17")
    assert "greater than or equal to 0.01" in press(inventory, "adjust", allocation_ratio="0", reserved="0")


def test_making_and_deleting_a_flavor(operator: Client, press: Press) -> None:
    wanted = {"name": "small", "vcpus": "1", "memory_mb": "512", "disk_gb": "5"}
    operator.post(reverse("admin:compute_flavor_add"), wanted)
    flavor = Flavor.objects.get(name="small")
    again = operator.post(reverse("admin:compute_flavor_add"), wanted).content.decode()
    assert "There is a flavor named" in again
    assert (
        "greater than or equal to 1"
        in operator.post(reverse("admin:compute_flavor_add"), {**wanted, "vcpus": "0"}).content.decode()
    )
    press(flavor, "delete")
    assert not Flavor.objects.exists()


def test_a_flavor_with_needs_of_its_hosts(operator: Client) -> None:
    wanted = {"name": "fast", "vcpus": "1", "memory_mb": "512", "disk_gb": "5", "host_metadata": "disk=nvme\nrack = 7"}
    page = operator.post(reverse("admin:compute_flavor_add"), {**wanted, "required_traits": "NO_SUCH_TRAIT"}).content.decode()
    assert "(trait.unknown)" in page and not Flavor.objects.exists()
    page = operator.post(reverse("admin:compute_flavor_add"), {**wanted, "host_metadata": "nvme"}).content.decode()
    assert "Expected lines of the form name=value." in page
    wanted["required_traits"] = "HW_CPU_X86_AVX2\nHW_CPU_X86_AVX"
    page = operator.post(reverse("admin:compute_flavor_add"), wanted, follow=True).content.decode()
    assert "HW_CPU_X86_AVX2" in page and "disk=nvme" in page
    flavor = Flavor.objects.get(name="fast")
    assert flavor.required_traits == ["HW_CPU_X86_AVX", "HW_CPU_X86_AVX2"]
    assert flavor.host_metadata == {"disk": "nvme", "rack": "7"}


def test_zones_and_hosts_in_them(cloud: Cloud, operator: Client, press: Press) -> None:
    host = cloud.host("hv1")
    operator.post(reverse("admin:hosts_zone_add"), {"name": "west", "description": "room 2"})
    zone, row = Zone.objects.get(name="west"), Host.objects.get(pk=host.id)
    assert "is in the zone west" in press(row, "zone", zone="west")
    assert "zone.in_use" in press(zone, "delete") and "hv1" in press(zone, "delete")
    assert "take no new instances" in press(zone, "disable")
    assert "Select a valid choice" in press(row, "zone", zone="nowhere")
    press(row, "zone", zone="default")
    press(zone, "delete")
    assert not Zone.objects.filter(name="west").exists()


def test_aggregates_and_hosts_in_them(cloud: Cloud, operator: Client, press: Press) -> None:
    host = cloud.host("hv1")
    wanted = {"name": "fast", "metadata": "disk=nvme", "project_ids": str(cloud.project.pk)}
    assert "Expected ids" in operator.post(reverse("admin:hosts_aggregate_add"), {**wanted, "project_ids": "x"}).content.decode()
    operator.post(reverse("admin:hosts_aggregate_add"), wanted)
    aggregate = Aggregate.objects.get(name="fast")
    page = press(aggregate, "add_host", host=str(host.id))
    assert "is in the aggregate fast" in page and "disk=nvme" in page and cloud.project.name in page
    assert "fast" in operator.get(address(Host.objects.get(pk=host.id), "change")).content.decode()
    form = operator.get(address(aggregate, "do", "change")).content.decode()
    assert "disk=nvme" in form and str(cloud.project.pk) in form
    press(aggregate, "change", name="fast", metadata="disk=ssd", project_ids="")
    aggregate.refresh_from_db()
    assert (aggregate.metadata, aggregate.project_ids) == ({"disk": "ssd"}, [])
    assert "aggregate.in_use" in press(aggregate, "delete")
    press(aggregate, "remove_host", host=str(host.id))
    press(aggregate, "delete")
    assert not Aggregate.objects.exists()


def test_traits_are_made_given_to_a_provider_and_deleted(cloud: Cloud, operator: Client, press: Press) -> None:
    row = ResourceProvider.objects.get(pk=cloud.host("hv1").id)
    assert "(trait.name)" in operator.post(reverse("admin:placement_trait_add"), {"name": "gold"}).content.decode()
    operator.post(reverse("admin:placement_trait_add"), {"name": "CUSTOM_GOLD"})
    trait = Trait.objects.get()
    assert "(trait.unknown)" in press(row, "traits", traits="CUSTOM_SILVER")
    assert "CUSTOM_GOLD" in press(row, "traits", traits="CUSTOM_GOLD\nHW_CPU_X86_AVX")
    assert "CUSTOM_GOLD" in operator.get(address(row, "do", "traits")).content.decode()
    assert "(trait.in_use)" in press(trait, "delete")
    press(row, "traits", traits="")
    press(trait, "delete")
    assert not Trait.objects.exists()


def test_resource_classes_are_made_and_deleted(operator: Client, press: Press) -> None:
    operator.post(reverse("admin:placement_resourceclass_add"), {"name": "CUSTOM_LICENSE"})
    row = ResourceClass.objects.get()
    shelf = provider("shelf", CUSTOM_LICENSE=3)
    page = operator.get(address(shelf, "change")).content.decode()
    assert "CUSTOM_LICENSE" in page and "0 / 3" in page
    assert "(resource_class.in_use)" in press(row, "delete")
    inventories.remove_all(actor=SYSTEM, provider_id=shelf.pk)
    press(row, "delete")
    assert not ResourceClass.objects.exists()
