"""Tells a wire that addresses are here now: gratuitous ARP and unsolicited neighbour advertisements.

Several times, as a single frame may be lost, and as the bridge may take the sending port in a moment later only.
"""

import ipaddress
import socket
import struct
import threading
from collections.abc import Callable, Iterable

import structlog

from agent.drivers.openvswitch.services.frames import Ends, icmp6
from agent.drivers.openvswitch.services.inside import inside

PAUSES_S = (0.0, 0.4, 0.8, 1.6, 3.2)
_BROADCAST, _ALL_NODES, _ALL_NODES_MAC = "ff:ff:ff:ff:ff:ff", "ff02::1", "33:33:00:00:00:01"
_OVERRIDE = 0x20000000
_REQUEST, _REPLY = 1, 2

log = structlog.get_logger(__name__)


def frames(mac: str, address: str) -> list[bytes]:
    """What says that `address` is at `mac`. Of ARP both kinds, as some heed only one."""
    if ":" in address:
        option = b"\x02\x01" + _bytes(mac)
        message = struct.pack("!BBHI", 136, 0, 0, _OVERRIDE) + ipaddress.IPv6Address(address).packed + option
        return [icmp6(Ends(mac, address, _ALL_NODES_MAC, _ALL_NODES), message)]
    own, packed = _bytes(mac), ipaddress.IPv4Address(address).packed
    header = _bytes(_BROADCAST) + own + struct.pack("!H", 0x0806)
    return [
        header + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + own + packed + target + packed
        for operation, target in ((_REQUEST, bytes(6)), (_REPLY, own))
    ]


class Announcer:
    """Announces in the background what is still here by then."""

    def __init__(self, is_here: Callable[[str, str], bool]) -> None:
        """`is_here`: (namespace, address) → is it still answered for?"""
        self._is_here = is_here
        self._stopped = threading.Event()

    def announce(self, space: str, device: str, mac: str, addresses: Iterable[str]) -> None:
        """Returns at once."""
        work = (space, device, mac, list(addresses))
        threading.Thread(target=self._repeat, args=work, name=f"announce-{space}", daemon=True).start()

    def stop(self) -> None:
        """Announce nothing any more."""
        self._stopped.set()

    def _repeat(self, space: str, device: str, mac: str, addresses: list[str]) -> None:
        for pause_s in PAUSES_S:
            if self._stopped.wait(pause_s):
                return
            if not (left := [address for address in addresses if self._is_here(space, address)]):
                return
            try:
                inside(space, lambda left=left: _send(device, mac, left))  # type: ignore[misc]
            except OSError as error:
                log.info("network.not_announced", namespace=space, addresses=left, error=str(error))


def _send(device: str, mac: str, addresses: list[str]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((device, 0))
        for address in addresses:
            for frame in frames(mac, address):
                wire.send(frame)


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
