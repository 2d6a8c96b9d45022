"""Address ranges and what belongs to them, without a database."""

import ipaddress
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from apps.common.errors import Invalid
from apps.network import ranges

V4, V6 = ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("fd12:3456::/64")


def refused(call: Callable[..., Any], *given: Any) -> tuple[str, str | None]:
    with pytest.raises(Invalid) as caught:
        call(*given)
    return caught.value.code, caught.value.field


@pytest.mark.parametrize(
    "cidr", ["10.0.0.0/8", "10.1.2.0/30", "192.168.0.0/16", "8.8.8.0/24", "203.0.113.0/29", "fd12:3456::/64", "2001:db8::/126"]
)
def test_any_unicast_range_of_sensible_size_is_taken(cidr: str) -> None:
    assert str(ranges.parse_cidr(cidr)) == cidr


@pytest.mark.parametrize(
    "cidr",
    [
        "nonsense", "", "10.0.0.1/24", "10.0.0.0/31", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/7", "\u0661.0.0.0/8",
        "0.0.0.0/8", "127.1.0.0/16", "169.254.0.0/16", "224.1.0.0/16", "240.0.0.0/8", "255.255.255.0/24",
        "::/64", "::1/128", "fe80::/64", "ff02::/64", "::ffff:10.0.0.0/120", "fd12::/48", "fd12::/127", "fd12::1/64", "fd00:ec2::/64", 5,
    ],
)
def test_any_other_is_refused_with_its_field(cidr: str) -> None:
    assert refused(ranges.parse_cidr, cidr) == ("subnet.cidr", "cidr")


def test_what_is_wrong_with_a_range_is_told() -> None:
    with pytest.raises(Invalid, match=r"169\.254\.0\.0/16, which is link-local"):
        ranges.parse_cidr("169.254.7.0/24")
    with pytest.raises(Invalid, match="from 8 to 30 for IPv4, got 31"):
        ranges.parse_cidr("10.0.0.0/31")


def test_slaac_needs_a_64_and_ipv4_knows_no_such_thing() -> None:
    assert ranges.parse_mode(6, "", V6) == "dhcpv6"
    assert ranges.parse_mode(6, "slaac", V6) == "slaac"
    assert ranges.parse_mode(4, "", V4) == ""
    assert refused(ranges.parse_mode, 6, "slaac", ipaddress.ip_network("fd12::/120")) == ("subnet.ipv6_mode", "ipv6_mode")
    assert refused(ranges.parse_mode, 6, "stateful", V6) == ("subnet.ipv6_mode", "ipv6_mode")
    assert refused(ranges.parse_mode, 4, "slaac", V4) == ("subnet.family", "ipv6_mode")


@pytest.mark.parametrize(("text", "stored"), [("10.0.0.1", "10.0.0.1"), ("10.0.0.254", "10.0.0.254")])
def test_a_gateway_is_an_address_that_a_host_can_have(text: str, stored: str) -> None:
    assert ranges.parse_gateway(text, V4) == stored


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.255", "10.0.1.1", "nonsense", ""])
def test_any_other_gateway_is_refused(text: str) -> None:
    assert refused(ranges.parse_gateway, text, V4) == ("subnet.gateway", "gateway")


def test_addresses_of_the_other_family_are_refused_everywhere() -> None:
    assert refused(ranges.parse_gateway, "fd12::1", V4) == ("subnet.family", "gateway")
    assert refused(ranges.parse_pools, [["10.0.0.2", "fd12::9"]], V4, None) == ("subnet.family", "pools")
    assert refused(ranges.parse_dns, ["1.1.1.1"], V6) == ("subnet.family", "dns")
    assert refused(ranges.parse_routes, [{"destination": "fd00::/8", "nexthop": "10.0.0.9"}], V4) == ("subnet.family", "routes")
    assert refused(ranges.parse_routes, [{"destination": "10.9.0.0/16", "nexthop": "fd12:3456::9"}], V4) == ("subnet.family", "routes")


def test_ipv6_addresses_are_stored_in_their_short_form() -> None:
    assert ranges.parse_gateway("FD12:3456:0:0:0::00FE", V6) == "fd12:3456::fe"
    assert ranges.parse_pools([["fd12:3456::0010", "fd12:3456::00ff"]], V6, None) == [["fd12:3456::10", "fd12:3456::ff"]]
    assert refused(ranges.parse_gateway, "fe80::1%eth0", V6) == ("subnet.gateway", "gateway")


@pytest.mark.parametrize(
    ("cidr", "gateway", "expected"),
    [
        ("10.0.0.0/24", "10.0.0.1", [["10.0.0.2", "10.0.0.254"]]),
        ("10.0.0.0/24", None, [["10.0.0.1", "10.0.0.254"]]),
        ("10.0.0.0/24", "10.0.0.254", [["10.0.0.1", "10.0.0.253"]]),
        ("10.0.0.0/24", "10.0.0.9", [["10.0.0.1", "10.0.0.8"], ["10.0.0.10", "10.0.0.254"]]),
        ("10.0.0.0/30", "10.0.0.1", [["10.0.0.2", "10.0.0.2"]]),
        ("fd12::/126", "fd12::1", [["fd12::2", "fd12::3"]]),
        ("fd12::/64", "fd12::1", [["fd12::2", "fd12::4000:0:0:1"]]),
    ],
)
def test_unless_told_otherwise_all_but_the_gateway_is_given(cidr: str, gateway: str | None, expected: list[list[str]]) -> None:
    network = ipaddress.ip_network(cidr)
    pools = ranges.default_pools(network, gateway)
    assert pools == expected
    assert ranges.parse_pools(pools, network, gateway) == pools


