"""Which addresses an import may talk to."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.images.fetching.addresses import NEVER, REFUSED, fault, read

FOUR = [network for network, _ in (*NEVER, *REFUSED) if network.version == 4]
SIX = [network for network, _ in (*NEVER, *REFUSED) if network.version == 6]


def mapped(address: IPv4Address) -> IPv6Address:
    return IPv6Address(0xFFFF << 32 | int(address))


def translated(address: IPv4Address) -> IPv6Address:
    return IPv6Address(int(IPv6Address("64:ff9b::")) | int(address))


def six_to_four(address: IPv4Address) -> IPv6Address:
    return IPv6Address(0x2002 << 112 | int(address) << 80 | 1)


def isatap(address: IPv4Address) -> IPv6Address:
    return IPv6Address(int(IPv6Address("2a00:1450::")) | 0x5EFE << 32 | int(address))


WRAPPERS = (mapped, translated, six_to_four, isatap)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "169.254.0.1", "100.64.0.1", "100.127.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.0.1", "192.0.2.1",
        "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.88.99.1",
        "::", "::1", "::7f00:1", "::10.0.0.1", "::ffff:0:127.0.0.1", "fe80::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "fec0::1",
        "ff02::1", "2001:db8::1", "2001::1", "2001:2::1", "3fff::1", "5f00::1", "100::1", "64:ff9b:1::a00:1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1", "2002:a00:1::1", "2a00:1450::5efe:10.0.0.1",
        "2a00:1450::200:5efe:192.168.0.1", "fe80::1%eth0",
    ],
)
def test_what_is_not_public_is_refused(text: str) -> None:
    assert fault(read(text))


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "8.8.8.8", "93.184.216.34", "151.101.2.132", "2606:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_what_is_public_is_not(text: str) -> None:
    assert fault(read(text)) == ""


@given(st.sampled_from(FOUR).flatmap(lambda network: st.ip_addresses(network=network)), st.sampled_from(WRAPPERS))
def test_no_form_of_ipv6_leads_to_a_refused_ipv4_address(address: IPv4Address, wrapper: object) -> None:
    assert fault(address)
    assert fault(wrapper(address))  # type: ignore[operator]


@given(st.sampled_from(SIX).flatmap(lambda network: st.ip_addresses(network=network)))
def test_all_of_a_refused_network_of_ipv6_is_refused(address: IPv6Address) -> None:
    assert fault(address)


@given(st.ip_addresses())
def test_nothing_is_let_through_that_the_standard_library_calls_special(address: IPv4Address | IPv6Address) -> None:
    if fault(address) == "":
        assert not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)
        inner = getattr(address, "ipv4_mapped", None) or address
        assert not (inner.is_private or inner.is_reserved) or address in ip_network("64:ff9b::/96")


def test_an_operator_can_open_a_private_network() -> None:
    opened = [ip_network("10.20.0.0/16"), ip_network("fd12::/16")]
    assert fault(ip_address("10.20.3.4"), opened) == ""
    assert fault(ip_address("::ffff:10.20.3.4"), opened) == ""
    assert fault(ip_address("fd12::7"), opened) == ""
    assert fault(ip_address("10.21.0.1"), opened)
    assert fault(ip_address("127.0.0.1"), opened)


@pytest.mark.parametrize("network", ["0.0.0.0/0", "0.0.0.0/1", "::/0", "fc00::/6"])
def test_a_network_that_is_larger_than_what_it_opens_opens_nothing(network: str) -> None:
    opened = [ip_network(network)]
    assert all(fault(ip_address(text), opened) for text in ("127.0.0.1", "10.0.0.1", "192.168.0.1", "::1", "fd00::1"))


@pytest.mark.parametrize("text", ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "224.0.0.1", "0.0.0.0", "fe80::1", "255.255.255.255"])
def test_metadata_services_and_groups_cannot_be_opened(text: str) -> None:
    address = ip_address(text)
    assert fault(address, [ip_network(f"{text}/{address.max_prefixlen}")])


def test_loopback_is_opened_by_its_own_network_only() -> None:
    assert fault(ip_address("127.0.0.1"), [ip_network("127.0.0.0/8")]) == ""
    assert fault(ip_address("::1"), [ip_network("::1/128")]) == ""
    assert fault(ip_address("::1"), [ip_network("127.0.0.0/8")])
