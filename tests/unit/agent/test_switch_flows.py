"""The flows of the bridge as data: how many there are, that they stay the same, and the arithmetic in them.

What they let pass is tried on a real switch, in tests/real/switch.
"""

import itertools
import random
import uuid
from pathlib import Path

import msgspec
import pytest

from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.allotment import MOST, Allotment, Exhausted, Pool
from agent.drivers.openvswitch.switch import plan as planning
from agent.drivers.openvswitch.switch.flows import flows
from agent.drivers.openvswitch.switch.flows.flow import Flow, Flows, Table
from agent.drivers.openvswitch.switch.flows.ranges import masks
from agent.drivers.openvswitch.switch.plan import link_local
from agent.drivers.openvswitch.switch.tunnels import EVERYBODY, tunnel
from agent.network.desired import Desired
from contracts.network import v2 as network

NET = network.Network(
    id=str(uuid.UUID(int=1 << 64)), kind=network.Kind.VXLAN, segment=1000,
    subnets=[network.Subnet(id="four", cidr="10.64.0.0/16", gateway="10.64.0.1", routed=True)],
)  # fmt: skip
RULES = (Table.RULES_EGRESS, Table.RULES_INGRESS, Table.PLAIN_EGRESS, Table.PLAIN_INGRESS)


def uid(number: int) -> str:
    return str(uuid.UUID(int=number))


GROUP, FRIENDS = uid(900), uid(901)


def a_port(number: int, *, here: bool = True, **more: object) -> network.Port:
    return network.Port(
        id=uid(number), network=NET.id, mac=f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}",
        addresses=[network.Address(subnet="four", address=f"10.64.{number >> 8}.{number & 255}")],
        here=here, host="" if here else "10.0.0.2", groups=[GROUP] if here else [], **more,  # type: ignore[arg-type]
    )  # fmt: skip


def a_state(ports: list[network.Port], rules: list[network.Rule], members: int = 0) -> Desired:
    made = [
        network.Member(id=f"{FRIENDS}/{n}", group=FRIENDS, addresses=[f"10.65.{n >> 8}.{n & 255}"]) for n in range(members)
    ]
    objects = network.Objects(networks=[NET], ports=ports, groups=[network.Group(id=GROUP, rules=rules)], members=made)
    return Desired.of(network.State(generation=1, objects=objects))


def a_plan(desired: Desired, allotment: Allotment) -> planning.Plan:
    devices = [names.gateway_port(NET.id), names.vxlan(NET.id), *(names.tap(port.id) for port in desired.here())]
    return planning.make(
        desired, ofports={name: number for number, name in enumerate(sorted(devices), 1)}, wires={}, allotment=allotment,
        host_id="host-1", tracked=frozenset({1, 58, 6, 17}),
    )  # fmt: skip


@pytest.fixture
def allotment(tmp_path: Path) -> Allotment:
    return Allotment(tmp_path / "numbers.json")


def made(desired: Desired, allotment: Allotment) -> list[Flow]:
    return flows(a_plan(desired, allotment))


def of_rules(found: list[Flow]) -> int:
    return sum(flow.table in RULES for flow in found)


# --- how many --------------------------------------------------------------------------------------------------------


def test_rules_about_a_group_cost_rules_plus_members(allotment: Allotment) -> None:
    def cost(rules: int, members: int) -> int:
        about = [network.Rule(ingress=True, family=4, protocol=6, first=n, last=n, group=FRIENDS) for n in range(1, rules + 1)]
        return of_rules(made(a_state([a_port(5)], about, members), allotment))

    assert cost(20, 500) - cost(20, 100) == 400
    assert cost(40, 100) - cost(20, 100) == 20


def test_ports_with_the_same_groups_share_their_rules(allotment: Allotment) -> None:
    rules = [network.Rule(ingress=True, family=4, protocol=6, first=n, last=n) for n in range(1, 30)]
    few = of_rules(made(a_state([a_port(n) for n in range(5, 7)], rules), allotment))
    many = of_rules(made(a_state([a_port(n) for n in range(5, 60)], rules), allotment))
    assert few == many


def test_a_port_elsewhere_costs_few_flows(allotment: Allotment) -> None:
    near = [a_port(5)]
    few = len(made(a_state(near, []), allotment))
    many = len(made(a_state([*near, *(a_port(n, here=False) for n in range(100, 200))], []), allotment))
    assert many - few == 300


def test_a_group_that_is_new_touches_only_what_it_concerns(allotment: Allotment) -> None:
    ports = [a_port(n) for n in range(5, 10)]
    rule = network.Rule(ingress=True, family=4, protocol=6, first=80, last=80, group=FRIENDS)
    before = {flow.text() for flow in made(a_state(ports, [rule], 10), allotment)}
    after = {flow.text() for flow in made(a_state(ports, [rule], 11), allotment)}
    assert before < after and len(after - before) == 1


# --- that they stay the same -------------------------------------------------------------------------------------------


