"""MACs, without a database."""

from apps.network.services import port_rows


def test_macs_are_local_unicast_and_well_spread() -> None:
    made = {port_rows.new_mac() for _ in range(1000)}
    assert len(made) == 1000
    assert all(mac.startswith("02:") and len(mac) == 17 for mac in made)
