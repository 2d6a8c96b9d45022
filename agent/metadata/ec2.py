"""EC2's tree of facts about an instance. Pure."""

import ipaddress
import json
import platform
from typing import Any, Union

from agent.metadata.facts import Facts, addresses
from contracts.network import v2 as network

VERSIONS = ("1.0", "2007-01-19", "2009-04-04", "2016-09-02", "2018-09-24", "2020-10-27", "2021-03-23", "latest")
Tree = dict[str, Union[str, "Tree"]]
_DOCUMENT_VERSION = "2017-09-30"


def meta_data(facts: Facts) -> Tree:
    """The tree below `meta-data`: folders as dictionaries, values as text."""
    build, card = facts.build, next(iter(facts.build.cards), None)
    first = _first_address(card)
    tree: Tree = {
        "ami-id": build.image.id,
        "ami-launch-index": "0",
        "block-device-mapping": {"ami": "vda", "root": "/dev/vda"},
        "hostname": facts.hostname,
        "instance-id": build.instance_id,
        "instance-life-cycle": "on-demand",
        "local-hostname": facts.hostname,
        "reservation-id": f"r-{build.instance_id}",
        "services": {"domain": "cloudsite.invalid", "partition": "cloudsite"},
    }
    if build.zone:
        tree["placement"] = {"availability-zone": build.zone, "region": build.zone}
    if first:
        tree["local-ipv4"] = first
    if public := facts.public.get(first):
        tree |= {"public-ipv4": public, "public-hostname": facts.hostname}
    if card:
        tree["mac"] = card.mac
        macs: Tree = {each.mac: _interface(at, each, facts) for at, each in enumerate(build.cards)}
        tree["network"] = {"interfaces": {"macs": macs}}
    if build.public_keys:
        tree["public-keys"] = {
            str(at): {"openssh-key": key.strip()} for at, key in enumerate(build.public_keys.values())
        }
    # A key with a slash could not be told from a folder.
    if tags := {key: value for key, value in build.metadata.items() if key and "/" not in key}:
        tree["tags"] = {"instance": dict(tags)}
    return tree


def for_drive(facts: Facts) -> dict[str, Any]:
    """meta-data as the one JSON text that cloud-init takes from a config drive."""
    wanted = ("instance-id", "hostname", "local-hostname", "local-ipv4", "public-keys")
    tree = meta_data(facts)
    return {"local-ipv4": "", "public-keys": {}} | {name: tree[name] for name in wanted if name in tree}


def listing(tree: Tree, path: tuple[str, ...], facts: Facts) -> str:
    """What is in a folder, a line each, folders with a slash; keys are listed with their names, as EC2 does."""
    if path == ("public-keys",):
        return "\n".join(f"{at}={name}" for at, name in enumerate(facts.build.public_keys))
    return "\n".join(f"{name}/" if isinstance(tree[name], dict) else name for name in sorted(tree))


def identity_document(facts: Facts) -> str:
    """dynamic/instance-identity/document. Not signed: whoever must be sure asks the API."""
    build = facts.build
    document = {
        "accountId": build.project_id,
        "architecture": platform.machine(),
        "availabilityZone": build.zone,
        "imageId": build.image.id,
        "instanceId": build.instance_id,
        "privateIp": _first_address(next(iter(build.cards), None)) or None,
        "region": build.zone,
        "version": _DOCUMENT_VERSION,
    }
    return json.dumps(document, indent=1)


def _interface(number: int, card: network.Card, facts: Facts) -> Tree:
    fours, sixes = addresses(card, 4), addresses(card, 6)
    own = [each.address for each in fours]
    tree: Tree = {
        "device-number": str(number),
        "interface-id": card.id,
        "local-hostname": facts.hostname,
        "mac": card.mac,
        "owner-id": facts.build.project_id,
        "subnet-id": card.network,
    }
    if own:
        tree["local-ipv4s"] = "\n".join(own)
        tree["subnet-ipv4-cidr-block"] = _cidr(fours[0])
    if sixes:
        tree["ipv6s"] = "\n".join(each.address for each in sixes)
        tree["subnet-ipv6-cidr-blocks"] = "\n".join(dict.fromkeys(map(_cidr, sixes)))
    if public := {address: facts.public[address] for address in own if address in facts.public}:
        tree["public-ipv4s"] = "\n".join(public.values())
        tree["ipv4-associations"] = {floating: address for address, floating in public.items()}
    return tree


def _cidr(address: network.CardAddress) -> str:
    return str(ipaddress.ip_network(f"{address.address}/{address.prefix_length}", strict=False))


def _first_address(card: network.Card | None) -> str:
    return next((each.address for each in addresses(card, 4)), "") if card else ""
