"""A whole file by HTTP: redirects followed and checked, broken transfers gone on with, hashed on the way."""

import contextlib
import http.client
import os
import re
import time
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from apps.common.errors import Invalid, Unavailable
from apps.images.digests import Digest, Hashed
from apps.images.fetching import connection, locations
from apps.images.fetching.connection import Broken, Rules
from apps.images.fetching.locations import Location

CHUNK_BYTES = 1024 * 1024
MOST_REDIRECTS = 5
# So often it may break off without having brought anything new, and so often in all.
_TRIES, _BREAKS = 5, 50
_PAUSES_S = (0.0, 1.0, 2.0, 5.0, 10.0)
# A dirty file that is synchronised only at its end keeps everybody waiting then.
_SYNC_BYTES = 256 * 1024**2
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_REDIRECTS = (301, 302, 303, 307, 308)


class Watch(Protocol):
    """Who looks after a transfer. What it raises ends it."""

    def tick(self) -> None:
        """Called about once a second, also while nothing comes."""

    def expect(self, size_bytes: int) -> None:
        """So long is the file, as its server says; called before anything of it is read."""

    def progress(self, done: int, total: int | None) -> None:
        """So many bytes are there."""

    def broke(self, reason: str, done: int) -> None:
        """It broke off and is tried again."""



def fetch(url: str, file: BinaryIO, *, most_bytes: int, rules: Rules, watch: Watch, sha256: str = "") -> Hashed:
    """Write what is at `url` into an empty `file`; on return it is whole, on the disk, and has that hash if one is given.

    Raises Invalid (`image.url…`, `image.source_status`, `image.source_encoding`, `image.source_type`, `image.source_length`,
    `image.too_large`, `image.sha256`), Unavailable (`image.source_broken`, `image.store`), and what `watch` raises.
    """
    transfer = _Transfer(locations.parse(url), file, most_bytes, rules, watch, is_verifiable=bool(sha256))
    found = transfer.run()
    if sha256 and found.sha256 != sha256.lower():
        text = f"What came has the SHA-256 {found.sha256}, expected was {sha256.lower()}."
        raise Invalid("image.sha256", text, field="sha256", expected=sha256.lower(), got=found.sha256)
    return found


