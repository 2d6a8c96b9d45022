"""Network cards of instances over HTTP: asked for with them, attached and detached later."""

from typing import Any

import pytest

from apps.network.models import Network
from apps.network.services import groups, ports
from apps.quotas.models import Usage
from tests.api.kit import Http
from tests.support.cloud import Cloud, make_network
from tests.support.identity import NOBODY


@pytest.fixture
def back(cloud: Cloud) -> Network:
    cloud.host()
    return make_network(cloud.actor, "back", cidr="10.7.0.0/24", cidr6="fd12:7::/64")


def wanted(cloud: Cloud, **fields: Any) -> dict[str, Any]:
    return {"name": "web", "flavor_id": str(cloud.flavor.pk), "image_id": str(cloud.image.pk), **fields}


def test_an_instance_is_asked_for_with_its_cards(cloud: Cloud, ann: Http, back: Network) -> None:
    port = ports.create(actor=cloud.actor, network_id=cloud.network.pk)
    groups.create(actor=cloud.actor, name="web")
    cards = [{"network_id": str(back.pk), "address": "10.7.0.9", "security_groups": []}, {"port_id": str(port.pk)}]
    made = ann.post("instances", wanted(cloud, networks=cards, security_groups=["web"])).ok(202)
    assert made["instance"]["network_id"] == str(back.pk)
    cloud.run()
    shown = ann.get(f"instances/{made['instance']['id']}").ok()["addresses"]
    assert [each["family"] for each in shown] == [4, 6, 4]
    assert [each["network_id"] for each in shown] == [str(back.pk), str(back.pk), str(cloud.network.pk)]
    assert (shown[0]["address"], shown[2]["port_id"]) == ("10.7.0.9", str(port.pk))
    assert ann.get("instances").ok()["items"][0]["addresses"] == shown


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"networks": [{}]}, "request.either", "networks.0.network_id"),
        ({"networks": [{"network_id": str(NOBODY), "port_id": str(NOBODY)}]}, "request.either", "networks.0.network_id"),
        ({"networks": [{"network_id": "nonsense"}]}, "request.invalid", "networks.0.network_id"),
        ({"networks": [{"network": "x"}]}, "request.unknown_field", "networks.0.network"),
        ({"networks": "nonsense"}, "request.not_a_list", "networks"),
        ({"security_groups": "web"}, "request.not_a_list", "security_groups"),
        ({"security_groups": [7]}, "request.type", "security_groups.0"),
    ],
)
def test_cards_that_make_no_sense_are_refused_with_their_field(
    cloud: Cloud, ann: Http, fields: dict[str, Any], code: str, field: str
) -> None:
    ann.post("instances", wanted(cloud, **fields)).problem(400, code, field)


def test_what_is_not_there_is_said_to_be_not_there(cloud: Cloud, ann: Http, back: Network) -> None:
    nobody = str(NOBODY)
    ann.post("instances", wanted(cloud, networks=[{"port_id": nobody}])).problem(404, "port.not_found", "networks.0.port_id")
    ann.post("instances", wanted(cloud, networks=[{"network_id": nobody}])).problem(404, "network.not_found", "networks.0.network_id")
    ann.post("instances", wanted(cloud, security_groups=["nobody"])).problem(404, "security_group.not_found", "security_groups")
    card = {"network_id": str(back.pk), "address": "10.8.0.1"}
    problem = ann.post("instances", wanted(cloud, networks=[card])).problem(400, "address.outside", "networks.0.address")
    assert problem["cidrs"] == ["10.7.0.0/24", "fd12:7::/64"]


def test_a_card_comes_and_goes(cloud: Cloud, ann: Http, back: Network) -> None:
    instance, _ = cloud.active()
    path = f"instances/{instance.pk}"
    answer = ann.post(f"{path}/interfaces", {"network_id": str(back.pk)})
    made = answer.ok(202)
    assert answer.headers["Location"] == f"/api/v1/operations/{made['operation']['id']}"
    assert made["operation"]["kind"] == "instance.attach"
    assert {each["port_id"] for each in made["addresses"]} == {made["port_id"]}
    assert ann.get(path).ok()["task"]["kind"] == "instance.attach"
    ann.post(f"{path}/interfaces", {"network_id": str(back.pk)}).problem(409, "operation.in_progress")
    cloud.run()
    assert len(ann.get(path).ok()["addresses"]) == 3
    gone = ann.delete(f"{path}/interfaces/{made['port_id']}").ok(202)["operation"]
    assert gone["kind"] == "instance.detach"
    cloud.run()
    assert ann.get(f"operations/{gone['id']}").ok()["state"] == "succeeded"
    assert len(ann.get(path).ok()["addresses"]) == 1
    ann.delete(f"{path}/interfaces/{made['port_id']}").problem(404, "port.not_found", "port_id")
    ann.delete(f"instances/{NOBODY}/interfaces/{made['port_id']}").problem(404, "instance.not_found")
    ann.post(f"{path}/interfaces", {}).problem(400, "request.either", "network_id")


def test_a_card_that_is_asked_for_twice_with_one_key_is_one(cloud: Cloud, ann: Http, back: Network) -> None:
    instance, _ = cloud.active()
    path, key, body = f"instances/{instance.pk}/interfaces", {"Idempotency-Key": "retry-me"}, {"network_id": str(back.pk)}
    first = ann.post(path, body, headers=key)
    again = ann.post(path, body, headers=key)  # while the first one is under way, which another request would be refused for
    assert again.ok(202) == first.ok(202)
    assert again.headers["Location"] == first.headers["Location"]
    assert Usage.objects.get(pk=cloud.project.pk).ports == 2
    ann.post(path, {**body, "address": "10.7.0.9"}, headers=key).problem(409, "client_token.reused", "Idempotency-Key")
    # The answer names the same card when it is gone, and the instance with it.
    cloud.run()
    cloud.delete(instance)
    cloud.run()
    gone = ann.post(path, body, headers=key).ok(202)
    assert (gone["port_id"], gone["addresses"], gone["operation"]["state"]) == (first.ok(202)["port_id"], [], "succeeded")


def test_a_port_in_use_names_what_has_it(cloud: Cloud, ann: Http, back: Network) -> None:
    instance, _ = cloud.active()
    port_id = instance.addresses[0]["port_id"]
    problem = ann.post("instances", wanted(cloud, networks=[{"port_id": port_id}])).problem(409, "port.in_use", "networks.0.port_id")
    assert (problem["device_kind"], problem["device_id"]) == ("instance", str(instance.pk))
