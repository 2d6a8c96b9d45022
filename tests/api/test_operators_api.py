"""What operators see and do over HTTP: hosts, capacity, refused reports, flavors."""

from contracts import topics
from contracts.hosts.v1 import Heartbeat
from tests.api.kit import Http
from tests.support.cloud import Cloud


def test_a_host_is_shown_with_what_it_has_and_what_is_claimed(cloud: Cloud, operator: Http) -> None:
    host = cloud.host("h1", zone="west")
    cloud.active()
    (listed,) = operator.get("hosts?zone=west&state=up&enabled=true").ok()["items"]
    assert (listed["name"], listed["state"], listed["enabled"]) == ("h1", "up", True)
    assert "public_key" not in listed and "key_id" not in listed
    shown = operator.get(f"hosts/{host.id}").ok()
    memory = next(each for each in shown.pop("inventories") if each["resource_class"] == "MEMORY_MB")
    assert shown == listed
    assert (memory["total"], memory["capacity"], memory["used"]) == (16384, 16384, 512)
    provider = operator.get(f"resource-providers/{host.id}").ok()
    assert provider["name"] == "h1" and memory in provider["inventories"]
    assert operator.get("resource-providers?name=h1").ok()["items"] == [provider]
    assert [each["name"] for each in operator.get("instances?host=h1").ok()["items"]] == ["web"]
    assert operator.get("instances?host=h2").ok()["items"] == []


def test_a_disabled_host_takes_nothing_new(cloud: Cloud, operator: Http, ann: Http) -> None:
    host = cloud.host("h1")
    assert operator.post(f"hosts/{host.id}/actions", {"action": "disable", "reason": "new disk"}).ok()["disabled_reason"] == "new disk"
    made = ann.post("instances", {"name": "x", "flavor": cloud.flavor.name, "image": "demo"}).ok(202)["instance"]
    cloud.run()
    assert "No host is available for 1 vCPU" in ann.get(f"instances/{made['id']}").ok()["error"]["message"]
    enabled = operator.post(f"hosts/{host.id}/actions", {"action": "enable"}).ok()
    assert (enabled["enabled"], enabled["disabled_reason"]) == (True, "")
    ann.post(f"hosts/{host.id}/actions", {"action": "disable"}).problem(403, "policy.forbidden")


def test_refused_reports_are_listed(cloud: Cloud, operator: Http) -> None:
    from apps.operations.services import intake

    host = cloud.host("h1")
    intake.take_in(topics.REPORT, ["nonsense"])
    intake.take_in(topics.REPORT, [host.seal(topics.HEARTBEAT, Heartbeat())])
    codes = [(each["code"], each["host_name"]) for each in operator.get("rejections").ok()["items"]]
    assert codes == [("report.wrong_topic", "h1"), ("report.malformed", "")]
    assert len(operator.get("rejections?host_name=h1&limit=1").ok()["items"]) == 1
    first = operator.get("rejections?limit=1").ok()
    following = operator.get(first["next"].removeprefix("http://testserver")).ok()
    assert [each["code"] for each in following["items"]] == ["report.malformed"]


def test_flavors_come_and_go(cloud: Cloud, operator: Http, ann: Http) -> None:
    body = {"name": "tiny", "vcpus": 1, "memory_mb": 64, "disk_gb": 0}
    made = operator.post("flavors", body).ok(201)
    operator.post("flavors", body).problem(409, "flavor.exists", "name")
    assert ann.get(f"flavors/{made['id']}").ok() == made
    assert ann.get("flavors?name=tiny").ok()["items"] == [made]
    ann.delete(f"flavors/{made['id']}").problem(403, "policy.forbidden")
    operator.delete(f"flavors/{made['id']}").ok(204)
    ann.get(f"flavors/{made['id']}").problem(404, "flavor.not_found", "flavor_id")


def test_a_key_pair_and_a_network_come_and_go(cloud: Cloud, ann: Http) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann@laptop"
    made = ann.post("key-pairs", {"name": "my key", "public_key": key + "\n"}).ok(201)
    assert made["fingerprint"] == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
    ann.post("key-pairs", {"name": "my key", "public_key": key}).problem(409, "key_pair.exists", "name")
    assert ann.get("key-pairs").ok()["items"] == [made] == [ann.get("key-pairs/my%20key").ok()]
    ann.delete("key-pairs/my%20key").ok(204)
    ann.delete("key-pairs/my%20key").problem(404, "key_pair.not_found", "key_name")

    network = ann.post("networks", {"name": "back", "cidr": "192.168.7.0/24", "dns": ["9.9.9.9"]}).ok(201)
    assert network["subnets"][0]["gateway"] == "192.168.7.1" and network["subnets"][0]["dns"] == ["9.9.9.9"]
    cloud.host()
    made = ann.post("instances", {"name": "x", "flavor": cloud.flavor.name, "image": "demo", "network_id": network["id"]}).ok(202)
    cloud.run()
    (port,) = ann.get(f"ports?network_id={network['id']}").ok()["items"]
    assert port["device_id"] == made["instance"]["id"] and port["addresses"][0].startswith("192.168.7.")
    ann.delete(f"networks/{network['id']}").problem(409, "network.in_use")
    ann.delete(f"instances/{made['instance']['id']}").ok(202)
    cloud.run()
    ann.delete(f"networks/{network['id']}").ok(204)
    ann.get(f"networks/{network['id']}").problem(404, "network.not_found", "network_id")
