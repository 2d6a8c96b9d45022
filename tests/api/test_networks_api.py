"""Networks over HTTP: what a tenant builds out of them, what an operator gives, and what is refused and why."""

from typing import Any

import pytest

from apps.common.context import SYSTEM
from apps.network.models import HostNetwork, Network
from apps.network.services import networks, pools, subnets
from apps.quotas.models import Usage
from tests.api.kit import Http
from tests.support.cloud import Cloud
from tests.support.identity import NOBODY


@pytest.fixture
def street(cloud: Cloud) -> Network:
    """An external network with addresses."""
    made = networks.create(actor=SYSTEM, name="street", kind="vxlan", external=True)
    subnets.create(actor=SYSTEM, network_id=made.pk, cidr="198.51.100.0/24")
    return made


def whole(http: Http, name: str = "lan", **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = http.post("networks/whole", {"name": name, "cidr": "10.5.0.0/24", **fields}).ok(201)
    return made


def test_one_call_makes_a_network_that_works(cloud: Cloud, ann: Http) -> None:
    made = whole(ann)
    four, six = made["network"]["subnets"]
    assert (four["cidr"], four["gateway"], four["pools"]) == ("10.5.0.0/24", "10.5.0.1", [{"first": "10.5.0.2", "last": "10.5.0.254"}])
    assert (six["family"], six["ipv6_mode"]) == (6, "dhcpv6")
    router = ann.get(f"routers/{made['router_id']}").ok()
    assert {each["cidr"] for each in router["subnets"]} == {four["cidr"], six["cidr"]} and router["external_network_id"]
    assert ann.get(f"networks/{made['network']['id']}").ok() == made["network"]
    again = whole(ann, "more", cidr="10.6.0.0/24", cidr6=None, router_id=made["router_id"])
    assert again["router_id"] == made["router_id"] and len(again["network"]["subnets"]) == 1


def test_a_network_comes_bare_or_with_a_subnet(cloud: Cloud, ann: Http) -> None:
    assert ann.post("networks", {"name": "bare"}).ok(201)["subnets"] == []
    made = ann.post("networks", {"name": "x", "cidr": "10.5.0.0/24", "dns": ["9.9.9.9"]}).ok(201)
    assert made["router_id"] is None and made["subnets"][0]["dns"] == ["9.9.9.9"]
    changed = ann.patch(f"networks/{made['id']}", {"name": "y", "mtu": 1400}).ok()
    assert (changed["name"], changed["mtu"]) == ("y", 1400)
    assert [each["name"] for each in ann.get("networks?name=y").ok()["items"]] == ["y"]


def test_wire_and_segment_are_shown_to_operators_only(cloud: Cloud, ann: Http, operator: Http) -> None:
    pools.add_wire(actor=SYSTEM, name="blue")
    operator.post("network-pools", {"kind": "vlan", "physical_network": "blue", "first": 100, "last": 199}).ok(201)
    made = operator.post("networks", {"name": "lab", "kind": "vlan", "physical_network": "blue", "segment": 120, "shared": True}).ok(201)
    assert (made["physical_network"], made["segment"]) == ("blue", 120)
    seen = ann.get(f"networks/{made['id']}").ok()
    assert (seen["physical_network"], seen["segment"], seen["kind"]) == (None, None, "vlan")
    (pool,) = operator.get("network-pools?kind=vlan").ok()["items"]
    assert (pool["used"], pool["physical_network"]) == (1, "blue")
    ann.get("network-pools").problem(403, "policy.forbidden")


def test_a_subnet_is_made_changed_and_deleted(cloud: Cloud, ann: Http) -> None:
    network = ann.post("networks", {"name": "x"}).ok(201)["id"]
    body = {
        "network_id": network, "cidr": "10.5.0.0/24", "gateway": None, "pools": [{"first": "10.5.0.10", "last": "10.5.0.20"}],
        "routes": [{"destination": "10.9.0.0/16", "nexthop": "10.5.0.2"}], "dhcp": False,
    }
    made = ann.post("subnets", body).ok(201)
    assert {name: made[name] for name in body} == body
    changed = ann.patch(f"subnets/{made['id']}", {"gateway": "10.5.0.1", "routes": [], "name": "n"}).ok()
    assert (changed["gateway"], changed["routes"], changed["name"], changed["pools"]) == ("10.5.0.1", [], "n", body["pools"])
    assert ann.get(f"subnets?network_id={network}&cidr=10.5.0.0/24").ok()["items"] == [changed]
    ann.delete(f"subnets/{made['id']}").ok(204)
    ann.get(f"subnets/{made['id']}").problem(404, "subnet.not_found", "subnet_id")


def test_a_port_is_made_changed_found_and_deleted(cloud: Cloud, ann: Http) -> None:
    network = whole(ann)["network"]
    group = ann.post("security-groups", {"name": "web"}).ok(201)["id"]
    four = network["subnets"][0]["id"]
    body = {"network_id": network["id"], "name": "p", "fixed": [{"subnet_id": four, "address": "10.5.0.9"}], "security_groups": [group]}
    made = ann.post("ports", body).ok(201)
    assert (made["addresses"], made["fixed"], made["security_groups"]) == (["10.5.0.9"], body["fixed"], [group])
    assert (made["device_kind"], made["device_id"]) == ("", None) and "host_id" not in made
    for query in (f"mac={made['mac'].upper()}", "address=10.5.0.9", f"subnet_id={four}", f"security_group_id={group}", "name=p"):
        assert [each["id"] for each in ann.get(f"ports?{query}").ok()["items"]] == [made["id"]], query
    changed = ann.patch(f"ports/{made['id']}", {"fixed": [{"address": "10.5.0.8"}], "security_groups": [], "dns_name": "db"}).ok()
    assert (changed["addresses"], changed["security_groups"], changed["dns_name"]) == (["10.5.0.8"], [], "db")
    ann.patch(f"ports/{made['id']}", {"security_groups": [group], "port_security": False}).problem(409, "port.no_port_security", "security_groups")
    assert ann.get(f"ports/{made['id']}").ok() == changed  # all of it, or nothing
    ann.delete(f"ports/{made['id']}").ok(204)


KEY = {"Idempotency-Key": "retry-me"}


def test_a_port_that_is_asked_for_twice_with_one_key_is_one(cloud: Cloud, ann: Http) -> None:
    body = {"network_id": str(cloud.network.pk), "fixed": [{"address": "10.64.0.9"}], "pairs": [{"cidr": "10.9.0.0/16"}]}
    made = ann.post("ports", body, headers=KEY).ok(201)
    assert ann.post("ports", body, headers=KEY).ok(201) == made
    assert Usage.objects.get(pk=cloud.project.pk).ports == 1
    ann.post("ports", {**body, "name": "other"}, headers=KEY).problem(409, "client_token.reused", "Idempotency-Key")
    ann.post("ports", body, headers={"Idempotency-Key": ""}).problem(400, "client_token.malformed", "Idempotency-Key")
    # Not made anew when it is gone, and the answer does not blame what was sent.
    ann.delete(f"ports/{made['id']}").ok(204)
    assert "field" not in ann.post("ports", body, headers=KEY).problem(404, "port.not_found")
    assert ann.get("ports").ok()["items"] == []


def test_a_floating_ip_that_is_asked_for_twice_with_one_key_is_one(cloud: Cloud, ann: Http, street: Network) -> None:
    lan = whole(ann)
    ann.patch(f"routers/{lan['router_id']}", {"external_network_id": str(street.pk)}).ok()
    port = ann.post("ports", {"network_id": lan["network"]["id"]}).ok(201)["id"]
    made = ann.post("floating-ips", {"port_id": port}, headers=KEY).ok(201)
    assert ann.post("floating-ips", {"port_id": port}, headers=KEY).ok(201) == made
    assert Usage.objects.get(pk=cloud.project.pk).floating_ips == 1
    ann.post("floating-ips", {"network_id": str(street.pk)}, headers=KEY).problem(409, "client_token.reused", "Idempotency-Key")
    ann.delete(f"floating-ips/{made['id']}").ok(204)
    ann.post("floating-ips", {"port_id": port}, headers=KEY).problem(404, "floating_ip.not_found")


def test_a_floating_ip_moves_between_ports(cloud: Cloud, ann: Http, street: Network) -> None:
    made = whole(ann)
    ann.patch(f"routers/{made['router_id']}", {"external_network_id": str(street.pk)}).ok()
    one, two = (ann.post("ports", {"network_id": made["network"]["id"]}).ok(201) for _ in range(2))
    address = ann.post("floating-ips", {"port_id": one["id"], "address": "198.51.100.7"}).ok(201)
    assert (address["port_id"], address["fixed_address"]) == (one["id"], one["addresses"][0])
    path = f"floating-ips/{address['id']}"
    moved = ann.patch(path, {"port_id": two["id"], "description": "moved"}).ok()
    assert (moved["port_id"], moved["fixed_address"], moved["description"]) == (two["id"], two["addresses"][0], "moved")
    assert ann.get(f"floating-ips?port_id={two['id']}").ok()["items"] == [moved]
    ann.patch(path, {"fixed_address": "10.5.0.2"}).problem(400, "floating_ip.fixed_address", "fixed_address")
    ann.patch(path, {"port_id": str(NOBODY)}).problem(404, "port.not_found", "port_id")
    four = made["network"]["subnets"][0]["id"]
    refused = ann.delete(f"routers/{made['router_id']}/interfaces/{four}").problem(409, "router.in_use")
    assert refused["in_the_way"]["floating_ips"][0].startswith("198.51.100.7")
    assert ann.patch(path, {"port_id": None}).ok()["fixed_address"] is None
    ann.delete(f"routers/{made['router_id']}/interfaces/{four}").ok(204)
    ann.post(f"routers/{made['router_id']}/interfaces", {"subnet_id": four}).ok(201)
    ann.delete(path).ok(204)
    ann.get(path).problem(404, "floating_ip.not_found", "floating_ip_id")


def test_rules_come_and_go(cloud: Cloud, ann: Http) -> None:
    group = ann.post("security-groups", {"name": "web", "description": "front"}).ok(201)
    assert [(rule["direction"], rule["family"], rule["protocol"]) for rule in group["rules"]] == [("egress", 4, None), ("egress", 6, None)]
    body = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp", "first": 80, "last": 90, "cidr": "10.0.0.0/8"}
    rule = ann.post("security-group-rules", body).ok(201)
    assert {name: rule[name] for name in body} == body
    ann.post("security-group-rules", body).problem(409, "rule.exists")
    listed = ann.get(f"security-group-rules?security_group_id={group['id']}&direction=ingress").ok()["items"]
    assert listed == [rule] == [ann.get(f"security-group-rules/{rule['id']}").ok()]
    assert ann.patch(f"security-groups/{group['id']}", {"name": "www"}).ok()["rules"][-1] == rule
    ann.delete(f"security-group-rules/{rule['id']}").ok(204)
    ann.delete(f"security-groups/{group['id']}").ok(204)


def test_operators_look_at_all_projects_and_tenants_do_not(cloud: Cloud, ann: Http, mallory: Http, operator: Http) -> None:
    whole(mallory, "theirs")
    assert mallory.project is not None
    for things in ("networks", "subnets", "ports", "routers", "floating-ips", "security-groups", "security-group-rules"):
        for query in ("all_projects=true", f"project_id={mallory.project.pk}"):
            operator.get(f"{things}?{query}").ok()
            ann.get(f"{things}?{query}").problem(403, "policy.forbidden")
    assert [each["name"] for each in operator.get(f"networks?project_id={mallory.project.pk}").ok()["items"]] == ["theirs"]
    assert "theirs" not in [each["name"] for each in ann.get("networks").ok()["items"]]
    assert ann.get(f"networks?project_id={cloud.project.pk}").ok()["items"][0]["name"] == "default"


def test_hosts_say_how_far_they_are_and_are_told_again(cloud: Cloud, ann: Http, operator: Http) -> None:
    host = cloud.host("hv1")
    HostNetwork.objects.update_or_create(
        host_id=host.id, defaults={
            "host_name": "hv1", "speaks": True, "generation": 7, "applied": 6, "full_due": False,
            "problems": [{"code": "switch", "message": "no bridge", "object": ""}],
        },
    )
    (shown,) = operator.get("network-hosts").ok()["items"]
    assert (shown["host_name"], shown["up_to_date"], shown["problems"][0]["message"]) == ("hv1", False, "no bridge")
    assert operator.get(f"network-hosts/{host.id}").ok() == shown
    operator.post(f"network-hosts/{host.id}/tell-again").ok(202)
    operator.post(f"network-hosts/{NOBODY}/tell-again").problem(404, "host.not_found", "host_id")
    for answer in (ann.get("network-hosts"), ann.post(f"network-hosts/{host.id}/tell-again")):
        answer.problem(403, "policy.forbidden")


# What makes no sense

SUBNETS: list[tuple[dict[str, Any], int, str, str]] = [
    ({"cidr": "10.5.0.128/25"}, 409, "subnet.overlap", "cidr"),
    ({"cidr": "10.7.0.0/24", "pools": [{"first": "10.7.0.1", "last": "10.7.0.9"}]}, 400, "subnet.gateway_in_pool", "pools"),
    ({"cidr": "10.7.0.0/24", "pools": [{"first": "10.8.0.1", "last": "10.8.0.9"}]}, 400, "subnet.pools", "pools"),
    ({"cidr": "10.7.0.0/24", "pools": [{"first": "10.7.0.9", "last": "10.7.0.2"}]}, 400, "subnet.pools", "pools"),
    ({"cidr": "10.7.0.0/24", "pools": [{"first": "10.7.0.9"}]}, 400, "request.required", "pools.0.last"),
    ({"cidr": "10.7.0.0/24", "pools": [["10.7.0.2", "10.7.0.9"]]}, 400, "request.invalid", "pools.0"),
    ({"cidr": "10.7.0.0/24", "gateway": "10.8.0.1"}, 400, "subnet.gateway", "gateway"),
    ({"cidr": "10.7.0.0/24", "gateway": "fd00::1"}, 400, "subnet.family", "gateway"),
    ({"cidr": "fd00:7::/64", "dns": ["9.9.9.9"]}, 400, "subnet.family", "dns"),
    ({"cidr": "10.7.0.0/24", "ipv6_mode": "slaac"}, 400, "subnet.family", "ipv6_mode"),
    ({"cidr": "fd00:7::/80", "ipv6_mode": "slaac"}, 400, "subnet.ipv6_mode", "ipv6_mode"),
    ({"cidr": "10.7.0.0/24", "routes": [{"destination": "0.0.0.0/0", "nexthop": "10.7.0.2"}]}, 400, "subnet.routes", "routes"),
    ({"cidr": "10.7.0.0/24", "routes": [{"destination": "10.9.0.0/16"}]}, 400, "request.required", "routes.0.nexthop"),
    ({"cidr": 7}, 400, "request.type", "cidr"),
    ({"cidr": "10.7.0.0/24", "dhcp": "yes"}, 400, "request.type", "dhcp"),
]


@pytest.mark.parametrize(("fields", "status", "code", "field"), SUBNETS)
def test_subnets_that_make_no_sense_are_refused(
    cloud: Cloud, ann: Http, fields: dict[str, Any], status: int, code: str, field: str
) -> None:
    network = ann.post("networks", {"name": "x", "cidr": "10.5.0.0/24"}).ok(201)
    problem = ann.post("subnets", {"network_id": network["id"], **fields}).problem(status, code, field)
    if code == "subnet.overlap":
        assert problem["subnet_id"] == network["subnets"][0]["id"] and "10.5.0.0/24" in problem["detail"]


RULES: list[tuple[dict[str, Any], str, str]] = [
    ({"protocol": "tcp", "first": 90, "last": 80}, "rule.ports", "last"),
    ({"protocol": "tcp", "first": 0}, "rule.ports", "first"),
    ({"protocol": "udp", "first": 1, "last": 65536}, "rule.ports", "last"),
    ({"first": 80}, "rule.ports", "first"),
    ({"protocol": "gre", "first": 80}, "rule.ports", "first"),
    ({"protocol": "icmp", "first": 256}, "rule.icmp", "first"),
    ({"protocol": "icmpv6"}, "rule.protocol", "protocol"),
    ({"protocol": "256"}, "rule.protocol", "protocol"),
    ({"protocol": 6}, "request.type", "protocol"),
    ({"family": 5}, "rule.family", "family"),
    ({"direction": "up"}, "request.invalid_choice", "direction"),
    ({"cidr": "fd00::/64"}, "rule.cidr", "cidr"),
    ({"cidr": "10.0.0.1/24"}, "rule.cidr", "cidr"),
    ({"cidr": "10.0.0.0/24", "remote_group_id": str(NOBODY)}, "rule.other_side", "remote_group_id"),
]


@pytest.mark.parametrize(("fields", "code", "field"), RULES)
def test_rules_that_make_no_sense_are_refused(cloud: Cloud, ann: Http, fields: dict[str, Any], code: str, field: str) -> None:
    group = ann.post("security-groups", {"name": "web"}).ok(201)["id"]
    ann.post("security-group-rules", {"security_group_id": group, "direction": "ingress", **fields}).problem(400, code, field)


def test_rules_name_groups_that_are_there(cloud: Cloud, ann: Http, mallory: Http) -> None:
    group, theirs = (http.post("security-groups", {"name": "web"}).ok(201)["id"] for http in (ann, mallory))
    body = {"security_group_id": group, "direction": "ingress"}
    ann.post("security-group-rules", {**body, "remote_group_id": theirs}).problem(404, "security_group.not_found", "remote_group_id")
    ann.post("security-group-rules", {**body, "security_group_id": theirs}).problem(404, "security_group.not_found", "security_group_id")


OPERATORS: list[tuple[str, dict[str, Any], int, str, str | None]] = [
    ("networks", {"name": "n", "kind": "vlan", "physical_network": "blue", "segment": 300}, 400, "segment.outside_pools", "segment"),
    ("networks", {"name": "n", "kind": "vlan", "physical_network": "blue", "segment": 100}, 409, "segment.taken", "segment"),
    ("networks", {"name": "n", "kind": "vlan", "physical_network": "red", "segment": 100}, 404, "wire.not_found", "physical_network"),
    ("networks", {"name": "n", "kind": "vlan"}, 400, "network.wire", "physical_network"),
    ("networks", {"name": "n", "kind": "flat", "physical_network": "blue", "segment": 7}, 400, "network.segment", "segment"),
    ("networks", {"name": "n", "segment": 7}, 400, "network.kind", "kind"),
    ("networks", {"name": "n", "kind": "vxlan", "mtu": 9000}, 400, "network.mtu", "mtu"),
    ("network-pools", {"kind": "vlan", "physical_network": "blue", "first": 150, "last": 250}, 409, "pool.overlap", "first"),
    ("network-pools", {"kind": "vlan", "physical_network": "blue", "first": 400, "last": 4095}, 400, "pool.range", "first"),
    ("network-pools", {"kind": "vlan", "first": 400, "last": 401}, 400, "network.wire", "physical_network"),
    ("network-pools", {"kind": "flat", "first": 1, "last": 2}, 400, "request.invalid_choice", "kind"),
    ("physical-networks", {"name": "a b"}, 400, "wire.name", "name"),
    ("physical-networks", {"name": "blue"}, 409, "wire.exists", "name"),
]


@pytest.mark.parametrize(("path", "body", "status", "code", "field"), OPERATORS)
def test_what_operators_may_get_wrong_is_refused(
    cloud: Cloud, operator: Http, path: str, body: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    pools.add_wire(actor=SYSTEM, name="blue")
    pools.add(actor=SYSTEM, kind="vlan", physical_network="blue", first=100, last=199)
    taken = networks.create(actor=SYSTEM, name="first", kind="vlan", physical_network="blue", segment=100, shared=True)
    problem = operator.post(path, body).problem(status, code, field)
    if code == "segment.taken":
        assert problem["network_id"] == str(taken.pk)
    if code == "segment.outside_pools":
        assert "100-199" in problem["detail"]


def test_what_is_in_use_is_not_deleted_and_says_by_what(cloud: Cloud, ann: Http, operator: Http) -> None:
    made = whole(ann)
    network, (four, six) = made["network"], made["network"]["subnets"]
    group = ann.post("security-groups", {"name": "web"}).ok(201)["id"]
    port = ann.post("ports", {"network_id": network["id"], "name": "plug", "security_groups": [group]}).ok(201)

    problem = ann.delete(f"networks/{network['id']}").problem(409, "network.in_use")
    assert problem["ports"] == problem["routers"] == 1
    assert problem["in_the_way"] == {"ports": [f"plug {port['id']}"], "routers": [f"lan {made['router_id']}"]}
    problem = ann.delete(f"subnets/{four['id']}").problem(409, "subnet.in_use")
    assert problem["in_the_way"]["ports"] == [f"plug {port['id']}"] and "plug" in problem["detail"]
    problem = ann.delete(f"routers/{made['router_id']}").problem(409, "router.in_use")
    assert problem["subnets"] == 2 and four["id"] in str(problem["in_the_way"]) and six["id"] in str(problem["in_the_way"])
    problem = ann.delete(f"security-groups/{group}").problem(409, "security_group.in_use")
    assert problem["in_the_way"]["ports"] == [f"plug {port['id']}"]
    (pool,) = operator.get("network-pools").ok()["items"]
    assert operator.delete(f"network-pools/{pool['id']}").problem(409, "pool.in_use")["networks"] >= 1


def test_a_port_that_an_instance_has_is_not_deleted(cloud: Cloud, ann: Http) -> None:
    cloud.host()
    instance, _ = cloud.active()
    port = instance.addresses[0]["port_id"]
    problem = ann.delete(f"ports/{port}").problem(409, "port.in_use", "port_id")
    assert problem["device_id"] == str(instance.pk)
    ann.patch(f"ports/{port}", {"mac": "52:54:00:00:00:01"}).problem(409, "port.in_use", "port_id")


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"fixed": [{"address": "10.9.0.1"}]}, 400, "address.outside", "fixed.0.address"),
        ({"fixed": [{"address": "10.64.0.1"}]}, 409, "address.taken", "fixed.0.address"),
        ({"fixed": [{}]}, 400, "port.fixed", "fixed.0"),
        ({"fixed": [{"subnet_id": str(NOBODY)}]}, 400, "address.subnet", "fixed.0.address"),
        ({"fixed": "10.64.0.9"}, 400, "request.not_a_list", "fixed"),
        ({"mac": "ff:ff:ff:ff:ff:ff"}, 400, "port.mac", "mac"),
        ({"pairs": [{"cidr": "0.0.0.0/0"}]}, 400, "port.pairs", "pairs.0.cidr"),
        ({"pairs": [{"mac": "52:54:00:00:00:01"}]}, 400, "request.required", "pairs.0.cidr"),
        ({"security_groups": [str(NOBODY)]}, 404, "security_group.not_found", "security_groups"),
        ({"security_groups": ["web"]}, 400, "request.invalid", "security_groups.0"),
        ({"dns_name": "a_b"}, 400, "port.dns_name", "dns_name"),
        ({"network_id": str(NOBODY)}, 404, "network.not_found", "network_id"),
        ({"host_id": str(NOBODY)}, 400, "request.unknown_field", "host_id"),
    ],
)
def test_ports_that_make_no_sense_are_refused(
    cloud: Cloud, ann: Http, fields: dict[str, Any], status: int, code: str, field: str
) -> None:
    ann.post("ports", {"network_id": str(cloud.network.pk), **fields}).problem(status, code, field)
