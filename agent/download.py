"""One file over HTTP, resumed where it broke off."""

import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

CHUNK_BYTES = 1024 * 1024
# Called with (bytes so far, bytes in all).
Progress = Callable[[float, float], object]
TIMEOUT_S = 30.0
# The server will say the same again: no such thing, not allowed, expired.
_GONE_STATUS = frozenset({404, 410})
_FINAL_STATUS = frozenset({400, 401, 403, 405}) | _GONE_STATUS


class DownloadError(Exception):
    """It broke off or was refused. `final`: trying this URL again is useless; `corrupt`: it is the wrong file; `gone`: there
    is no such file any more."""

    def __init__(self, message: str, *, final: bool = False, corrupt: bool = False, gone: bool = False) -> None:
        super().__init__(message)
        self.final = final
        self.corrupt = corrupt
        self.gone = gone


class Download:
    """Brings `part` to `size_bytes`, beginning with what it already holds."""

    def __init__(
        self,
        url: str,
        part: Path,
        tag: Path,
        *,
        size_bytes: int,
        ca_file: str = "",
        progress: Progress = lambda done, total: None,
        watch: Callable[[], object] = lambda: None,
    ) -> None:
        """`tag`: a file that keeps the server's validator (ETag or date) of what `part` holds. `progress` hears how far it is.
        `watch` is called all the time; what it raises ends the transfer."""
        self._progress = progress
        self._watch = watch
        self._url = url
        self._part = part
        self._tag = tag
        self._size_bytes = size_bytes
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if urlsplit(url).scheme == "https":
            context = ssl.create_default_context(cafile=ca_file or None)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def run(self) -> str:
        """Transfer what is missing, write it to disk for good; the SHA-256 of the whole in hex.

        Raises DownloadError, and OSError when the file cannot be written.
        """
        with self._part.open("ab+") as file:
            have = file.seek(0, os.SEEK_END)
            if have > self._size_bytes:
                have = _truncate(file)
            if have < self._size_bytes or not self._size_bytes:
                self._receive(file, have)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            return self._digest(file)

    def _receive(self, file: IO[bytes], have: int) -> None:
        with self._open(have) as response:
            offset = self._offset(response, have)
            if offset != have:
                _truncate(file)
            announced = response.headers.get("Content-Length")
            if announced is not None and int(announced) + offset != self._size_bytes:
                message = f"{int(announced) + offset} bytes offered, {self._size_bytes} expected"
                raise DownloadError(message, corrupt=True)
            self._tag.write_text(_validator(response.headers))
            self._copy(response, file, offset)

    def _copy(self, response: http.client.HTTPResponse, file: IO[bytes], offset: int) -> None:
        done = offset
        while True:
            self._watch()
            try:
                chunk = response.read1(CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise DownloadError(f"broke off after {done} bytes: {_told(error)}") from error
            if not chunk:
                break
            done += len(chunk)
            if done > self._size_bytes:
                raise DownloadError(f"more than the expected {self._size_bytes} bytes", corrupt=True)
            file.write(chunk)
            self._progress(done, self._size_bytes)
        if done < self._size_bytes:
            raise DownloadError(f"broke off after {done} of {self._size_bytes} bytes")

    def _digest(self, file: IO[bytes]) -> str:
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK_BYTES):
            self._watch()
            digest.update(chunk)
        return digest.hexdigest()

    def _open(self, have: int) -> http.client.HTTPResponse:
        if urlsplit(self._url).scheme not in ("http", "https"):
            raise DownloadError("its URL is neither http nor https", final=True)
        request = urllib.request.Request(self._url, headers=self._range(have))
        try:
            response: http.client.HTTPResponse = self._opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._part.unlink(missing_ok=True)
            final, gone = error.code in _FINAL_STATUS, error.code in _GONE_STATUS
            raise DownloadError(f"HTTP status {error.code}", final=final, gone=gone) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DownloadError(_told(error)) from error
        return response

    def _range(self, have: int) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            validator = self._tag.read_text().strip() if self._tag.exists() else ""
            if validator:
                headers["If-Range"] = validator
        return headers

    def _offset(self, response: http.client.HTTPResponse, have: int) -> int:
        """Where in the file the answer begins: at `have`, or at 0 when the server starts over."""
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            return 0
        told = response.headers.get("Content-Range", "")
        if not told.startswith(f"bytes {have}-"):
            raise DownloadError(f"asked for bytes from {have}, got {told[:60]!r}")
        return have


def _validator(headers: Message) -> str:
    """What `If-Range` may say; a weak tag does not promise the same bytes."""
    tag = str(headers.get("ETag", ""))
    if tag and not tag.startswith("W/"):
        return tag
    return str(headers.get("Last-Modified", ""))


def _truncate(file: IO[bytes]) -> int:
    file.truncate(0)
    return 0


def _told(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error) or type(error).__name__
