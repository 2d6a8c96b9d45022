"""Management commands of networks: what they print, what they do, and their exit codes."""

import pytest

from apps.identity.models import Project
from apps.network.models import HostNetwork, Network, Rule, SegmentPool
from tests.support.cloud import Cloud
from tests.support.commands import as_json, run


@pytest.fixture
def demo(cloud: Cloud) -> Cloud:
    """The cloud with its project named as the commands expect it."""
    Project.objects.filter(pk=cloud.project.pk).update(name="demo")
    return cloud


def done(name: str, *arguments: str) -> str:
    code, text = run(name, *arguments)
    assert code == 0, text
    return text


def test_a_network_is_made_whole_listed_and_deleted(demo: Cloud) -> None:
    assert "behind the router back" in done("network_create", "back", "--whole", "--cidr", "10.5.0.0/24", "--cidr6", "none")
    listed = done("network_list")
    assert "10.5.0.0/24" in listed and "outside" in listed
    assert {each["name"] for each in as_json("network_list")} == {"back", "default", "outside"}
    assert "10.5.0.2-10.5.0.254" in done("subnet_list") and "10.5.0.0/24" in done("router_list")
    code, text = run("network_delete", "back")
    assert code == 4 and "1 router (back" in text
    done("router_detach", "back", "10.5.0.0/24")
    done("router_attach", "back", "10.5.0.0/24")
    done("router_detach", "back", "10.5.0.0/24")
    done("router_delete", "back")
    assert run("network_delete", "back", "nothing")[0] == 3
    assert Network.objects.filter(name="back").exists()  # a typing error deletes nothing
    done("network_delete", "back")
    assert not Network.objects.filter(name="back").exists()


def test_a_subnet_says_what_guests_are_told(demo: Cloud) -> None:
    done("network_create", "back")
    made = as_json(
        "subnet_create", "back", "10.8.0.0/24", "--gateway", "none", "--pool", "10.8.0.10-10.8.0.20", "--dns", "9.9.9.9",
        "--route", "10.9.0.0/16=10.8.0.2", "--no-dhcp",
    )
    assert (made["gateway"], made["pools"], made["dns"], made["dhcp"]) == (None, [{"first": "10.8.0.10", "last": "10.8.0.20"}], ["9.9.9.9"], False)
    assert made["routes"] == [{"destination": "10.9.0.0/16", "nexthop": "10.8.0.2"}]
    assert "(subnet.overlap)" in run("subnet_create", "back", "10.8.0.0/25")[1]
    done("subnet_delete", "10.8.0.0/24")


def test_operators_define_wires_and_pools_and_networks_on_them(demo: Cloud) -> None:
    done("wire_add", "blue", "--mtu", "9000")
    done("vlan_pool_add", "blue", "100", "199", "--operators-only")
    assert "(pool.overlap)" in run("vlan_pool_add", "blue", "150", "299")[1]
    done("vxlan_pool_add", "100", "199", "--operators-only")
    code, text = run("network_create", "lab", "--kind", "vlan", "--wire", "blue", "--segment", "300", "--shared", "--no-project")
    assert code == 2 and "100-199" in text
    made = as_json("network_create", "lab", "--kind", "vlan", "--wire", "blue", "--segment", "120", "--shared", "--no-project")
    assert (made["project_id"], made["segment"], made["mtu"]) == (None, 120, 9000)
    pool = SegmentPool.objects.get(kind="vlan")
    assert {each["id"]: each["used"] for each in as_json("pool_list")}[str(pool.pk)] == 1
    assert "blue" in done("pool_list") and "blue" in done("wire_list")
    assert "lab" in run("pool_delete", str(pool.pk))[1]
    done("network_delete", "lab")
    done("pool_delete", str(pool.pk))
    done("wire_delete", "blue")
    assert run("wire_delete", "blue")[0] == 3


def test_a_floating_ip_stands_for_a_port(demo: Cloud) -> None:
    done("network_create", "street", "--kind", "vxlan", "--external", "--no-project", "--cidr", "198.51.100.0/24")
    done("router_create", "edge", "--external", "street")
    done("network_create", "back", "--whole", "--router", "edge", "--cidr", "10.5.0.0/24", "--cidr6", "none")
    done("port_create", "back", "--name", "web", "--address", "10.5.0.9")
    assert "10.5.0.9" in done("port_list")
    assert "198.51.100.7" in done("floating_ip_create", "--network", "street", "--address", "198.51.100.7")
    assert "stands for 10.5.0.9" in done("floating_ip_associate", "198.51.100.7", "web")
    assert [each["fixed_address"] for each in as_json("floating_ip_list", "--all")] == ["10.5.0.9"]
    done("floating_ip_disassociate", "198.51.100.7")
    done("floating_ip_delete", "198.51.100.7")
    done("port_delete", "web")
    assert "There is no floating IP." in done("floating_ip_list")


def test_rules_are_added_listed_and_deleted(demo: Cloud) -> None:
    done("security_group_create", "web")
    assert "tcp 80-90" in done("security_rule_add", "web", "ingress", "tcp", "--first", "80", "--last", "90")
    done("security_rule_add", "web", "ingress", "icmp", "--first", "8", "--last", "0")
    done("security_rule_add", "web", "ingress", "udp", "--first", "53", "--from-group", "web")
    text = done("security_group_list")
    for word in ("tcp 80-90", "icmp 8/0", "udp 53", "members of web", "anybody"):
        assert word in text
    assert run("security_rule_add", "web", "ingress", "tcp", "--first", "90", "--last", "80")[0] == 2
    rule = Rule.objects.get(protocol=1)
    done("security_rule_delete", str(rule.pk))
    assert "icmp" not in done("security_group_list")
    done("security_group_delete", "web")


def test_hosts_that_could_not_do_something_end_the_command_with_one(demo: Cloud) -> None:
    host = demo.host("hv1")
    HostNetwork.objects.update_or_create(
        host_id=host.id, defaults={"host_name": "hv1", "speaks": True, "generation": 7, "applied": 7, "full_due": False}
    )
    assert "current" in done("network_hosts")
    HostNetwork.objects.update(problems=[{"code": "switch", "message": "no bridge", "object": ""}], applied=6)
    code, text = run("network_hosts")
    assert code == 1 and "switch: no bridge" in text and "behind" in text
    assert "told its whole state" in done("network_hosts", "--tell-again", "hv1")
    assert run("network_hosts", "--tell-again", "hv2")[0] == 3
