"""Hears what guests ask by DHCP, DHCPv6 and router solicitation, and answers.

It reads and writes whole frames on the gateway's device: who asks is then known by the frame's sender, which the switch
has checked, and networks are served on which the host has no address.
"""

import asyncio
import ctypes
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import structlog

from agent.drivers.openvswitch.services import advertise, dhcp4, dhcp6, frames
from agent.drivers.openvswitch.services.plan import Link

log = structlog.get_logger(__name__)

# Unasked advertisements: at once, twice soon after for who missed it, then from time to time.
SOON_S, REPEAT_S = (0.0, 2.0, 8.0), 450.0
# So many frames in one go, then a pause: a guest that floods takes no more than a little of this host's time.
BURST, PAUSE_S = 64, 0.05
_ETH_P_ALL, _MAX_FRAME = 0x0003, 65536
_SO_ATTACH_FILTER, _SOL_PACKET, _PACKET_IGNORE_OUTGOING = 26, 263, 23

# Operation, jump if true, jump if false, operand. All but the three kinds of questions stays in the kernel.
_PROGRAM = (
    (0x28, 0, 0, 12),  # half word: EtherType
    (0x15, 0, 7, 0x0800),
    (0x30, 0, 0, 23),  # IPv4: protocol
    (0x15, 0, 14, 17),
    (0x28, 0, 0, 20),  # no later fragments
    (0x45, 12, 0, 0x1FFF),
    (0xB1, 0, 0, 14),  # header length
    (0x48, 0, 0, 16),  # UDP: destination port
    (0x15, 8, 9, 67),
    (0x15, 0, 8, 0x86DD),
    (0x30, 0, 0, 20),  # IPv6: next header
    (0x15, 0, 2, 17),
    (0x28, 0, 0, 56),
    (0x15, 3, 4, 547),
    (0x15, 0, 3, 58),
    (0x30, 0, 0, 54),  # ICMPv6: type
    (0x15, 0, 1, 133),
    (0x06, 0, 0, _MAX_FRAME),
    (0x06, 0, 0, 0),
)


@dataclass(eq=False)
class Ear:
    """The open sockets of one network. `place`: which device of which namespace they are on."""

    place: tuple[int, int]
    wire: socket.socket
    others: list[socket.socket]
    link: Link
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    def close(self) -> None:
        for timer in self.timers:
            timer.cancel()
        for each in (self.wire, *self.others):
            each.close()


def listen(device: str) -> tuple[socket.socket, list[socket.socket]]:
    """The wire's socket, and those to be kept open beside it, on a device of this thread's namespace. Raises OSError."""
    with ExitStack() as opened:
        wire = opened.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        wire.setblocking(False)
        _attach_filter(wire)
        with suppress(OSError):  # a kernel older than 4.20; what was sent is of no kind that is heard anyway
            wire.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        # Nothing is heard before this, so nothing gets past the filter.
        wire.bind((device, _ETH_P_ALL))
        others = [opened.enter_context(_placeholder(family, device)) for family in (socket.AF_INET, socket.AF_INET6)]
        opened.pop_all()
    return wire, others


class Responder:
    """All methods are called in the thread of the event loop."""

    def __init__(self) -> None:
        self.ears: dict[str, Ear] = {}

    def place(self, network_id: str) -> tuple[int, int] | None:
        """Where a network is heard, None if nowhere."""
        ear = self.ears.get(network_id)
        return ear.place if ear else None

    def open(self, ear: Ear) -> None:
        """Begin to answer, in place of what was open for the network."""
        self.close(ear.link.network_id)
        self.ears[ear.link.network_id] = ear
        asyncio.get_running_loop().add_reader(ear.wire, self._readable, ear)
        self._advertise_soon(ear)

    def update(self, link: Link) -> None:
        """Answer by the new facts from now on."""
        ear = self.ears[link.network_id]
        changed = _advertised(link) != _advertised(ear.link)
        ear.link = link
        if changed:
            self._advertise_soon(ear)

    def close(self, network_id: str) -> None:
        """Stop answering; fine when nothing is open."""
        ear = self.ears.pop(network_id, None)
        if ear:
            asyncio.get_running_loop().remove_reader(ear.wire)
            ear.close()

    def _readable(self, ear: Ear) -> None:
        for _ in range(BURST):
            try:
                frame = ear.wire.recv(_MAX_FRAME)
            except BlockingIOError:
                return
            except OSError as error:
                # The device is down or gone; the next look at the host finds out.
                log.info("services.deaf", network=ear.link.network_id, reason=str(error))
                break
            self._answer(ear, frame)
        loop = asyncio.get_running_loop()
        loop.remove_reader(ear.wire)
        loop.call_later(PAUSE_S, self._resume, ear)

    def _resume(self, ear: Ear) -> None:
        if self.ears.get(ear.link.network_id) is ear:
            asyncio.get_running_loop().add_reader(ear.wire, self._readable, ear)

    def _answer(self, ear: Ear, frame: bytes) -> None:
        received = frames.parse(frame)
        if received is None or (made := _answerer(received)) is None:
            return
        try:
            answer = made(received, ear.link)
        except Exception:
            # Whatever a guest sends, the others are still served.
            log.exception("services.crashed", network=ear.link.network_id, mac=received.mac)
            return
        self._send(ear, answer)

    def _advertise_soon(self, ear: Ear) -> None:
        loop = asyncio.get_running_loop()
        for timer in ear.timers:
            timer.cancel()
        ear.timers = [loop.call_later(delay, self._advertise, ear) for delay in SOON_S]
        ear.timers.append(loop.call_later(REPEAT_S, self._advertise_again, ear))

    def _advertise(self, ear: Ear) -> None:
        self._send(ear, advertise.unasked(ear.link))

    def _advertise_again(self, ear: Ear) -> None:
        self._advertise(ear)
        ear.timers = [asyncio.get_running_loop().call_later(REPEAT_S, self._advertise_again, ear)]

    def _send(self, ear: Ear, frame: bytes | None) -> None:
        if frame is None:
            return
        try:
            ear.wire.send(frame)
        except OSError as error:  # guests ask again
            log.info("services.unsent", network=ear.link.network_id, reason=str(error))


def _answerer(received: frames.Received) -> Callable[[frames.Received, Link], bytes | None] | None:
    found: dict[tuple[int, int], Callable[[frames.Received, Link], bytes | None]] = {
        (frames.UDP, dhcp4.SERVER_PORT): dhcp4.answer,
        (frames.UDP, dhcp6.SERVER_PORT): dhcp6.answer,
        (frames.ICMP6, advertise.SOLICITATION): advertise.answer,
    }
    return found.get((received.protocol, received.port))


def _advertised(link: Link) -> bytes:
    return advertise.message(link) if link.prefixes else b""


def _attach_filter(wire: socket.socket) -> None:
    program = b"".join(struct.pack("HBBI", *step) for step in _PROGRAM)
    held = ctypes.create_string_buffer(program, len(program))
    wire.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_PROGRAM), ctypes.addressof(held)))


def _placeholder(family: socket.AddressFamily, device: str) -> socket.socket:
    """One that nobody reads: without it the kernel would tell who renews its lease that there is no server."""
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(("", dhcp4.SERVER_PORT if family == socket.AF_INET else dhcp6.SERVER_PORT))
    except BaseException:
        made.close()
        raise
    return made
