"""What guests are told by DHCP, DHCPv6, router advertisements and DNS, as functions of the desired state."""

import ipaddress
import random
import struct
import uuid
from pathlib import Path

import msgspec
import pytest

from agent.drivers.openvswitch.services import advertise, dhcp4, dhcp6, frames, nameserver, plan
from agent.drivers.openvswitch.services.frames import Ends, Received, link_local
from agent.network.desired import Desired
from contracts.network import v2 as network

NET, ROUTER, PORT, INSTANCE = (str(uuid.UUID(int=number)) for number in (1, 2, 3, 4))
MAC = "fa:16:3e:00:00:05"
FOUR = network.Subnet(id="four", cidr="10.64.0.0/20", gateway="10.64.0.1", routed=True)
SIX = network.Subnet(id="six", cidr="fd64::/64", gateway="fd64::1", routed=True, ipv6_mode="dhcpv6")


def desired(
    *subnets: network.Subnet,
    kind: network.Kind = network.Kind.VXLAN,
    domain: str = "",
    out: bool = False,
    **port: object,
) -> Desired:
    values = {"four": "10.64.0.5", "six": "fd64:0:0::5"}
    net = network.Network(id=NET, kind=kind, mtu=1400, router=ROUTER, domain=domain, subnets=list(subnets))
    own = network.Port(
        id=PORT,
        network=NET,
        mac=MAC,
        addresses=[
            network.Address(subnet=subnet.id, address=values[subnet.id]) for subnet in subnets if subnet.id in values
        ],
        here=True,
        instance=INSTANCE,
        name="web",
    )
    outside = network.Network(id="out", kind=network.Kind.HOST)
    router = network.Router(id=ROUTER, out=network.WayOut(network=outside) if out else None)
    objects = network.Objects(networks=[net], ports=[msgspec.structs.replace(own, **port)], routers=[router])
    return Desired.of(network.State(generation=1, objects=objects))


def link(*subnets: network.Subnet, **how: object) -> plan.Link:
    return plan.links(desired(*subnets, **how))[NET]  # type: ignore[arg-type]


def offer(*subnets: network.Subnet, **how: object) -> plan.Offer:
    [found] = link(*subnets, **how).guests[MAC].offers
    return found


def changed(subnet: network.Subnet, **values: object) -> network.Subnet:
    return msgspec.structs.replace(subnet, **values)


# --- the plan -----------------------------------------------------------------------------------------------------


def test_a_routed_subnet_has_its_gateway_for_everything() -> None:
    found = offer(FOUR)
    assert (found.gateway, found.server, found.dns) == ("10.64.0.1", "10.64.0.1", ("10.64.0.1",))
    assert dict(found.routes) == {"169.254.169.254/32": "10.64.0.1", "0.0.0.0/0": "10.64.0.1"}


def test_a_subnet_that_is_not_routed_has_no_gateway_and_metadata_on_the_link() -> None:
    found = offer(changed(FOUR, routed=False))
    assert (found.gateway, found.server, found.dns) == ("", plan.METADATA, (plan.METADATA,))
    assert dict(found.routes) == {"169.254.169.254/32": "0.0.0.0"}


def test_a_gateway_that_a_guest_holds_or_that_is_on_the_wire_is_handed_out() -> None:
    theirs = changed(FOUR, routed=False, gateway="10.64.0.5")
    assert offer(theirs).gateway == "10.64.0.5"
    assert dict(offer(theirs).routes)["169.254.169.254/32"] == "0.0.0.0"
    assert offer(changed(FOUR, routed=False), kind=network.Kind.VLAN).gateway == "10.64.0.1"


def test_a_default_route_of_the_subnets_own_is_not_overridden() -> None:
    routes = [network.Route(destination="0.0.0.0/0", nexthop="10.64.0.9")]
    assert dict(offer(changed(FOUR, routes=routes)).routes)["0.0.0.0/0"] == "10.64.0.9"


def test_name_servers_and_routes_of_the_other_family_are_left_out() -> None:
    mixed = changed(
        FOUR, dns=["9.9.9.9", "2620:fe::fe"], routes=[network.Route(destination="fd00::/8", nexthop="fd64::9")]
    )
    assert (offer(mixed).dns, len(offer(mixed).routes)) == (("9.9.9.9",), 2)


def test_ports_of_other_hosts_and_networks_without_ports_here_are_not_served() -> None:
    assert plan.links(desired(FOUR, here=False)) == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web", "web"),
        ("Web Server_1", "web-server-1"),
        ("a\nserver=6.6.6.6", "a-server-6-6-6-6"),
        ("", "host-10-64-0-5"),
        ("--", "host-10-64-0-5"),
        ("localhost", "host-10-64-0-5"),
        ("é.ü", "host-10-64-0-5"),
    ],
)
def test_a_guests_name_is_one_safe_label(name: str, expected: str) -> None:
    assert link(FOUR, name=name).guests[MAC].hostname == expected