class _Transfer:
    def __init__(
        self, location: Location, file: BinaryIO, most_bytes: int, rules: Rules, watch: Watch, *, is_verifiable: bool
    ) -> None:
        self._start, self._file, self._most_bytes = location, file, most_bytes
        self._rules, self._watch, self._is_verifiable = rules, watch, is_verifiable
        self._digest, self._done, self._synced = Digest(), 0, 0
        self._total: int | None = None
        # What tells whether it is still the same file (RFC 9110, If-Range); empty: nobody can tell.
        self._validator = ""

    def run(self) -> Hashed:
        failures = breaks = 0
        while True:
            before = self._done
            try:
                self._attempt()
                break
            except Broken as broken:
                breaks += 1
                failures = 1 if self._done > before else failures + 1
                if failures >= _TRIES or breaks >= _BREAKS:
                    raise Unavailable("image.source_broken", f"{self._start.shown}: {broken}; tried {breaks} times.") from broken
                self._watch.broke(str(broken), self._done)
                self._pause(_PAUSES_S[failures])
        with _disk():
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._digest.hashed()

    def _attempt(self) -> None:
        """Once from the start through all redirects: signed ones may be good for a moment only."""
        here = self._start
        for _ in range(MOST_REDIRECTS + 1):
            with connection.get(here, self._headers(), self._rules, self._watch.tick) as response:
                if response.status in _REDIRECTS and (header := response.getheader("Location")):
                    here = locations.follow(here, header)
                    continue
                self._accept(response, here)
                self._take(response)
                return
        raise Invalid("image.url_redirects", f"{self._start.shown} redirects more than {MOST_REDIRECTS} times.", field="url")

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": "cloudsite", "Accept": "*/*"}
        if self._done and self._validator:
            headers |= {"Range": f"bytes={self._done}-", "If-Range": self._validator}
        return headers

    def _accept(self, response: http.client.HTTPResponse, here: Location) -> None:
        """Everything that can be said before the first byte."""
        if response.status == 429 or response.status >= 500:
            raise Broken(f"the server answers {response.status}")
        if response.status == 416 and self._done:
            self._begin_anew()
            raise Broken("the file has changed meanwhile")
        if response.status not in (200, 206):
            raise Invalid("image.source_status", f"{here.shown} answers {response.status}.", field="url", status=response.status)
        _check_form(response)
        if response.status == 206:
            self._total = self._continued(response)
        else:
            self._begin_anew()
            self._total = response.length
            self._validator = _validator(response)
        if self._total is None and not response.chunked and not self._is_verifiable:
            raise Invalid(
                "image.source_length", "The server does not say how long the file is, so nobody could tell whether it is whole: give its sha256.",
                field="sha256",
            )
        if self._total is not None:
            self._check_size(self._total)
            self._watch.expect(self._total)

    def _continued(self, response: http.client.HTTPResponse) -> int:
        """The whole length, if this goes on exactly where we are. Raises Broken otherwise, and the next try begins anew."""
        found = _RANGE.fullmatch((response.getheader("Content-Range") or "").strip())
        etag = response.getheader("ETag")
        if (
            found is None or int(found[1]) != self._done or int(found[2]) != int(found[3]) - 1
            or self._total not in (None, int(found[3])) or (etag and self._validator.startswith('"') and etag != self._validator)
        ):
            self._begin_anew()
            raise Broken("the server goes on elsewhere than where it broke off")
        return int(found[3])

    def _take(self, response: http.client.HTTPResponse) -> None:
        for chunk in connection.body(response, CHUNK_BYTES):
            self._check_size(self._done + len(chunk))
            with _disk():
                self._file.write(chunk)
                if self._done - self._synced >= _SYNC_BYTES:
                    self._file.flush()
                    os.fdatasync(self._file.fileno())
                    self._synced = self._done
            self._digest.update(chunk)
            self._done += len(chunk)
            self._watch.progress(self._done, self._total)
        if self._total is not None and self._done != self._total:
            raise Broken(f"it ended after {self._done} of {self._total} bytes")

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._most_bytes:
            raise Invalid("image.too_large", f"The image is larger than {self._most_bytes} bytes.", limit=self._most_bytes)

    def _begin_anew(self) -> None:
        if self._done:
            self._file.seek(0)
            self._file.truncate()
        self._digest, self._done, self._synced, self._total, self._validator = Digest(), 0, 0, None, ""

    def _pause(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self._watch.tick()
            time.sleep(min(left, 0.5))


def _check_form(response: http.client.HTTPResponse) -> None:
    coding = (response.getheader("Content-Encoding") or "identity").strip().lower()
    transfer = (response.getheader("Transfer-Encoding") or "chunked").strip().lower()
    if coding != "identity" or transfer != "chunked":
        raise Invalid(
            "image.source_encoding", f"The server sends the file compressed ({coding if coding != 'identity' else transfer}), which was not asked"
            " for: images are fetched as they are.", field="url",
        )
    media_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    if media_type in ("text/html", "application/xhtml+xml", "multipart/byteranges"):
        raise Invalid("image.source_type", f"There is no file at this address but {media_type}: a page to sign in, perhaps.", field="url")


def _validator(response: http.client.HTTPResponse) -> str:
    """A strong one, or none: pieces of two files must never become one."""
    etag = (response.getheader("ETag") or "").strip()
    if etag:
        return etag if etag.startswith('"') else ""
    return (response.getheader("Last-Modified") or "").strip()


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable("image.store", f"The image store cannot take this now: {error.strerror}.") from error
