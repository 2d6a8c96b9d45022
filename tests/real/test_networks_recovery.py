"""What is killed, restarted, lost or broken by hand: guests hardly notice, and hosts come back to what they should have."""

import time
from collections.abc import Callable, Iterator

import pytest

from agent.drivers.openvswitch import names
from tests.real.hosts.cast import Cast
from tests.real.hosts.ground import WORLD4
from tests.real.hosts.host import Host
from tests.real.hosts.place import wait_until
from tests.real.hosts.project import Guest

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

# Of pings every fifth of a second.
EVERY_S = 0.2
# On an idle machine a few of these are lost, three seconds' worth at most; how many is recorded. A busy machine may take longer to start a switch.
RESTART_COUNT, RESTART_LOST = 100, 40


def paths(cast: Cast) -> list[tuple[Guest, str]]:
    """VXLAN, VLAN, between the two, and out."""
    return [
        (cast.r1, cast.r2.address()), (cast.v1, cast.v2.address()), (cast.r2, cast.v1.address(6)), (cast.b1, WORLD4),
    ]


def test_guests_lose_nothing_while_agents_are_killed_and_start_again(cast: Cast) -> None:
    pings = [guest.pinging(to, count=50, interval_s=EVERY_S) for guest, to in paths(cast)]
    before = {host: cast.yard.told(host) for host in cast.yard.hosts[:2]}
    for host in before:
        host.kill_agent()
    time.sleep(1)  # without agents for a while; what is lost now would show
    for host in before:
        host.start_agent_again()
    lost = [each.lost() for each in pings]
    assert max(lost) <= 3, lost  # in the second without agents there are five
    for host, since in before.items():
        cast.yard.wait_told(host, since=since)


def test_guests_lose_a_few_pings_while_the_switch_restarts(cast: Cast, record_property: Callable[[str, object], None]) -> None:
    pings = [guest.pinging(to, count=RESTART_COUNT, interval_s=EVERY_S) for guest, to in paths(cast)]
    cast.yard.hosts[0].restart_switch()
    lost = [each.lost() for each in pings]
    record_property(f"lost of {RESTART_COUNT} pings, every {EVERY_S} s", lost)
    print(f"lost of {RESTART_COUNT} pings, every {EVERY_S} s: {lost}")
    assert max(lost) <= RESTART_LOST


@pytest.fixture
def lonely(cast: Cast) -> Iterator[str]:
    """A group that lets nothing in; `r3` is not in it before and after."""
    before, group = cast.r3.groups(), cast.red.group("lonely")
    yield group
    cast.r3.set_groups(*before)
    cast.red.call("groups:delete", group_id=group)
    cast.r1.comes_to_ping(cast.r3.address())


def test_what_was_decided_while_all_messages_were_lost_comes_to_hold(cast: Cast, lonely: str) -> None:
    cast.r1.comes_to_ping(cast.r3.address())
    cast.yard.stack.kill("redis")
    try:
        cast.r3.set_groups(lonely)
    finally:
        cast.yard.stack.start_again("redis")
    took = wait_until(lambda: not cast.r1.pings(cast.r3.address()), "the closed group holds", 90)
    print(f"closed {took:.1f} s after the broker came back empty")


def test_a_change_made_while_an_agent_was_dead_comes_to_hold_when_it_is_back(cast: Cast, lonely: str) -> None:
    host = cast.r3.host
    cast.r1.comes_to_ping(cast.r3.address())
    host.kill_agent()
    cast.r3.set_groups(lonely)
    host.start_agent_again()
    took = wait_until(lambda: not cast.r1.pings(cast.r3.address()), "the closed group holds", 90)
    print(f"closed {took:.1f} s after the agent's start")


def test_an_agent_that_starts_without_a_broker_restores_what_it_knew(cast: Cast) -> None:
    host = cast.r1.host
    before = cast.yard.told(host)
    cast.yard.stack.kill("redis")
    try:
        host.kill_agent()
        host.run("ovs-ofctl", "-O", "OpenFlow15", "del-flows", "br-int")
        wait_until(lambda: not cast.r1.pings(cast.r2.address()), "without flows nothing passes", 30)
        host.start_agent_again()
        took = cast.r1.comes_to_ping(cast.r2.address(), 90)
        print(f"restored {took:.1f} s after the agent's start")
    finally:
        cast.yard.stack.start_again("redis")
    cast.yard.wait_told(host, since=before)


def test_a_port_that_was_removed_by_hand_is_put_back(cast: Cast) -> None:
    gateway = names.gateway_port(cast.red_net["id"])
    host = cast.r1.host
    cast.r1.comes_to_ping("10.64.0.1")
    host.vsctl("del-port", "br-int", gateway)
    took = cast.r1.comes_to_ping("10.64.0.1", 90)
    print(f"mended after {took:.1f} s")


def test_flows_that_were_removed_by_hand_are_put_back_and_those_that_were_added_go(cast: Cast) -> None:
    host = cast.r1.host
    stranger = "table=0,priority=65000,cookie=0xbad,in_port=4242,actions=drop"
    host.run("ovs-ofctl", "-O", "OpenFlow15", "del-flows", "br-int")
    host.run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", "br-int", stranger)
    took = cast.r1.comes_to_ping(cast.r2.address(), 90)
    print(f"mended after {took:.1f} s")
    wait_until(lambda: "0xbad" not in flows(host), "the stranger is gone", 90)


def test_nothing_is_left_of_a_deleted_guest_on_any_host(cast: Cast) -> None:
    guest = cast.red.boot("short-lived", host=cast.yard.hosts[1]).ready()
    traces = {guest.mac(), guest.address(4), guest.address(6), guest.tap(), guest.port()}
    cast.r1.comes_to_ping(guest.address())
    assert traces_on(cast.r1.host, traces), "a test that finds nothing must have been able to find something"
    dead = cast.yard.hosts[2]
    dead.kill_agent()
    guest.delete()
    dead.start_agent_again()
    for host in cast.yard.hosts:
        forgets(host, traces, within_s=90)


def flows(host: Host) -> str:
    return host.run("ovs-ofctl", "-O", "OpenFlow15", "--no-names", "dump-flows", "br-int")


def forgets(host: Host, traces: set[str], *, within_s: float) -> None:
    until = time.monotonic() + within_s
    while left := traces_on(host, traces):
        assert time.monotonic() < until, f"{host.name} still has:\n" + "\n".join(left)
        time.sleep(0.2)


def traces_on(host: Host, traces: set[str]) -> list[str]:
    """Lines in which one of these words occurs: flows, groups, ports, neighbours, forwarding, rules, and the agent's own files."""
    commands = [
        "ovs-vsctl --columns=name,external_ids list Interface", "ip -d link", "bridge fdb",
        # Neighbours that the kernel has met by itself are left to its own clock.
        "for n in $(ls /run/netns); do ip -n $n neigh show nud permanent; ip -n $n neigh show proxy; ip -n $n route; ip netns exec $n nft list ruleset; done",
        f"grep -r . {host.folder}/agent/network /run/cloudsite 2>/dev/null; true",
    ]
    told = flows(host) + "".join(host.run("sh", "-c", command) for command in commands)
    return [line for line in told.splitlines() if any(word in line for word in traces)]