@pytest.mark.parametrize("domain", ["", "bad name", "a\nserver=/x/", "UPPER", ".x", "x" * 64, "a/b", "-a"])
def test_a_domain_that_is_none_is_not_taken_over(domain: str) -> None:
    assert link(FOUR, domain=domain).domain == plan.DEFAULT_DOMAIN


def test_a_proper_domain_is() -> None:
    assert link(FOUR, domain="shop.example").domain == "shop.example"


# --- names --------------------------------------------------------------------------------------------------------


def test_the_name_servers_files_hold_names_and_who_else_is_asked(tmp_path: Path) -> None:
    state = desired(FOUR, SIX, out=True)
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("# x\nnameserver 127.0.0.53\nnameserver 192.0.2.1\noptions edns0\n")
    assert nameserver.upstream_servers([tmp_path / "none", resolv]) == ["192.0.2.1"]
    [(hosts, _)] = nameserver.by_domain(state, plan.links(state)).values()
    assert hosts == "10.64.0.5 web.cloud.internal web\nfd64::5 web.cloud.internal web\n"
    assert nameserver.server_lines(["b", "a", "b"], ["192.0.2.1"]) == "server=/a/\nserver=/b/\nserver=192.0.2.1\n"


def test_without_a_way_out_nobody_else_is_asked() -> None:
    state = desired(FOUR)
    [(_, servers)] = nameserver.by_domain(state, plan.links(state)).values()
    assert servers == "server=/cloud.internal/\n"


# --- frames -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "target"), [("10.0.0.1", "10.0.0.2"), ("fe80::1", "ff02::1")])
@pytest.mark.parametrize("payload", [b"", b"x", b"even"])
def test_a_datagram_is_read_as_it_was_written(source: str, target: str, payload: bytes) -> None:
    frame = frames.udp(Ends("fa:16:3e:00:00:01", source, "fa:16:3e:00:00:02", target), 67, 68, payload)
    assert frames.parse(frame) == Received("fa:16:3e:00:00:01", source, target, frames.UDP, 68, payload)


def test_checksums_are_right() -> None:
    four = frames.udp(Ends(MAC, "10.0.0.1", MAC, "10.0.0.2"), 67, 68, b"odd")
    assert frames._sum(four[14:34]) == 0
    assert frames._sum(four[26:34] + struct.pack("!BBH", 0, 17, len(four) - 34) + four[34:]) == 0
    six = frames.icmp6(Ends(MAC, "fe80::1", MAC, "ff02::1"), b"\x86\0\0\0rest")
    assert frames._sum(six[22:54] + struct.pack("!II", len(six) - 54, 58) + six[54:]) == 0


def test_a_solicitation_that_came_through_a_router_is_none() -> None:
    frame = bytearray(frames.icmp6(Ends(MAC, "fe80::1", MAC, "ff02::2"), b"\x85\0\0\0\0\0\0\0"))
    assert frames.parse(bytes(frame)) is not None
    frame[14 + 7] = 254
    assert frames.parse(bytes(frame)) is None


def test_no_frame_whatever_is_in_it_breaks_anything() -> None:
    served = link(FOUR, SIX)
    chance = random.Random(4)  # the same ones every time
    whole = [
        discover(),
        solicit((3, b"\0\0\0\1" + bytes(8))),
        frames.icmp6(Ends(MAC, "fe80::1", MAC, "ff02::2"), b"\x85" + bytes(7)),
    ]
    for _ in range(3000):
        frame = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(4)):
            frame[chance.randrange(12, len(frame))] = chance.randrange(256)
        received = frames.parse(bytes(frame[: chance.randrange(len(frame) + 1)]))
        for answer in (dhcp4.answer, dhcp6.answer, advertise.answer) if received else ():
            answer(received, served)  # type: ignore[arg-type]


# --- DHCP ---------------------------------------------------------------------------------------------------------


def discover(
    kind: int = 1, *options: tuple[int, bytes], has: str = "0.0.0.0", mac: str = MAC, **fields: object
) -> bytes:
    packed = bytes.fromhex(mac.replace(":", ""))
    values = {"flags": 0, "relay": "0.0.0.0", "chaddr": packed, "target": "255.255.255.255"} | fields
    content = dhcp4._HEADER.pack(
        1,
        1,
        6,
        0,
        77,
        0,
        values["flags"],
        ipaddress.IPv4Address(has).packed,
        bytes(4),
        bytes(4),
        ipaddress.IPv4Address(str(values["relay"])).packed,
        values["chaddr"],
        b"",
        b"",
    )
    told = b"".join(bytes([code, len(value)]) + value for code, value in [(53, bytes([kind])), *options])
    ends = Ends(mac, has, "ff:ff:ff:ff:ff:ff", str(values["target"]))
    return frames.udp(ends, 68, 67, content + dhcp4._COOKIE + told + b"\xff")


