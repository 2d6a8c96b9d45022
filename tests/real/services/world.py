"""Three networks with their services and the guests on them; what the tests here ask of them in common."""

import base64
import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.drivers.openvswitch.services import Services
from agent.drivers.openvswitch.services.nameserver import NameServer
from agent.network.desired import Desired
from contracts.compute import v1 as compute1
from contracts.compute import v2 as compute
from contracts.network import v2 as network
from tests.real.segment import Client, Segment

SECRET = b"#!/bin/sh\nsecret of web\xff\n"


def an_id() -> str:
    return str(uuid.uuid4())


class World:
    """Three networks: `plain` and `custom` behind one router, `alone` behind none; `web`, `db`, `cache`, `lone` on them."""

    def __init__(self, folder: Path) -> None:
        self.router = network.Router(id=an_id())
        self.plain = network.Network(
            id=an_id(),
            kind=network.Kind.VXLAN,
            mtu=1400,
            router=self.router.id,
            subnets=[
                network.Subnet(id="p4", cidr="10.64.0.0/20", gateway="10.64.0.1", routed=True),
                network.Subnet(id="p6", cidr="fd64::/64", gateway="fd64::1", routed=True, ipv6_mode="dhcpv6"),
            ],
        )
        routes = [network.Route(destination="172.16.0.0/12", nexthop="10.65.0.9")]
        self.custom = network.Network(
            id=an_id(),
            kind=network.Kind.VXLAN,
            router=self.router.id,
            domain="shop.example",
            subnets=[
                network.Subnet(
                    id="c4", cidr="10.65.0.0/24", gateway="10.65.0.1", routed=True, dns=["9.9.9.9"], routes=routes
                ),
                network.Subnet(
                    id="c6", cidr="fd65::/64", gateway="fd65::1", routed=True, ipv6_mode="slaac", dns=["fd65::53"]
                ),
                network.Subnet(id="quiet", cidr="10.66.0.0/24", gateway="10.66.0.1", routed=True, dhcp=False),
            ],
        )
        self.alone = network.Network(
            id=an_id(),
            kind=network.Kind.VXLAN,
            subnets=[
                network.Subnet(id="a4", cidr="10.64.0.0/20", gateway="10.64.0.1"),
                network.Subnet(id="a6", cidr="fd64::/64", gateway="fd64::1", ipv6_mode="dhcpv6"),
            ],
        )
        self.web = self.port(self.plain, "Web Server", p4="10.64.0.5", p6="fd64::5")
        self.db = self.port(self.custom, "db", c4="10.65.0.5", quiet="10.66.0.5")
        self.cache = self.port(self.plain, "", p4="10.64.0.6")
        self.mute = self.port(self.custom, "mute", quiet="10.66.0.6")
        self.lone = self.port(self.alone, "lone", a4="10.64.0.5", a6="fd64::5")
        self.builds = {port.instance: self.build(port) for port in (self.web, self.db, self.cache, self.lone)}
        self.desired = self.state(1)
        self.segment = Segment(folder, self.desired)
        self.services = self.new_services(folder)
        self.folder = folder

    def new_services(self, folder: Path) -> Services:
        return Services(folder / "names", self.builds.get, b"k" * 32)

    def port(self, net: network.Network, name: str, **addresses: str) -> network.Port:
        return network.Port(
            id=an_id(),
            network=net.id,
            mac="fa:16:3e:" + os.urandom(3).hex(":"),
            addresses=[network.Address(subnet=subnet, address=address) for subnet, address in addresses.items()],
            here=True,
            instance=an_id(),
            name=name,
        )

    def build(self, port: network.Port) -> compute.Build:
        card = network.Card(id=port.id, network=port.network, mac=port.mac, mtu=1400)
        return compute.Build(
            instance_id=port.instance,
            project_id=an_id(),
            name=port.name,
            vcpus=1,
            memory_mb=128,
            disk_gb=1,
            image=compute1.Image(id="i", url="", sha256="", size_bytes=0, disk_format=compute1.DiskFormat.RAW),
            cards=[card],
            user_data=base64.b64encode(SECRET).decode() if port.name == "Web Server" else "",
            public_keys={"mine": "ssh-ed25519 AAAA me"},
        )

    def state(self, generation: int, *extra: network.Port) -> Desired:
        ports = [self.web, self.db, self.cache, self.mute, self.lone, *extra]
        objects = network.Objects(networks=[self.plain, self.custom, self.alone], ports=ports, routers=[self.router])
        return Desired.of(network.State(generation=generation, objects=objects))

    def converge(self, desired: Desired) -> None:
        outcome = self.services.converge(desired)
        assert outcome.problems == [], outcome.problems
        self.desired = desired


def routes6(client: Client) -> list[dict[str, Any]]:
    return list(json.loads(client.run("ip", "-6", "-j", "route", "show")))


def servers(world: World) -> dict[str, int | None]:
    folder = world.folder / "names"
    return {path.name: NameServer(path, path.name).pid() for path in folder.iterdir()}


def until(what: Callable[[], Any], within_s: float = 45.0) -> Any:
    end = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)
    return found
