"""A web server that does as a test says: breaks off, redirects, lies about lengths, sends nothing."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Call(BaseHTTPRequestHandler):
    """One request. Scripts answer with these methods."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        self.server.origin.seen.append(self)
        self.server.origin.script(self)
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass

    def say(self, status: int = 200, *, body: bytes = b"", length: int | None = -1, **headers: str) -> None:
        """`length`: what is announced; -1: the truth, None: nothing."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length == -1 else length))
        self.end_headers()
        self.wfile.write(body)

    def serve(self, content: bytes, *, etag: str = '"one"', only: int | None = None, **headers: str) -> None:
        """A file with ranges, as web servers do it. `only`: breaks off after so many bytes."""
        found, first, status = self.headers.get("Range"), 0, 200
        if found and self.headers.get("If-Range", etag) == etag:
            first, status = int(found.removeprefix("bytes=").rstrip("-")), 206
            headers["Content_Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        left = content[first:]
        self.say(status, body=left if only is None else left[:only], length=len(left), **({"ETag": etag} if etag else {}), **headers)

    def chunk(self, data: bytes) -> None:
        """A piece of a chunked body; an empty one ends it."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def raw(self, data: bytes) -> None:
        """No HTTP at all."""
        self.wfile.write(data)

    def until(self, event: threading.Event) -> None:
        """Say nothing until then."""
        event.wait(20)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    origin: "Origin"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are meant."""


class Origin:
    """`script`: answers every request; `seen`: the requests; `over`: set when the test is over."""

    def __init__(self, server: _Server, scheme: str) -> None:
        self.port = server.server_address[1]
        self.scheme = scheme
        self.seen: list[Call] = []
        self.over = threading.Event()
        self.script: Callable[[Call], None] = lambda call: call.say(404)

    def url(self, path: str = "/disk.raw", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def paths(self) -> list[str]:
        return [call.path for call in self.seen]


@contextlib.contextmanager
def origin(tls: ssl.SSLContext | None = None) -> Iterator[Origin]:
    """One that runs on loopback."""
    with _Server(("127.0.0.1", 0), Call) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.origin = Origin(server, "https" if tls else "http")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.origin
        finally:
            server.origin.over.set()
            server.shutdown()
            thread.join()