def ask4(served: plan.Link, frame: bytes) -> tuple[str, str, dict[int, bytes]] | None:
    """(where the answer goes, the address in it, options)."""
    received = frames.parse(frame)
    assert received is not None
    answer = dhcp4.answer(received, served)
    if answer is None:
        return None
    assert answer[:6] == frame[6:12]
    back = frames.parse(answer)
    assert back is not None
    assert back.port == 68
    assert len(back.payload) >= 300
    start = dhcp4._HEADER.size + 4
    given = str(ipaddress.IPv4Address(back.payload[16:20]))
    return back.target, given, dhcp4._parse_options(back.payload[start:])


def told4(served: plan.Link, frame: bytes) -> tuple[str, str, dict[int, bytes]]:
    answer = ask4(served, frame)
    assert answer is not None
    return answer


def packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed


def test_an_offer_and_its_acknowledgement() -> None:
    to, given, options = told4(link(FOUR), discover(1, (61, b"\xffme")))
    assert (to, given, options[53], options[54]) == ("10.64.0.5", "10.64.0.5", b"\2", packed("10.64.0.1"))
    assert (options[61], options[26]) == (b"\xffme", struct.pack("!H", 1400))
    _, given, options = told4(link(FOUR), discover(3, (50, packed("10.64.0.5")), (54, options[54])))
    assert (given, options[53]) == ("10.64.0.5", b"\5")


def test_a_wrong_address_is_denied_and_another_servers_is_not_our_business() -> None:
    to, given, options = told4(link(FOUR), discover(3, (50, packed("10.64.0.6"))))
    assert (to, given, options[53]) == ("255.255.255.255", "0.0.0.0", b"\6")
    assert 51 not in options
    assert ask4(link(FOUR), discover(3, (50, packed("10.64.0.5")), (54, packed("10.9.9.9")))) is None


def test_a_renewal_goes_to_the_address_and_an_inform_gets_no_lease() -> None:
    to, given, options = told4(link(FOUR), discover(3, has="10.64.0.5", target="10.64.0.1"))
    assert (to, given, options[53]) == ("10.64.0.5", "10.64.0.5", b"\5")
    to, given, options = told4(link(FOUR), discover(8, has="10.64.0.5"))
    assert (to, given, options[53], 51 in options) == ("10.64.0.5", "0.0.0.0", b"\5", False)


def test_who_wants_a_broadcast_gets_one_in_a_frame_of_its_own() -> None:
    assert told4(link(FOUR), discover(flags=0x8000))[0] == "255.255.255.255"


@pytest.mark.parametrize(
    "frame",
    [
        discover(mac="fa:16:3e:00:00:99"),
        discover(chaddr=b"\x02" * 6),
        discover(relay="10.64.0.9"),
        discover(target="10.99.0.1", has="10.64.0.5"),
        discover(4),
        discover(7),
        discover(2),
    ],
)
def test_what_is_not_for_this_server_is_not_answered(frame: bytes) -> None:
    assert ask4(link(FOUR), frame) is None


def test_many_routes_are_split_into_several_options() -> None:
    routes = [network.Route(destination=f"172.16.{number}.0/24", nexthop="10.64.0.9") for number in range(60)]
    _, _, options = told4(link(changed(FOUR, routes=routes)), discover(1, (55, b"\x79\xf9")))
    assert len(options[121]) == 60 * 8 + 9 + 5
    assert options[249] == options[121]


def test_a_port_in_two_subnets_may_ask_for_either_address() -> None:
    second = network.Subnet(id="more", cidr="10.70.0.0/24")
    addresses = [
        network.Address(subnet="four", address="10.64.0.5"),
        network.Address(subnet="more", address="10.70.0.5"),
    ]
    served = link(FOUR, second, addresses=addresses)
    assert told4(served, discover())[1] == "10.64.0.5"
    assert told4(served, discover(1, (50, packed("10.70.0.5"))))[1] == "10.70.0.5"


# --- DHCPv6 and advertisements ------------------------------------------------------------------------------------