def test_the_flows_of_a_restarted_agent_are_the_same(tmp_path: Path) -> None:
    ports = [a_port(n) for n in range(5, 30)]
    rules = [network.Rule(ingress=True, family=4, group=FRIENDS), network.Rule(ingress=False, family=4)]
    desired = a_state(ports, rules, 10)
    first = Allotment(tmp_path / "numbers.json")
    before = {flow.text() for flow in made(desired, first)}
    first.save()
    shuffled = list(desired.ports.values())
    random.Random(1).shuffle(shuffled)
    again = a_state(shuffled, rules, 10)
    assert {flow.text() for flow in made(again, Allotment(tmp_path / "numbers.json"))} == before


def test_no_two_flows_of_one_match_contradict_each_other(allotment: Allotment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch would keep one of them, and nobody could say which."""
    seen: dict[str, set[str]] = {}
    add = Flows.add

    def noted(self: Flows, table: Table, priority: int, match: object, actions: str, *, whose: int = 0) -> None:
        text = match if isinstance(match, str) else ",".join(filter(None, match))  # type: ignore[call-overload]
        seen.setdefault(f"{table} {priority} {sorted(text.split(','))}", set()).add(actions)
        add(self, table, priority, match, actions, whose=whose)  # type: ignore[arg-type]

    monkeypatch.setattr(Flows, "add", noted)
    ports = [
        a_port(5), a_port(6, security=False), a_port(7, pairs=[network.Pair(cidr="10.64.9.9/32")]), a_port(8, here=False),
        a_port(9, pairs=[network.Pair(cidr="10.64.9.9/32"), network.Pair(cidr="10.64.0.9/32"), network.Pair(cidr="0.0.0.0/0")]),
        a_port(10, up=False), a_port(11, here=False, security=False),
    ]  # fmt: skip
    rules = [
        network.Rule(ingress=True, family=family, protocol=protocol, first=first, group=group)
        for family, protocol, first, group in itertools.product((4, 6), (None, 1, 6, 47), (None, 3), ("", FRIENDS))
    ]
    found = made(a_state(ports, rules, 3), allotment)
    assert {key: actions for key, actions in seen.items() if len(actions) > 1} == {}
    assert len({flow.key for flow in found}) == len(found)
    assert not any("\n" in flow.text() for flow in found)


def test_a_number_given_back_rests(allotment: Allotment) -> None:
    """What still looks for the old owner under it must not find the new one."""
    first, second = allotment.number(Pool.ZONE, "a"), allotment.number(Pool.ZONE, "b")
    allotment.release(Pool.ZONE, "a")
    assert allotment.number(Pool.ZONE, "c") not in (first, second)
    assert allotment.number(Pool.ZONE, "b") == second


def test_numbers_come_again_before_they_run_out(allotment: Allotment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOST, Pool.NETWORK, 3)
    for key in "abc":
        allotment.number(Pool.NETWORK, key)
    allotment.release(Pool.NETWORK, "b")
    assert allotment.number(Pool.NETWORK, "d") == 2
    with pytest.raises(Exhausted):
        allotment.number(Pool.NETWORK, "e")


def test_an_allotment_that_cannot_be_read_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "numbers.json").write_text('{"zone": {"a": "x"}}')
    assert Allotment(tmp_path / "numbers.json").number(Pool.ZONE, "a") == 1


# --- arithmetic ----------------------------------------------------------------------------------------------------------


def covered(first: int, last: int) -> list[int]:
    found = []
    for text in masks(first, last):
        value, _, mask = text.partition("/")
        keep = int(mask, 16) if mask else 0xFFFF
        found += [number for number in range(65536) if number & keep == int(value, 0) & keep]
    return sorted(found)


@pytest.mark.parametrize(
    ("first", "last"), [(0, 65535), (0, 0), (65535, 65535), (1, 65535), (0, 65534), (80, 80), (1000, 2000), (32767, 32768)]
)
def test_a_range_is_covered_exactly_and_without_overlap(first: int, last: int) -> None:
    assert covered(first, last) == list(range(first, last + 1))


def test_ranges_take_few_masks() -> None:
    assert len(list(masks(1, 65534))) == 30
    assert list(masks(1024, 2047)) == ["0x0400/0xfc00"]


def test_a_link_local_address_is_made_from_the_mac() -> None:
    assert link_local("fa:16:3e:00:00:05") == "fe80::f816:3eff:fe00:5"


# --- tunnels -------------------------------------------------------------------------------------------------------------


def test_a_tunnel_knows_every_mac_that_is_elsewhere_and_floods_only_where_ports_are() -> None:
    pair = network.Pair(cidr="10.64.9.9/32", mac="00:00:5e:00:01:01")
    ports = [
        a_port(5), a_port(6, here=False, pairs=[pair]), msgspec.structs.replace(a_port(7, here=False), host="10.0.0.3"),
        msgspec.structs.replace(a_port(8, here=False), host=""),
    ]  # fmt: skip
    wanted = tunnel(NET, ports, local="10.0.0.1", port=4789)
    assert wanted.table == {
        (EVERYBODY, "10.0.0.2"), (EVERYBODY, "10.0.0.3"), ("fa:16:3e:00:00:06", "10.0.0.2"),
        ("00:00:5e:00:01:01", "10.0.0.2"), ("fa:16:3e:00:00:07", "10.0.0.3"),
    }  # fmt: skip
