"""For commands about networks: finding them, their routers, addresses and groups, by id or by name."""

import uuid
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from apps.common import ids
from apps.common.commands import whole
from apps.common.context import Actor
from apps.common.errors import Conflict, NotFound
from apps.identity.commands import actor_of, add_project, shell
from apps.network import selectors
from apps.network.api import group_shapes
from apps.network.models import FloatingIP, Network, Port, Router, SecurityGroup, Subnet


def add_listing(parser: ArgumentParser, things: str) -> None:
    """The options of lists."""
    add_project(parser)
    parser.add_argument("--all", action="store_true", help=f"{things} of all projects")
    parser.add_argument("--limit", type=whole(1, 100_000), default=1000, help="default: %(default)s")


def who(options: dict[str, Any]) -> Actor:
    """The operator at the shell: in the project that is named, or in none where all are asked for. Raises NotFound."""
    return shell() if options["all"] else actor_of(options)


def network_of(actor: Actor, text: str) -> Network:
    """Raises NotFound."""
    key = ids.parse(text)
    return selectors.shown(actor=actor, network_id=key) if key else selectors.network_named(actor=actor, name=text)


def subnet_of(actor: Actor, text: str) -> Subnet:
    """By id, or by range or name where only one subnet of the project has it. Raises NotFound, Conflict."""
    if key := ids.parse(text):
        return selectors.subnet(actor=actor, subnet_id=key)
    rows = selectors.subnets(actor=actor)
    found = list((rows.filter(cidr=text) if "/" in text else rows.filter(name=text))[:2])
    if not found:
        raise NotFound("subnet.not_found", f"There is no subnet {text!r} in this project.", field="subnet")
    if len(found) > 1:
        raise Conflict("subnet.ambiguous", f"Several subnets of this project are {text!r}: give an id.", field="subnet")
    return found[0]


def port_of(actor: Actor, text: str) -> Port:
    """By id, name or MAC, or by the name of an instance with one port. Raises NotFound, Conflict."""
    key = ids.parse(text)
    return selectors.port(actor=actor, port_id=key) if key else selectors.port_named(actor=actor, name=text)


def router_of(actor: Actor, text: str) -> Router:
    """Raises NotFound."""
    key = ids.parse(text)
    return selectors.router(actor=actor, router_id=key) if key else selectors.router_named(actor=actor, name=text)


def floating_ip_of(actor: Actor, text: str) -> FloatingIP:
    """By id or address. Raises NotFound."""
    key = ids.parse(text)
    return selectors.floating_ip(actor=actor, floating_ip_id=key) if key else selectors.floating_ip_at(actor=actor, address=text)


def group_of(actor: Actor, text: str) -> SecurityGroup:
    """Raises NotFound."""
    key = ids.parse(text)
    return selectors.group(actor=actor, group_id=key) if key else selectors.group_named(actor=actor, name=text)


def group_ids(actor: Actor, names: list[str] | None) -> list[uuid.UUID] | None:
    """None: the default ones. Raises NotFound."""
    return None if names is None else [group_of(actor, name).pk for name in names]


def span(text: str) -> list[str]:
    """A type for arguments: `FIRST-LAST`."""
    first, dash, last = text.partition("-")
    if not dash:
        raise ArgumentTypeError(f"expected FIRST-LAST such as 10.0.0.10-10.0.0.99, got {text!r}")
    return [first.strip(), last.strip()]


def route(text: str) -> dict[str, str]:
    """A type for arguments: `DESTINATION=NEXTHOP`."""
    destination, sign, nexthop = text.partition("=")
    if not sign:
        raise ArgumentTypeError(f"expected DESTINATION=NEXTHOP such as 10.9.0.0/16=10.0.0.254, got {text!r}")
    return {"destination": destination.strip(), "nexthop": nexthop.strip()}


def rule_line(group: dict[str, Any], rule: dict[str, Any], names: dict[uuid.UUID, str]) -> dict[str, Any]:
    """A rule as a line of a table."""
    remote = rule["remote_group_id"]
    return {
        "group": group["name"], "direction": rule["direction"], "family": f"IPv{rule['family']}", "what": group_shapes.ports_text(rule),
        "other_side": f"members of {names.get(remote, remote)}" if remote else rule["cidr"] or "anybody", "rule_id": rule["id"],
    }
