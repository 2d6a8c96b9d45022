"""What a rule of a security group may say, without a database."""

import uuid
from typing import Any

import pytest

from apps.common.errors import Invalid
from apps.network.services import rules
from apps.network.services.rules import Terms

GROUP = uuid.UUID("018f0000-0000-7000-8000-000000000001")


def terms(**given: Any) -> Terms:
    return rules.checked(**{"direction": "ingress", "family": 4, **given})


def refused(**given: Any) -> tuple[str, str | None]:
    with pytest.raises(Invalid) as caught:
        terms(**given)
    return caught.value.code, caught.value.field


@pytest.mark.parametrize(
    ("protocol", "number"),
    [(None, None), ("", None), ("any", None), ("tcp", 6), ("UDP", 17), (" sctp ", 132), ("6", 6), (0, 0), (255, 255), ("47", 47)],
)
def test_a_protocol_goes_by_name_or_number(protocol: object, number: int | None) -> None:
    assert terms(protocol=protocol).protocol == number


@pytest.mark.parametrize("protocol", ["tpc", -1, 256, "0x6", "6.0", "\u0666", "1000", "any/tcp"])
def test_a_protocol_that_is_none_is_refused(protocol: object) -> None:
    assert refused(protocol=protocol) == ("rule.protocol", "protocol")


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("name", "of"), [("icmp", 4), (1, 4), ("icmpv6", 6), ("ipv6-icmp", 6), ("58", 6)])
def test_each_icmp_goes_with_its_own_family(name: object, of: int, family: int) -> None:
    if family == of:
        assert terms(protocol=name, family=family).protocol in (1, 58)
    else:
        assert refused(protocol=name, family=family) == ("rule.protocol", "protocol")


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp", "dccp", "udplite"])
def test_ports_go_with_protocols_that_have_them(protocol: str) -> None:
    found = terms(protocol=protocol, first=1, last=65535)
    assert (found.first, found.last) == (1, 65535)


@pytest.mark.parametrize("protocol", ["any", None, "gre", 0, 51])
def test_ports_go_with_no_other_protocol(protocol: object) -> None:
    assert refused(protocol=protocol, first=22, last=22) == ("rule.ports", "first")
    assert refused(protocol=protocol, last=22) == ("rule.ports", "last")


def test_one_port_is_a_range_of_one() -> None:
    assert terms(protocol="tcp", first=22) == terms(protocol="tcp", first=22, last=22)


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [(0, 10, "first"), (10, 65536, "last"), (65536, None, "first"), (-1, 5, "first"), (23, 22, "last"), (None, 22, "first"), (22, 0, "last")],
)
def test_an_impossible_range_of_ports_is_refused(first: int | None, last: int | None, field: str) -> None:
    assert refused(protocol="tcp", first=first, last=last) == ("rule.ports", field)


@pytest.mark.parametrize(("kind", "code"), [(None, None), (0, None), (255, 255), (8, 0)])
def test_icmp_has_a_type_and_perhaps_a_code(kind: int | None, code: int | None) -> None:
    found = terms(protocol="icmp", first=kind, last=code)
    assert (found.first, found.last) == (kind, code)


@pytest.mark.parametrize(("kind", "code", "field"), [(256, None, "first"), (-1, None, "first"), (8, 256, "last"), (None, 0, "first")])
def test_an_impossible_icmp_type_or_code_is_refused(kind: int | None, code: int | None, field: str) -> None:
    assert refused(protocol="icmp", first=kind, last=code) == ("rule.icmp", field)


@pytest.mark.parametrize(
    ("family", "given", "stored"),
    [
        (4, "10.0.0.0/8", "10.0.0.0/8"), (4, "192.0.2.7", "192.0.2.7/32"), (4, "0.0.0.0/0", ""), (4, "", ""),
        (4, "10.0.0.0/255.0.0.0", "10.0.0.0/8"), (6, "2001:DB8:0::/64", "2001:db8::/64"), (6, "::/0", ""), (6, "fe80::1", "fe80::1/128"),
    ],
)
def test_a_range_is_stored_in_one_form_and_everybody_as_nobody_in_particular(family: int, given: str, stored: str) -> None:
    assert terms(family=family, cidr=given).cidr == stored


@pytest.mark.parametrize(
    ("family", "given"),
    [
        (4, "nonsense"), (4, "10.0.0.0/33"), (4, "10.0.0.256"), (4, "::/0"), (6, "0.0.0.0/0"), (6, "10.0.0.1"), (6, "fe80::1%eth0"),
        (4, "10.0.0.1/24"), (6, "2001:db8::1/64"), (4, "\u0661.0.0.0/8"), (4, " "), (4, "10.0.0.0/8/8"), (4, "0.0.0.1/0"),
    ],
)
def test_a_range_that_is_none_or_of_another_family_is_refused(family: int, given: str) -> None:
    assert refused(family=family, cidr=given) == ("rule.cidr", "cidr")


def test_an_address_within_a_range_is_told_both_ways_to_write_it() -> None:
    with pytest.raises(Invalid, match=r"write 10\.0\.0\.0/24 for all of it, or 10\.0\.0\.5/32 for the one address"):
        terms(cidr="10.0.0.5/24")


def test_the_other_side_is_a_range_or_a_group_and_not_both() -> None:
    assert refused(cidr="10.0.0.0/8", remote_group_id=GROUP) == ("rule.other_side", "remote_group_id")
    assert terms(remote_group_id=GROUP).remote_group_id == GROUP


@pytest.mark.parametrize("given", [{"direction": "in"}, {"direction": ""}])
def test_the_direction_is_as_the_guest_sees_it(given: dict[str, Any]) -> None:
    assert refused(**given) == ("rule.direction", "direction")


def test_the_family_is_four_or_six() -> None:
    assert refused(family=5) == ("rule.family", "family")


def test_rules_that_allow_the_same_have_one_fingerprint_and_others_another() -> None:
    same = [terms(protocol="tcp", first=80), terms(protocol=6, first=80, last=80, cidr="0.0.0.0/0"), terms(protocol="6", first=80, last=80)]
    assert len({each.fingerprint for each in same}) == 1
    different = [
        same[0], terms(), terms(family=6), terms(direction="egress"), terms(protocol="tcp"), terms(protocol="udp", first=80),
        terms(protocol="tcp", first=80, last=81), terms(protocol="tcp", first=80, cidr="10.0.0.0/8"), terms(remote_group_id=GROUP),
        terms(protocol="icmp"), terms(protocol="icmp", first=8), terms(protocol="icmp", first=8, last=0), terms(protocol=0),
    ]
    assert len({each.fingerprint for each in different}) == len(different)


def test_the_longest_fingerprint_fits_its_column() -> None:
    longest = terms(family=6, protocol="udplite", first=65534, last=65535, cidr="2001:0db8:aaaa:bbbb:cccc:dddd:eeee:ffff/128")
    assert len(longest.fingerprint) <= 128
    assert len(terms(remote_group_id=GROUP, protocol="tcp", first=65534, last=65535).fingerprint) <= 128
