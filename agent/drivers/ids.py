"""Checks of what a command says before it becomes a path, an interface name or a line in a configuration file."""

import ipaddress
import re
import uuid

from agent.drivers.base import DriverError
from contracts.network import v2 as network

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def checked(value: str, what: str) -> str:
    """`value` itself when it is a UUID in canonical form. Raises DriverError `command.invalid`."""
    try:
        if str(uuid.UUID(value)) == value:
            return value
    except ValueError:
        pass
    raise DriverError("command.invalid", f"{what}: not a UUID in canonical form: {value[:60]!r}", retryable=False)


def checked_card(card: network.Card) -> network.Card:
    """`card` itself when ids, MAC, MTU and addresses are well-formed. Raises DriverError `command.invalid`."""
    checked(card.id, "card")
    checked(card.network, "network")
    if not MAC.fullmatch(card.mac):
        raise _invalid(f"card {card.id}: MAC {card.mac[:40]!r}")
    if not 576 <= card.mtu <= 9216:
        raise _invalid(f"card {card.id}: MTU {card.mtu}")
    try:
        for address in card.addresses:
            ipaddress.ip_interface(f"{address.address}/{address.prefix_length}")
            for other in (address.gateway, *address.dns, *(route.nexthop for route in address.routes)):
                ipaddress.ip_address(other or "::")
            for route in address.routes:
                ipaddress.ip_network(route.destination)
    except ValueError as error:
        raise _invalid(f"card {card.id}: {error}") from error
    return card


def _invalid(message: str) -> DriverError:
    return DriverError("command.invalid", message, retryable=False)
