"""The life of a host, as data."""

from apps.hosts.states import MACHINE, HostState


def test_a_host_is_up_or_down_and_never_new_again() -> None:
    assert {"enrolled": {"up"}, "up": {"down"}, "down": {"up"}} == MACHINE
    assert set(MACHINE) == {state.value for state in HostState}
