"""One file to the control plane over HTTP, resumed where it broke off.

`HEAD` tells how much of the file with this SHA-256 is there (`Upload-Offset`) and whether that was the end of it
(`Upload-Complete: ?1`); `PUT` with `Content-Range` brings the rest. The SHA-256 is the name of what is sent: the beginning of
another file is never gone on with.
"""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from agent.drivers.base import DriverError

log = structlog.get_logger(__name__)

CHUNK_BYTES = 1024 * 1024
TIMEOUT_S = 30.0
# The answer to the last piece comes when the whole file was hashed, inspected and put where it belongs.
ANSWER_TIMEOUT_S = 900.0
ATTEMPTS = 6
RETRY_AFTER_S = 0.5
_SHA256_HEADER = "Content-SHA256"
_FINE = frozenset({200, 201, 204})
# Worth another try: the server is busy, restarts, or somebody in between does.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class UploadError(Exception):
    """It broke off or was refused. `final`: trying this address again is useless."""

    def __init__(self, message: str, *, final: bool = False, code: str = "") -> None:
        super().__init__(message)
        self.final = final
        self.code = code


class Upload:
    """Sends files to one signed address."""

    def __init__(
        self, url: str, *, ca_file: str = "", stopped: Callable[[], bool] = lambda: False, retry_after_s: float = RETRY_AFTER_S
    ) -> None:
        """`stopped`: asked before every piece; once true, the upload ends with UploadError `command.superseded`."""
        self._address = urlsplit(url)
        self._ca_file = ca_file
        self._stopped = stopped
        self._retry_after_s = retry_after_s

    def send(
        self, path: Path, sha256: str, *, size_bytes: int, progress: Callable[[int], object] = lambda done: None
    ) -> None:
        """Bring all of it there, across breaks of the transfer; returns once the server has verified and kept it.

        Raises DriverError `snapshot.refused` (the server does not want it, not retryable), `snapshot.upload` (it cannot be
        reached), `command.superseded`.
        """
        failures, best = 0, -1
        while True:
            try:
                offset, complete = self.offset(sha256)
                if complete:
                    return
                # Only attempts that brought nothing count, so that a bad line still gets there.
                failures, best = (0, offset) if offset > best else (failures, best)
                self._put(path, sha256, offset, size_bytes, progress)
                return
            except UploadError as error:
                failures += 1
                if error.code == "command.superseded":
                    raise DriverError(error.code, str(error)) from error
                if error.final:
                    raise DriverError("snapshot.refused", f"the control plane: {error}", retryable=False) from error
                if failures >= ATTEMPTS:
                    raise DriverError("snapshot.upload", f"the control plane: {error}") from error
                log.info("upload.broken", reason=str(error), failures=failures)
                time.sleep(self._retry_after_s * failures)

    def offset(self, sha256: str = "") -> tuple[int, bool]:
        """How many bytes of that file are there, and whether that is all of it (without `sha256`: of any file)."""
        with self._connected() as connection:
            status, headers, _ = self._ask(connection, "HEAD", None, {_SHA256_HEADER: sha256} if sha256 else {})
        if status not in _FINE:
            raise UploadError(f"HTTP status {status}", final=status not in _PASSING)
        complete = headers.get("Upload-Complete", "") == "?1"
        told = headers.get("Upload-Offset", "")
        if not told.isdecimal():
            raise UploadError(f"no Upload-Offset but {told[:40]!r}", final=True)
        return int(told), complete

    def _put(self, path: Path, sha256: str, offset: int, size_bytes: int, progress: Callable[[int], object]) -> None:
        with path.open("rb") as file, self._connected() as connection:
            file.seek(offset)
            headers = {
                _SHA256_HEADER: sha256,
                "Content-Type": "application/octet-stream",
                "Content-Length": str(size_bytes - offset),
                "Content-Range": f"bytes {offset}-{size_bytes - 1}/{size_bytes}",
            }
            status, _, body = self._ask(connection, "PUT", self._pieces(file, offset, progress), headers)
        if status in _FINE:
            return
        message, code = _problem(status, body)
        raise UploadError(message, final=status not in _PASSING, code=code)

    def _pieces(self, file: Any, done: int, progress: Callable[[int], object]) -> Any:
        while chunk := file.read(CHUNK_BYTES):
            if self._stopped():
                raise UploadError("something newer was asked of this instance", code="command.superseded")
            yield chunk
            done += len(chunk)
            progress(done)

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, body: Any, headers: dict[str, str]
    ) -> tuple[int, Any, bytes]:
        target = f"{self._address.path}?{self._address.query}"
        try:
            try:
                connection.request(method, target, body=body, headers={"Connection": "close", **headers})
            except (BrokenPipeError, ConnectionResetError):
                # Refused before all of it was read: the answer may be there all the same.
                log.info("upload.cut_short", method=method)
            if body is not None and connection.sock is not None:
                connection.sock.settimeout(ANSWER_TIMEOUT_S)
            response = connection.getresponse()
            return response.status, response.headers, response.read(64 * 1024)
        except (OSError, http.client.HTTPException) as error:
            raise UploadError(str(error) or type(error).__name__) from error

    def _connected(self) -> "_Closing":
        host, port = self._address.hostname or "", self._address.port
        if self._address.scheme == "https":
            context = ssl.create_default_context(cafile=self._ca_file or None)
            return _Closing(http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context))
        if self._address.scheme == "http":
            return _Closing(http.client.HTTPConnection(host, port, timeout=TIMEOUT_S))
        raise UploadError("its URL is neither http nor https", final=True)


class _Closing:
    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def __enter__(self) -> http.client.HTTPConnection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _problem(status: int, body: bytes) -> tuple[str, str]:
    """What a refusal says, as a sentence and a code."""
    try:
        told = json.loads(body)
        return f"{told.get('detail') or told.get('title') or status} (HTTP status {status})", str(told.get("code", ""))
    except (ValueError, AttributeError):
        return f"HTTP status {status}", ""
