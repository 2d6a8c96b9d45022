"""The HTTP server at 169.254.169.254 and fd00:ec2::254: one answer per connection, for the instance that the port says.

Who asks is known by the network whose device the connection came in on and by its source address; nothing in a request
can change that. All connections live in one thread; each is bounded in bytes and time, and their number per port.
"""

import asyncio
import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

import structlog

from agent.metadata.answers import Request, Response, answer
from agent.metadata.facts import Facts
from agent.metadata.tokens import Tokens
from contracts.compute import v2 as compute

PORT = 80
MAX_HEAD_BYTES = 8192
HEAD_TIMEOUT_S, BODY_TIMEOUT_S = 5.0, 10.0
MAX_CONNECTIONS, MAX_CONNECTIONS_PER_PORT = 256, 16
_BACKLOG = 64
_IP_FREEBIND, _IPV6_FREEBIND = (socket.IPPROTO_IP, 15), (socket.IPPROTO_IPV6, 78)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Whose an address is. `public`: own address → floating address, of all the instance's ports."""

    instance_id: str
    public: Mapping[str, str] = field(default_factory=dict)


class MetadataServer:
    """`open`, `close` and the connections run in the thread of the event loop."""

    def __init__(
        self, builds: Callable[[str], compute.Build | None], tokens: Tokens, *, tokens_required: bool = False
    ) -> None:
        """`builds`: instance id → what it was built by, None for one that is not here."""
        self._builds = builds
        self._tokens = tokens
        self._tokens_required = tokens_required
        self._open: dict[str, list[asyncio.Server]] = {}
        self._connections: Counter[tuple[str, str]] = Counter()
        # (network id, address) → whose it is; replaced as a whole.
        self.askers: Mapping[tuple[str, str], Asker] = {}

    async def open(self, network_id: str, sockets: list[socket.socket]) -> None:
        """Listen for a network, in place of where it was listened before."""
        self.close(network_id)
        serve = partial(self.serve, network_id)
        self._open[network_id] = [
            await asyncio.start_server(serve, sock=each, limit=MAX_HEAD_BYTES, backlog=_BACKLOG) for each in sockets
        ]

    def close(self, network_id: str) -> None:
        """Stop listening; fine when nothing is open."""
        for server in self._open.pop(network_id, []):
            server.close()

    async def serve(self, network_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        source = _source(writer)
        who = (network_id, source)
        if self._connections.total() >= MAX_CONNECTIONS or self._connections[who] >= MAX_CONNECTIONS_PER_PORT:
            writer.transport.abort()
            return
        self._connections[who] += 1
        try:
            request = await asyncio.wait_for(_read(reader), HEAD_TIMEOUT_S)
            response = self._answer(request, who) if request else Response(status=400)
            head_only = request is not None and request.method == "HEAD"
            await asyncio.wait_for(_write(writer, response, head_only=head_only), BODY_TIMEOUT_S)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # it has gone, or does not go on
        except Exception:
            log.exception("metadata.crashed", network=network_id, source=source)
        finally:
            self._connections[who] -= 1
            if not self._connections[who]:
                del self._connections[who]
            writer.transport.abort()

    def _answer(self, request: Request, who: tuple[str, str]) -> Response:
        asker = self.askers.get(who)
        build = self._builds(asker.instance_id) if asker else None
        if asker is None or build is None:
            log.info("metadata.unknown", network=who[0], source=who[1])
            return Response(status=404)
        facts = Facts(build=build, public=asker.public)
        return answer(request, facts, self._tokens, tokens_required=self._tokens_required, now=time.time())


def listen(device: str, addresses: tuple[str, ...]) -> list[socket.socket]:
    """Sockets for one device of this thread's namespace, whether or not the addresses are there yet. Raises OSError."""
    made: list[socket.socket] = []
    try:
        for address in addresses:
            six = ":" in address
            each = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
            made.append(each)
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Only what comes in on this device: the address is the same on those of all networks.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
            each.setsockopt(*(_IPV6_FREEBIND if six else _IP_FREEBIND), 1)
            each.bind((address, PORT))
            each.listen(_BACKLOG)
    except BaseException:
        for each in made:
            each.close()
        raise
    return made


def _source(writer: asyncio.StreamWriter) -> str:
    peer = writer.get_extra_info("peername")
    return str(ipaddress.ip_address(peer[0].partition("%")[0])) if peer else ""


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """None when it is not HTTP, or too long."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, path, version = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    except (asyncio.LimitOverrunError, ValueError):
        return None
    if not version.startswith("HTTP/1.") or not path.startswith("/") or headers.get("content-length", "0") != "0":
        return None
    return Request(method=method, path=path, headers=headers)


async def _write(writer: asyncio.StreamWriter, response: Response, *, head_only: bool) -> None:
    if response.near:
        connection = writer.get_extra_info("socket")
        six = connection.family == socket.AF_INET6
        option = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if six else (socket.IPPROTO_IP, socket.IP_TTL)
        with suppress(OSError):
            connection.setsockopt(*option, 1)
    body = response.body
    if response.status != HTTPStatus.OK:
        body = f"{response.status} {HTTPStatus(response.status).phrase}\n".encode()
    lines = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
        "Server: cloudsite",
        "Connection: close",
    ]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head_only else body))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