@pytest.mark.parametrize(
    ("pools", "text"),
    [
        ([["10.0.0.9", "10.0.0.5"]], "ends before it begins"),
        ([["10.0.0.5", "10.0.0.9"], ["10.0.0.9", "10.0.0.20"]], "overlap"),
        ([["10.0.0.5", "10.0.0.20"], ["10.0.0.6", "10.0.0.7"]], "overlap"),
        ([["10.0.0.0", "10.0.0.9"]], "not within 10.0.0.1-10.0.0.254"),
        ([["10.0.0.9", "10.0.0.255"]], "not within"),
        ([["10.0.0.9", "10.0.1.9"]], "not within"),
        ([["10.0.0.9"]], "pairs"),
        (["10.0.0.9"], "pairs"),
        ([["10.0.0.9", "x"]], "expected an IP address"),
        ([[9, 10]], "expected an IP address"),
        ([[f"10.0.0.{n}", f"10.0.0.{n}"] for n in range(1, 19)], "at most 16"),
    ],
)
def test_pools_that_cannot_be_are_refused(pools: Any, text: str) -> None:
    with pytest.raises(Invalid, match=text) as caught:
        ranges.parse_pools(pools, V4, None)
    assert (caught.value.code, caught.value.field) == ("subnet.pools", "pools")


def test_pools_are_put_in_order() -> None:
    assert ranges.parse_pools([["10.0.0.50", "10.0.0.60"], ["10.0.0.5", "10.0.0.9"]], V4, None)[0] == ["10.0.0.5", "10.0.0.9"]


def test_the_gateway_is_in_no_pool() -> None:
    with pytest.raises(Invalid, match=r"gateway 10\.0\.0\.7 is in the pool 10\.0\.0\.5-10\.0\.0\.9") as caught:
        ranges.parse_pools([["10.0.0.5", "10.0.0.9"]], V4, "10.0.0.7")
    assert (caught.value.code, caught.value.field) == ("subnet.gateway_in_pool", "pools")


def test_an_ipv6_pool_has_no_more_addresses_than_can_be_counted() -> None:
    first, most = int(V6[2]), ranges.MOST_ADDRESSES
    ends = [str(ipaddress.IPv6Address(first)), str(ipaddress.IPv6Address(first + most - 1))]
    assert ranges.parse_pools([ends], V6, None) == [ends]
    assert refused(ranges.parse_pools, [[ends[0], str(ipaddress.IPv6Address(first + most))]], V6, None) == ("subnet.pools", "pools")
    assert refused(ranges.parse_pools, [["fd12:3456:0:0:8000::1", "fd12:3456:0:0:8000::9"]], V6, None) == ("subnet.pools", "pools")


@pytest.mark.parametrize("servers", [["10.0.0.9", "10.0.0.9"], ["224.0.0.1"], ["127.0.0.53"], ["x"], [f"10.0.0.{n}" for n in range(9)]])
def test_name_servers_that_guests_cannot_ask_are_refused(servers: list[str]) -> None:
    assert refused(ranges.parse_dns, servers, V4) == ("subnet.dns", "dns")


def test_routes_are_stored_in_one_form() -> None:
    route = {"destination": "10.9.0.0/255.255.0.0", "nexthop": "10.0.0.9"}
    assert ranges.parse_routes([route], V4) == [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}]


@pytest.mark.parametrize(
    "routes",
    [
        [{"destination": "0.0.0.0/0", "nexthop": "10.0.0.9"}], [{"destination": "10.9.0.0/16", "nexthop": "10.1.0.9"}],
        [{"destination": "10.9.0.1/16", "nexthop": "10.0.0.9"}], [{"destination": "10.9.0.0/16"}], ["10.9.0.0/16"],
        [{"destination": "224.0.0.0/8", "nexthop": "10.0.0.9"}], [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.255"}],
        [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}, {"destination": "10.9.0.0/16", "nexthop": "10.0.0.8"}],
        [{"destination": f"10.{n}.0.0/16", "nexthop": "10.0.0.9"} for n in range(1, 34)],
    ],
)
def test_routes_that_cannot_be_are_refused(routes: Any) -> None:
    assert refused(ranges.parse_routes, routes, V4) == ("subnet.routes", "routes")


def test_a_private_ipv6_range_is_the_same_for_the_same_network_and_its_own_for_each() -> None:
    owners = [uuid.uuid4() for _ in range(100)]
    made = [ranges.local_ipv6(owner) for owner in owners]
    assert made == [ranges.local_ipv6(owner) for owner in owners]
    assert len(set(made)) == 100
    for cidr in made:
        assert ranges.parse_cidr(cidr).prefixlen == 64
        assert cidr.startswith("fd")


def test_ranges_of_different_families_never_overlap() -> None:
    assert ranges.overlap("10.0.0.0/8", "10.9.0.0/24")
    assert not ranges.overlap("10.0.0.0/24", "10.0.1.0/24")
    assert not ranges.overlap("10.0.0.0/8", "fd12::/64")


def test_a_span_is_counted_from_the_first_address() -> None:
    assert ranges.span("10.0.0.0/24", "10.0.0.2", "10.0.0.254") == (2, 254)
    assert ranges.span("fd12::/64", "fd12::1", "fd12::ff") == (1, 255)
