"""The control plane's end of an upload, as far as hosts see it: takes pieces, says how far it is, misbehaves as told."""

import hashlib
import http.server
import json
import threading


class Keeper(http.server.ThreadingHTTPServer):
    """`content` is what it has once all of it came; `parts` what has come so far, by SHA-256."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content: bytes | None = None
        self.parts: dict[str, bytes] = {}
        # Bytes of a piece after which the connection breaks, one entry per piece; then no more breaks.
        self.breaks: list[int] = []
        # (status, code) of the next answers, instead of those that are due.
        self.refusals: list[tuple[int, str]] = []
        self.asked: list[str] = []
        # Unset, content trickles out, so many bytes at a time, until it is set again; `hung_up` once a reader had enough of that.
        self.flows, self.hung_up = threading.Event(), threading.Event()
        self.flows.set()
        self.trickle_bytes = 1024
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/saved?expires=1&signature=secret"

    def close(self) -> None:
        self.flows.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Keeper

    def do_HEAD(self) -> None:
        self.server.asked.append("HEAD")
        if self.server.refusals and self.server.refusals[0][0] in (403, 404):
            self._refuse()
            return
        content, sha256 = self.server.content, self.headers.get("Content-SHA256", "")
        have = len(content) if content is not None else len(self.server.parts.get(sha256, b""))
        self._answer(204, headers={"Upload-Offset": str(have), "Upload-Complete": "?1" if content is not None else "?0"})

    def do_GET(self) -> None:
        """What it has, for a host that boots from it."""
        content = self.server.content or b""
        self.server.asked.append("GET")
        self._answer(200, headers={"Content-Length": str(len(content))})
        done = 0
        try:
            while done < len(content):
                end = None if self.server.flows.is_set() else done + self.server.trickle_bytes
                done += self.wfile.write(content[done:end])
                self.server.flows.wait(0.005)
        except ConnectionError:
            self.server.hung_up.set()

    def do_PUT(self) -> None:
        server, sha256 = self.server, self.headers["Content-SHA256"]
        first, _, rest = self.headers["Content-Range"].removeprefix("bytes ").partition("-")
        total = int(rest.partition("/")[2])
        server.asked.append(f"PUT {first}")
        length, breaks = int(self.headers["Content-Length"]), server.breaks.pop(0) if server.breaks else None
        came = self.rfile.read(length if breaks is None else min(length, breaks))
        if server.refusals:
            self._refuse()
            return
        assert len(server.parts.get(sha256, b"")) == int(first)
        server.parts = {sha256: server.parts.get(sha256, b"") + came}
        if breaks is not None:
            self.close_connection = True
            return
        whole = server.parts[sha256]
        if len(whole) == total:
            if hashlib.sha256(whole).hexdigest() != sha256:
                server.parts = {}
                server.refusals.append((409, "image.checksum"))
                self._refuse()
                return
            server.content = whole
        self._answer(204)

    def _refuse(self) -> None:
        status, code = self.server.refusals.pop(0)
        body = json.dumps({"code": code, "detail": f"No: {code}."}).encode()
        self._answer(status, body=b"" if self.command == "HEAD" else body)

    def _answer(self, status: int, *, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
