"""Ranges and MACs, without a database."""

import ipaddress

import pytest

from apps.common.errors import Invalid
from apps.network.services import networks, ports


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "10.1.2.0/28", "192.168.0.0/16", "172.16.0.0/12"])
def test_a_private_range_of_sensible_size_is_taken(cidr: str) -> None:
    assert networks._parse(cidr) == ipaddress.IPv4Network(cidr)


@pytest.mark.parametrize("cidr", ["10.0.0.0/29", "0.0.0.0/0", "1.1.1.0/24", "::/64", "10.0.0.5/24", "", "10.0.0.0/-1", "\u0661.0.0.0/8"])
def test_any_other_is_refused_with_its_field(cidr: str) -> None:
    with pytest.raises(Invalid) as caught:
        networks._parse(cidr)
    assert caught.value.field == "cidr"


def test_macs_are_local_unicast_and_well_spread() -> None:
    made = {ports._new_mac() for _ in range(1000)}
    assert len(made) == 1000
    assert all(mac.startswith("02:") and len(mac) == 17 for mac in made)
