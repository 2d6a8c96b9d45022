"""Two hosts with nothing but their switches."""

from collections.abc import Iterator

import pytest

from contracts.network.v2 import Kind, Network
from tests.real.switch.rules import EGRESS, ready
from tests.real.switchyard import Guest, Host, Yard, a_yard


@pytest.fixture(scope="module")
def ground() -> Iterator[Yard]:
    with a_yard(2) as made:
        yield made


@pytest.fixture
def yard(ground: Yard) -> Iterator[Yard]:
    """Empty; whatever a test desires is gone after it."""
    yield ground
    ground.clear()
    ground.converge()
    for host in ground.hosts:
        left = [name for name in host.switch.database.interfaces("br-int") if name.startswith(("tap", "cs"))]
        assert [name for name in left if not name.startswith("csw")] == []


@pytest.fixture
def here(yard: Yard) -> Host:
    return yard.hosts[0]


@pytest.fixture
def there(yard: Yard) -> Host:
    return yard.hosts[1]


@pytest.fixture(params=["vxlan", "vlan", "flat"])
def net(request: pytest.FixtureRequest, yard: Yard) -> Network:
    kind = Kind(request.param)
    return yard.a_network(kind, {Kind.VXLAN: 5001, Kind.VLAN: 101, Kind.FLAT: None}[kind])


@pytest.fixture
def pair(yard: Yard, here: Host, there: Host) -> tuple[Guest, Guest]:
    """A client and a server on two hosts; nothing may come in but what tests allow the server."""
    net = yard.a_network()
    base = yard.a_group(*EGRESS)
    client, server = yard.a_guest(net, 5, here, groups=[base]), yard.a_guest(net, 6, there, groups=[base])
    ready(yard, client, server)
    return client, server
