"""The desired state: what a change puts and takes, and what goes with what goes."""

import msgspec
import pytest

from agent.drivers.simulated.network import SimulatedNetwork
from agent.network.desired import Desired, Stale
from contracts.network import v2


def network(id_: str, router: str = "") -> v2.Network:
    return v2.Network(id=id_, kind=v2.Kind.VXLAN, segment=1000, router=router)


def port(id_: str, network_id: str, **fields: object) -> v2.Port:
    return msgspec.structs.replace(v2.Port(id=id_, network=network_id, mac="02:00:00:00:00:01"), **fields)


def member(group: str, port_id: str, *addresses: str) -> v2.Member:
    return v2.Member(id=f"{group}/{port_id}", group=group, addresses=list(addresses))


@pytest.fixture
def desired() -> Desired:
    objects = v2.Objects(
        networks=[network("n1", "r1"), network("n2")],
        ports=[port("p1", "n1", here=True), port("p2", "n1"), port("p3", "n2", here=True)],
        routers=[v2.Router(id="r1")],
        floating=[v2.Floating(id="f1", address="203.0.113.1", fixed="10.0.0.2", port="p1", router="r1")],
        members=[member("g1", "p2", "10.0.0.3"), member("g1", "p9", "10.0.9.9"), member("g2", "p2", "10.0.0.3")],
    )
    return Desired.of(v2.State(generation=5, objects=objects))


def test_a_change_replaces_whole_objects_and_leaves_the_others_alone(desired: Desired) -> None:
    new = desired.changed(v2.Change(base=5, generation=6, objects=v2.Objects(ports=[port("p2", "n1", up=False)])))
    assert (new.generation, new.ports["p2"].up, new.ports["p1"]) == (6, False, desired.ports["p1"])
    assert desired.ports["p2"].up


def test_a_change_from_elsewhere_is_stale(desired: Desired) -> None:
    with pytest.raises(Stale):
        desired.changed(v2.Change(base=4, generation=6))


def test_a_network_takes_its_ports_with_it_and_a_router_its_floating_addresses(desired: Desired) -> None:
    new = desired.changed(v2.Change(base=5, generation=6, gone=v2.Gone(networks=["n1"], routers=["r1"])))
    assert (set(new.networks), set(new.ports), dict(new.routers), dict(new.floating)) == ({"n2"}, {"p3"}, {}, {})


def test_a_group_that_is_named_no_more_takes_its_members_and_only_those(desired: Desired) -> None:
    new = desired.changed(v2.Change(base=5, generation=6, gone=v2.Gone(named=["g1"])))
    assert set(new.members) == {"g2/p2"}
    assert new.addresses_of("g1") == set()
    assert new.addresses_of("g2") == {"10.0.0.3"}


def test_what_goes_and_comes_in_one_change_is_there(desired: Desired) -> None:
    change = v2.Change(
        base=5, generation=6, gone=v2.Gone(named=["g1"], networks=["n1"], ports=["p3"]),
        objects=v2.Objects(members=[member("g1", "p7", "10.0.0.7")], ports=[port("p4", "n1"), port("p3", "n2")], networks=[network("n1")]),
    )
    new = desired.changed(change)
    assert (set(new.members), set(new.ports), set(new.networks)) == ({"g1/p7", "g2/p2"}, {"p3", "p4"}, {"n1", "n2"})


def test_what_is_kept_in_a_file_is_what_was_told(desired: Desired) -> None:
    kept = msgspec.json.decode(msgspec.json.encode(desired.state()), type=v2.State)
    assert Desired.of(kept) == desired


def test_a_simulated_host_remembers_cards_and_what_it_should_be(desired: Desired) -> None:
    driver = SimulatedNetwork()
    driver.plug(v2.Card(id="c1", network="n1", mac="02:00:00:00:00:01", mtu=1450), "i1")
    driver.problems, driver.mended = [v2.Problem(code="x", message="y")], ["a flow"]

    assert driver.converge(desired).mended == ["a flow"]
    again = driver.converge(desired)

    assert (again.mended, [problem.code for problem in again.problems]) == ([], ["x"])
    assert driver.desired is desired
    assert [card.id for card in driver.cards_of("i1")] == ["c1"]
    assert driver.residue() == {"i1": ["card"]}
    driver.unplug("c1")
    assert driver.residue() == {}
