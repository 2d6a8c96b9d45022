"""A small HTTP client for load: one kept-alive connection per thread, JSON in and out, nothing else."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


class Refused(Exception):
    """The API answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status


class Client:
    """Talks to one API with one token; safe for many threads."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host, self._port = parts.hostname, parts.port
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
        self._local = threading.local()

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """JSON in (bytes go as they are), JSON out. Raises Refused, OSError."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection(self._host, self._port, timeout=120)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        kept = connection.sock is not None

        def ask() -> http.client.HTTPResponse:
            connection.request(method, "/api/v1" + path, data, self._headers | (headers or {}))
            return connection.getresponse()

        try:
            try:
                answer = ask()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if not kept:
                    raise
                connection.close()  # the server does not keep idle connections for ever: on a new one, as every client does
                answer = ask()
            content = answer.read()
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            self._local.connection = None
            raise OSError(f"{method} {path}: {error!r}") from error
        if answer.status >= 400:
            raise Refused(answer.status, f"{method} {path}: {content[:500]!r}")
        return json.loads(content) if content else None

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self.call("POST", path, body)

    def upload(self, path: str, content: bytes) -> Any:
        return self.call("PUT", path, content, {"Content-Type": "application/octet-stream"})

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)


@dataclass
class Timing:
    """Seconds of many calls."""

    taken_s: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """In milliseconds."""
        ordered = sorted(self.taken_s)
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 1)


def concurrently(work: Iterable[Callable[[], object]], *, threads: int) -> Timing:
    """Run all, so many at once; raises the first error. Returns how long each took."""
    todo = iter(list(work))
    lock, timing = threading.Lock(), Timing()
    errors: list[Exception] = []

    def run() -> None:
        while not errors:
            with lock:
                task = next(todo, None)
            if task is None:
                return
            began = time.perf_counter()
            try:
                task()
            except Exception as error:
                errors.append(error)
                return
            timing.taken_s.append(time.perf_counter() - began)

    runners = [threading.Thread(target=run) for _ in range(threads)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    if errors:
        raise errors[0]
    return timing


def until(condition: Callable[[], bool], *, timeout_s: float, pause_s: float = 0.02) -> None:
    """Wait for a condition. Raises TimeoutError."""
    ends = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError("the benchmark waited in vain")
        time.sleep(pause_s)
