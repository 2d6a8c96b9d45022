"""Buttons and forms of the admin: each calls a service as the operator, and a refusal is a sentence."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.common.admin.buttons import Button
from apps.compute.admin.instances import BUTTONS
from apps.compute.models import Flavor, Instance
from apps.hosts.models import Host
from apps.network.models import Network
from apps.network.services import routers
from apps.operations.models import Operation
from apps.placement.models import Inventory
from tests.support.admin import address, signed_in, user
from tests.support.cloud import Cloud, make_image, operation_of
from tests.support.identity import give, make_token

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


@pytest.mark.parametrize("button", BUTTONS, ids=lambda button: button.name)
def test_a_refusal_is_a_message_and_no_error_page(cloud: Cloud, press: Press, button: Button) -> None:
    instance = cloud.boot()
    Instance.objects.update(state="DELETED")
    assert "(instance.not_found)" in press(instance, button.name)


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