def solicit(*options: tuple[int, bytes], kind: int = 1, target: str = "ff02::1:2") -> bytes:
    told = [(1, b"\0\4me"), *options]
    content = b"".join(struct.pack("!HH", code, len(value)) + value for code, value in told)
    return frames.udp(
        Ends(MAC, link_local(MAC), "33:33:00:01:00:02", target), 546, 547, bytes([kind]) + b"abc" + content
    )


def ask6(served: plan.Link, frame: bytes) -> tuple[int, list[tuple[int, bytes]]] | None:
    answer = dhcp6.answer(frames.parse(frame), served)  # type: ignore[arg-type]
    if answer is None:
        return None
    back = frames.parse(answer)
    assert back is not None
    assert (back.target, back.port, back.source) == (link_local(MAC), 546, link_local(served.mac))
    return back.payload[0], list(dhcp6._options(back.payload[4:]))


def told6(served: plan.Link, frame: bytes) -> tuple[int, list[tuple[int, bytes]]]:
    answer = ask6(served, frame)
    assert answer is not None
    return answer


def test_more_than_one_association_and_prefixes_get_none() -> None:
    one, other, prefix = (3, b"\0\0\0\1" + bytes(8)), (3, b"\0\0\0\2" + bytes(8)), (25, b"\0\0\0\3" + bytes(8))
    _, options = told6(link(FOUR, SIX), solicit(one, other, prefix))
    first, second, third = [value for code, value in options if code in (3, 25)]
    assert ipaddress.IPv6Address(first[16:32]) == ipaddress.IPv6Address("fd64::5")
    assert [value[12:14] + value[16:18] for value in (second, third)] == [b"\0\x0d\0\2", b"\0\x0d\0\6"]


def test_a_port_without_an_address_by_dhcpv6_is_told_so() -> None:
    kind, options = told6(link(FOUR, changed(SIX, ipv6_mode="slaac")), solicit((3, bytes(12))))
    assert (kind, dict(options)[13][:2], 3 in dict(options)) == (2, b"\0\2", False)


@pytest.mark.parametrize(
    "frame",
    [
        solicit((2, b"\0\3someone else")),
        solicit(kind=3),
        solicit(kind=5),
        solicit(kind=2),
        solicit(kind=12),
        solicit(target="fd99::1"),
    ],
)
def test_messages_that_break_the_rules_are_not_answered(frame: bytes) -> None:
    assert ask6(link(FOUR, SIX), frame) is None


def options_of(message: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 16
    while at < len(message):
        found.append((message[at], message[at : at + message[at + 1] * 8]))
        at += message[at + 1] * 8
    return found


def test_an_advertisement_of_a_managed_subnet() -> None:
    message = advertise.message(link(FOUR, SIX))
    kind, _, _, _, flags, lifetime = struct.unpack_from("!BBHBBH", message)
    assert (kind, flags & 0x80, lifetime) == (134, 0x80, advertise.ROUTER_LIFETIME_S)
    told = options_of(message)
    [prefix] = [value for code, value in told if code == 3]
    assert (prefix[2], prefix[3], str(ipaddress.IPv6Address(prefix[16:32]))) == (64, 0x80, "fd64::")
    assert struct.unpack_from("!I", dict(told)[5], 4) == (1400,)
    assert ipaddress.IPv6Address(dict(told)[25][8:24]) == ipaddress.IPv6Address("fd64::1")


def test_an_advertisement_of_an_autonomous_subnet_and_of_one_without_router() -> None:
    autonomous = advertise.message(link(changed(SIX, ipv6_mode="slaac")))
    assert autonomous[5] & 0x80 == 0
    assert [value[3] for code, value in options_of(autonomous) if code == 3] == [0xC0]
    alone = advertise.message(link(changed(SIX, routed=False)))
    assert struct.unpack_from("!H", alone, 6) == (0,)
    prefixes = [(value[2], value[3]) for code, value in options_of(alone) if code == 3]
    assert prefixes == [(64, 0x80), (128, 0x80)]


def test_where_no_subnet_wants_it_nothing_is_advertised_and_nobody_asked() -> None:
    for subnets in ((FOUR,), (FOUR, changed(SIX, dhcp=False))):
        assert advertise.unasked(link(*subnets)) is None
        assert ask6(link(*subnets), solicit((3, bytes(12)))) is None


def test_who_asks_without_an_address_is_answered_all_the_same_and_alone() -> None:
    frame = frames.icmp6(Ends(MAC, "::", "33:33:00:00:00:02", "ff02::2"), b"\x85" + bytes(7))
    answer = advertise.answer(frames.parse(frame), link(SIX))  # type: ignore[arg-type]
    assert answer is not None
    back = frames.parse(answer)
    assert back is not None
    assert (answer[:6].hex(":"), back.target) == (MAC, "ff02::1")
