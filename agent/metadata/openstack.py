"""OpenStack's documents about an instance. Pure."""

import ipaddress
import json
from typing import Any

from agent.metadata.facts import Facts
from contracts.network import v2 as network

VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "latest",
)
_TYPES = {"dhcp": "ipv4_dhcp", "dhcpv6": "ipv6_dhcpv6-stateful", "slaac": "ipv6_slaac"}


def files(facts: Facts) -> dict[str, bytes]:
    """Name → content of everything in one version's folder. Raises ValueError for user data that is no base64."""
    content = {
        "meta_data.json": _json(meta_data(facts)),
        "network_data.json": _json(network_data(facts.build.cards)),
        "vendor_data.json": b"{}",
        "vendor_data2.json": b"{}",
    }
    if facts.user_data:
        content["user_data"] = facts.user_data
    return content


def meta_data(facts: Facts) -> dict[str, Any]:
    """meta_data.json."""
    build = facts.build
    keys = [{"name": name, "type": "ssh", "data": key} for name, key in build.public_keys.items()]
    content = {
        "uuid": build.instance_id,
        "name": build.name,
        "hostname": facts.hostname,
        "launch_index": 0,
        "project_id": build.project_id,
        "meta": build.metadata,
        "public_keys": build.public_keys,
        "keys": keys,
        "devices": [{"type": "nic", "mac": card.mac, "tags": []} for card in build.cards],
    }
    if build.zone:
        content["availability_zone"] = build.zone
    return content


def network_data(cards: list[network.Card]) -> dict[str, Any]:
    """network_data.json: per card a link, and per address how the guest gets it."""
    links: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    services: dict[str, dict[str, str]] = {}
    for at, card in enumerate(cards):
        link = f"link{at}"
        links.append({"id": link, "type": "phy", "vif_id": card.id, "ethernet_mac_address": card.mac, "mtu": card.mtu})
        seen: set[str] = set()
        for each in card.addresses:
            kind = _TYPES.get(each.mode, "")
            # One client per card asks for all its addresses at once.
            if kind not in seen or not kind:
                networks.append(_network(len(networks), link, card, each))
            seen.add(kind)
            services |= {server: {"type": "dns", "address": server} for server in each.dns}
    return {"links": links, "networks": networks, "services": list(services.values())}


def _network(number: int, link: str, card: network.Card, address: network.CardAddress) -> dict[str, Any]:
    common = {"id": f"network{number}", "link": link, "network_id": card.network}
    if address.mode in _TYPES:
        return {**common, "type": _TYPES[address.mode]}
    interface = ipaddress.ip_interface(f"{address.address}/{address.prefix_length}")
    everything = "0.0.0.0/0" if interface.version == 4 else "::/0"
    routes = [_route(each.destination, each.nexthop) for each in address.routes]
    if address.gateway and all(each.destination != everything for each in address.routes):
        routes.append(_route(everything, address.gateway))
    return {
        **common,
        "type": f"ipv{interface.version}",
        "ip_address": address.address,
        "netmask": str(interface.netmask),
        "routes": routes,
        "services": [{"type": "dns", "address": server} for server in address.dns],
    }


def _route(destination: str, gateway: str) -> dict[str, str]:
    net = ipaddress.ip_network(destination, strict=False)
    return {"network": str(net.network_address), "netmask": str(net.netmask), "gateway": gateway}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode()
