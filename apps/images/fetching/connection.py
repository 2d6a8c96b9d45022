"""One HTTP exchange with an address that was checked: no second look at the DNS, and nobody waits longer than allowed."""

import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.common.errors import Invalid
from apps.images.fetching import addresses
from apps.images.fetching.locations import Location

_CONNECT_S = 10.0
_MOST_ADDRESSES = 6
# Who sends less than this while we wait for it is stalled: a byte now and then must not occupy a worker for hours.
LEAST_BYTES_S = 1024


class Broken(Exception):
    """The other side went away, or sends nothing: it may be better a little later."""


@dataclass(frozen=True)
class Rules:
    """`opened`: networks beside the public ones; `stall_s`: how long next to nothing may come; `resolve`: as `getaddrinfo`."""

    opened: Sequence[addresses.Network] = ()
    stall_s: float = 30.0
    resolve: Callable[..., list[Any]] = socket.getaddrinfo
    tls: Callable[[], ssl.SSLContext] = field(default=ssl.create_default_context)


def checked(location: Location, rules: Rules) -> list[str]:
    """The addresses of the host, every one of them found harmless. Raises Invalid `image.url_address`, Broken (no answer of the DNS)."""
    try:
        found = rules.resolve(location.host, location.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise Broken(f"the DNS does not answer for {location.host}") from error
        raise Invalid("image.url_host", f"There is no host {location.host}.", field="url") from error
    except UnicodeError as error:
        raise Invalid("image.url_host", f"There is no host {location.host}.", field="url") from error
    texts = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    for text in texts:
        if reason := addresses.fault(addresses.read(text), rules.opened):
            # Not which: what names mean inside is nobody's business outside.
            raise Invalid(
                "image.url_address", f"{location.host} leads to an address that is {reason}; images come from public addresses.", field="url"
            )
    if not texts:
        raise Invalid("image.url_host", f"{location.host} has no address.", field="url")
    return texts[:_MOST_ADDRESSES]


@contextlib.contextmanager
def get(
    location: Location, headers: Mapping[str, str], rules: Rules, tick: Callable[[], None]
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a GET, its body not read yet. `tick` is called about once a second; what it raises ends the exchange.

    Raises Broken, Invalid (see `checked`, and `image.url_tls`: its certificate is not good).
    """
    plain = _connect(checked(location, rules), location, tick)
    with contextlib.ExitStack() as stack:
        stack.callback(plain.close)
        stream: socket.socket = plain
        if location.scheme == "https":
            stream = _encrypted(plain, location, rules)
            stack.callback(stream.close)
        stream.settimeout(1.0)
        exchange = http.client.HTTPConnection(location.host, location.port)
        exchange.sock = _Patient(stream, tick, rules.stall_s)
        with _told():
            exchange.putrequest("GET", location.target, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": location.authority, "Connection": "close", "Accept-Encoding": "identity", **headers}.items():
                exchange.putheader(name, value)
            exchange.endheaders()
            response = exchange.getresponse()
        yield response


def body(response: http.client.HTTPResponse, size: int) -> Iterator[bytes]:
    """The body in chunks of at most `size` bytes. Raises Broken if it ends before its end, as far as that can be seen."""
    while True:
        with _told():
            chunk = response.read1(size)
        if not chunk:
            return
        yield chunk


def _connect(texts: Sequence[str], location: Location, tick: Callable[[], None]) -> socket.socket:
    for text in texts:
        tick()
        try:
            # A literal address: nothing is looked up here any more.
            return socket.create_connection((text, location.port), timeout=_CONNECT_S)
        except OSError as error:
            reason = error.strerror or str(error)
    raise Broken(f"{location.host} cannot be reached at port {location.port}: {reason}")


def _encrypted(plain: socket.socket, location: Location, rules: Rules) -> socket.socket:
    try:
        return rules.tls().wrap_socket(plain, server_hostname=location.host)
    except ssl.SSLCertVerificationError as error:
        raise Invalid("image.url_tls", f"The certificate of {location.host} is not good: {error.verify_message}.", field="url") from error
    except OSError as error:
        raise Broken(f"no encrypted connection to {location.host}: {getattr(error, 'reason', None) or error.strerror or error}") from error


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (http.client.HTTPException, OSError, ValueError) as error:
        text = str(error)[:200]
        raise Broken(text if isinstance(error, OSError) and text else f"{type(error).__name__}: not HTTP as it should be") from error


class _Patient:
    """What http.client needs of a socket; reading gives up when too little comes."""

    def __init__(self, stream: socket.socket, tick: Callable[[], None], stall_s: float) -> None:
        self._stream, self._tick, self._stall_s = stream, tick, stall_s

    def sendall(self, data: Any) -> None:
        self._stream.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._stream, self._tick, self._stall_s), 64 * 1024)

    def close(self) -> None:
        """http.client closes it before the body is read; `get` does it afterwards."""


class _Reader(io.RawIOBase):
    def __init__(self, stream: socket.socket, tick: Callable[[], None], stall_s: float) -> None:
        super().__init__()
        self._stream, self._tick, self._stall_s = stream, tick, stall_s
        # Only what is waited for it counts: our own disk may be slow, too.
        self._waited_s, self._came = 0.0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            self._tick()
            began = time.monotonic()
            try:
                count = self._stream.recv_into(buffer)
            except TimeoutError:
                count = -1
            self._account(time.monotonic() - began, max(count, 0))
            if count >= 0:
                return count

    def _account(self, waited_s: float, count: int) -> None:
        self._waited_s += waited_s
        self._came += count
        if self._waited_s >= self._stall_s:
            if self._came < self._waited_s * LEAST_BYTES_S:
                raise Broken(f"next to nothing has come for {self._stall_s:.0f} s")
            self._waited_s, self._came = 0.0, 0
