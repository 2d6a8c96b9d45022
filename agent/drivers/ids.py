"""Checks of what a command says before it becomes a path, an interface name or a line in a configuration file."""

import ipaddress
import re
import uuid

from agent.drivers.base import DriverError
from contracts.network import v1 as network

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def checked(value: str, what: str) -> str:
    """`value` itself when it is a UUID in canonical form. Raises DriverError `command.invalid`."""
    try:
        if str(uuid.UUID(value)) == value:
            return value
    except ValueError:
        pass
    raise DriverError("command.invalid", f"{what}: not a UUID in canonical form: {value[:60]!r}", retryable=False)


def checked_port(port: network.Port) -> network.Port:
    """`port` itself when ids, MAC, address and subnet are well-formed and fit together.

    Raises DriverError `command.invalid`.
    """
    checked(port.id, "port")
    checked(port.network.id, "network")
    if not _MAC.fullmatch(port.mac):
        raise _invalid(f"port {port.id}: MAC {port.mac[:40]!r}")
    subnet = port.network.subnet
    try:
        cidr = ipaddress.IPv4Network(subnet.cidr)
        addresses = [ipaddress.IPv4Address(text) for text in (port.address, subnet.gateway)]
        for server in subnet.dns:
            ipaddress.ip_address(server)
    except ValueError as error:
        raise _invalid(f"port {port.id}: {error}") from error
    if any(address not in cidr for address in addresses) or addresses[0] == addresses[1]:
        raise _invalid(f"port {port.id}: address {port.address} and gateway {subnet.gateway} in {subnet.cidr}")
    if not 576 <= port.network.mtu <= 9216:
        raise _invalid(f"network {port.network.id}: MTU {port.network.mtu}")
    return port


def _invalid(message: str) -> DriverError:
    return DriverError("command.invalid", message, retryable=False)
