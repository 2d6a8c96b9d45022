"""The guests that the tests share, on three hosts. Two projects with the same ranges of addresses, everything else by default.

`red` has a guest on each host in its default network (VXLAN) and two in a VLAN network behind the same router; `blue`
has two in its default network, with the same addresses, and one in a VLAN network, on the same hosts.
"""

from typing import Any

from tests.real.hosts.host import PHYSICAL
from tests.real.hosts.place import PlaceError, wait_until
from tests.real.hosts.project import Guest
from tests.real.hosts.yard import Yard

VLANS = (100, 199)
VLAN4, VLAN6 = "10.20.0.0/24", "fd20::/64"
VLAN_DNS = "198.51.100.53"
VLAN_ROUTE = {"destination": "198.51.100.128/25", "nexthop": "10.20.0.9"}


class Cast:
    """`red_net`, `blue_net`, `red_vlan`, `blue_vlan`: fields of the networks."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        one, two, three = yard.hosts
        self.red, self.blue = yard.project("red"), yard.project("blue")
        self.red_net, self.blue_net = self.red.default_network(), self.blue.default_network()
        self.r1, self.r2, self.r3 = (
            self.red.boot(f"r{number}", host=host, network=self.red_net["id"], address=f"10.64.0.1{number}")
            for number, host in enumerate(yard.hosts, 1)
        )
        self.b1, self.b2 = (
            self.blue.boot(f"b{number}", host=host, network=self.blue_net["id"], address=f"10.64.0.1{number}")
            for number, host in enumerate((one, two), 1)
        )
        self._add_vlans()
        self.red_vlan, self.blue_vlan = self._vlan_of(self.red, self.red_net), self._vlan_of(self.blue, self.blue_net)
        self.v1 = self.red.boot("v1", host=one, network=self.red_vlan["id"])
        self.v2 = self.red.boot("v2", host=two, network=self.red_vlan["id"])
        self.w2 = self.blue.boot("w2", host=two, network=self.blue_vlan["id"])
        self.guests: list[Guest] = [self.r1, self.r2, self.r3, self.b1, self.b2, self.v1, self.v2, self.w2]
        self.third = three
        for guest in self.guests:
            guest.ready()

    def leave(self) -> None:
        """All are deleted, and nothing is left of them on any host. Raises PlaceError."""
        for guest in self.guests:
            guest.ask_to_go()
        for guest in self.guests:
            guest.delete()
        for host in self.yard.hosts:
            try:
                wait_until(lambda host=host: not host.leftovers(), "", 90)  # type: ignore[misc]
            except PlaceError:
                raise PlaceError(f"left on {host.name}: {', '.join(host.leftovers())}") from None

    def _add_vlans(self) -> None:
        """From now on new networks are VLANs, because their pool comes first."""
        self.yard.call("apps.network.services.pools:add_wire", name=PHYSICAL)
        self.yard.call(
            "apps.network.services.pools:add", kind="vlan", physical_network=PHYSICAL, first=VLANS[0], last=VLANS[1], position=1
        )

    @staticmethod
    def _vlan_of(project: Any, default: dict[str, Any]) -> dict[str, Any]:
        four = {"cidr": VLAN4, "dns": [VLAN_DNS], "routes": [VLAN_ROUTE]}
        six = {"cidr": VLAN6, "ipv6_mode": "slaac"}
        return dict(project.network("vlan", router=default["router_id"], subnets=(four, six)))
