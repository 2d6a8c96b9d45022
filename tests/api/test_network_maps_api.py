"""Traces and the topology over HTTP: their shapes, whom they show what, and what they cost."""

import uuid
from typing import Any

import pytest

from apps.common.context import SYSTEM
from apps.network.models import HostNetwork, Network, Port
from apps.network.services import floating, networks, ports, subnets
from tests.api.kit import Http
from tests.api.test_cost_api import statements
from tests.support.cloud import Cloud, make_network


@pytest.fixture
def pair(cloud: Cloud) -> list[Port]:
    """Ports of two instances that run on two hosts."""
    for number in (1, 2):
        cloud.host(f"hv{number}")
    made = [cloud.active(name=f"web-{number}") for number in (1, 2)]
    HostNetwork.objects.update(speaks=True, tunnel_address="192.0.2.1")
    return [Port.objects.get(device_id=instance.pk) for instance, _ in made]


def nodes(found: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each for each in found["nodes"] if each["kind"] == kind]


def links(found: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each for each in found["links"] if each["kind"] == kind]


# Traces.


def test_a_trace_says_hop_by_hop_why_not_and_what_to_do(pair: list[Port], ann: Http) -> None:
    found = ann.get(f"network-trace?source={pair[0].pk}&target={pair[1].pk}&protocol=tcp&port=80").ok()
    assert set(found) == {"verdict", "summary", "hops"} and found["hops"][0]["name"] == "source"
    assert all(set(hop) == {"name", "ok", "detail", "fix"} for hop in found["hops"])
    assert found["hops"][0]["detail"].startswith("web-1 in network default is up: 10.64.0.")


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ("", 400, "request.required", "source"), ("source={a}", 400, "request.required", "target"),
        ("source={a}&target={a}", 400, "trace.same", "target"), ("source={a}&target=web-2", 400, "trace.end", "target"),
        ("source=192.0.2.1&target=192.0.2.2", 400, "trace.no_port", "source"),
        ("source={a}&target={b}&protocol=tpc", 400, "trace.protocol", "protocol"),
        ("source={a}&target={b}&protocol=icmp&port=300", 400, "trace.port", "port"),
        ("source={a}&target={b}&family=5", 400, "request.invalid_choice", "family"),
        ("source={nobody}&target={b}", 404, "port.not_found", "source"), ("source={a}&target={nobody}", 404, "port.not_found", "target"),
        ("source={a}&target={b}&host=hv1", 400, "request.unknown_field", "host"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_its_field(
    pair: list[Port], ann: Http, query: str, status: int, code: str, field: str
) -> None:
    asked = query.format(a=pair[0].pk, b=pair[1].pk, nobody=uuid.uuid4())
    ann.get(f"network-trace?{asked}").problem(status, code, field)


def test_strangers_cannot_trace_and_tenants_learn_no_host(pair: list[Port], ann: Http, mallory: Http, operator: Http) -> None:
    path = f"network-trace?source={pair[0].pk}&target={pair[1].pk}"
    mallory.get(path).problem(404, "port.not_found", "source")
    assert not any(each in ann.get(path).content for each in (b"hv1", b"hv2", b"192.0.2."))
    assert b" is up on host hv" in operator.get(path).content


# The topology.


def test_the_picture_has_networks_routers_instances_and_what_joins_them(cloud: Cloud, pair: list[Port], ann: Http) -> None:
    spare = ports.create(actor=cloud.actor, network_id=cloud.network.pk, name="spare")
    found = ann.get("network-topology").ok()
    assert [each["name"] for each in nodes(found, "external_network")] == ["outside"]
    [network] = nodes(found, "network")
    assert (network["name"], [each["cidr"] for each in network["subnets"]]) == ("default", ["10.64.0.0/24"])
    [router] = nodes(found, "router")
    assert sorted(each["name"] for each in nodes(found, "instance")) == ["web-1", "web-2"]
    assert [each["id"] for each in nodes(found, "port")] == [str(spare.pk)]
    [interface] = links(found, "interface")
    assert (interface["source"], interface["target"], interface["addresses"]) == (router["id"], network["id"], ["10.64.0.1"])
    [way] = links(found, "way_out")
    assert (way["source"], way["target"]) == (router["id"], nodes(found, "external_network")[0]["id"])
    assert {each["port_id"] for each in links(found, "port")} == {str(spare.pk), *(str(each.pk) for each in pair)}
    known = {each["id"] for each in found["nodes"]}
    assert all({each["source"], each["target"]} <= known for each in found["links"])
    assert (found["notes"], found["next"]) == ([], None)


def test_floating_ips_stand_at_their_ports(cloud: Cloud, pair: list[Port], ann: Http) -> None:
    outside = Network.objects.get(name="outside")
    subnets.create(actor=SYSTEM, network_id=outside.pk, cidr="203.0.113.0/24", gateway=None)
    row = floating.create(actor=cloud.actor, port_id=pair[0].pk)
    [tied] = [each for each in links(ann.get("network-topology").ok(), "port") if each["floating_ips"]]
    assert (tied["port_id"], tied["floating_ips"]) == (str(pair[0].pk), [str(row.address)])


def test_strangers_see_their_own_picture_and_operators_everybodys_with_hosts(
    cloud: Cloud, pair: list[Port], ann: Http, mallory: Http, operator: Http
) -> None:
    assert mallory.get("network-topology").ok() == {"nodes": [], "links": [], "notes": [], "next": None}
    for query in (f"project_id={cloud.project.pk}", "all_projects=true"):
        mallory.get(f"network-topology?{query}").problem(403, "policy.forbidden")
    ours = ann.get(f"network-topology?project_id={cloud.project.pk}").ok()
    assert not any("host_name" in each for each in ours["nodes"]) and nodes(ours, "network")[0]["segment"] is None
    for query in ("all_projects=true", f"project_id={cloud.project.pk}"):
        shown = operator.get(f"network-topology?{query}").ok()
        assert {each["host_name"] for each in nodes(shown, "instance")} <= {"hv1", "hv2"}
        assert nodes(shown, "network")[0]["segment"] == cloud.network.segment


def test_ports_come_by_pages_and_the_answer_says_that_there_are_more(cloud: Cloud, pair: list[Port], ann: Http) -> None:
    first = ann.get("network-topology?limit=1").ok()
    assert len(links(first, "port")) == 1 and first["notes"] == ["Not all: 1 ports are shown; `next` leads to more."]
    second = ann.get(first["next"].partition("/api/v1/")[2]).ok()
    assert len(links(second, "port")) == 1 and (second["notes"], second["next"]) == ([], None)
    assert {links(each, "port")[0]["port_id"] for each in (first, second)} == {str(each.pk) for each in pair}
    assert nodes(first, "network") == nodes(second, "network")


def test_the_picture_costs_the_same_however_much_there_is(cloud: Cloud, pair: list[Port], ann: Http, operator: Http) -> None:
    def costs() -> list[int]:
        found = []
        for who in (ann, operator):
            who.get("whoami").ok()
            with statements() as told:
                who.get("network-topology").ok()
            found.append(len(told))
        return found

    before = costs()
    for number in range(5):
        made = make_network(cloud.actor, f"more-{number}", cidr=f"10.{number}.0.0/24")
        for _ in range(3):
            ports.create(actor=cloud.actor, network_id=made.pk)
    networks.create(actor=cloud.actor, name="bare")
    assert costs() == before and max(before) <= 10
