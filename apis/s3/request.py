"""A request as the dialect sees it: out of what the server hands over, without Django's request."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from apis.s3.errors import Refused

LONGEST_KEY = 1024
# Headers and query. The longest that mean something, 100 grants beside metadata, tags and a source to copy, have half of it.
MOST_HEADER_BYTES = 32 * 1024
_PLAIN = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}
_PORT = re.compile(r":\d*\Z")


class Stream(Protocol):
    """Bytes that come in."""

    def read(self, size: int, /) -> bytes:
        """At most so many; none at the end."""


class Query:
    """The parameters in their order. A name may come more than once; the first one counts."""

    def __init__(self, raw: str) -> None:
        self.pairs = [_pair(part) for part in raw.split("&") if part]
        self._first = dict(reversed(self.pairs))

    def __contains__(self, name: str) -> bool:
        return name in self._first

    def get(self, name: str, default: str = "") -> str:
        return self._first.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)


@dataclass(kw_only=True)
class Request:
    """One request. `path`: as it was sent, decoded. `headers`: by lower-case name. `bucket`, `key`: empty if it names none.

    `virtual`: the bucket is in the host's name. `length`: of the body as sent; None if nobody said.
    """

    method: str
    path: str
    query: Query
    headers: dict[str, str]
    body: Stream
    host: str = ""
    address: str = ""
    scheme: str = "http"
    id: str = ""
    bucket: str = ""
    key: str = ""
    virtual: bool = False
    length: int | None = None
    # Set once it is known who asks, see `authentication`.
    signed_headers: frozenset[str] = field(default=frozenset())

    @property
    def resource(self) -> str:
        """The path with the bucket in it, however it was addressed."""
        return f"/{self.bucket}{self.path}" if self.virtual else self.path

    def header(self, name: str) -> str:
        """A header without the space around it; empty if it is not there."""
        return self.headers.get(name, "").strip()


def read(environ: dict[str, Any], *, domains: tuple[str, ...]) -> Request:
    """Take a request apart. `domains`: names below which a further label is a bucket.

    Raises Refused InvalidURI, KeyTooLongError, RequestHeaderSectionTooLarge.
    """
    size = len(environ.get("QUERY_STRING", "")) + sum(len(name) + len(str(value)) for name, value in environ.items() if name.startswith("HTTP_"))
    if size > MOST_HEADER_BYTES:
        raise Refused("RequestHeaderSectionTooLarge", MaxSizeAllowed=MOST_HEADER_BYTES)
    try:
        path = environ.get("PATH_INFO", "").encode("latin-1").decode()
        query = Query(environ.get("QUERY_STRING", ""))
    except UnicodeError:
        raise Refused("InvalidURI") from None
    headers = {
        name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_") and isinstance(value, str)
    }
    headers |= {ours: environ[theirs] for theirs, ours in _PLAIN.items() if environ.get(theirs)}
    host = headers.get("host", "").strip().lower()
    made = Request(
        method=environ["REQUEST_METHOD"].upper(), path=path or "/", query=query, headers=headers, body=environ["wsgi.input"],
        host=host, length=_length(headers),
    )
    made.bucket, made.key, made.virtual = _names(made.path, _bucket_of(host, domains))
    if len(made.key.encode()) > LONGEST_KEY:
        raise Refused("KeyTooLongError", Size=len(made.key.encode()), MaxSizeAllowed=LONGEST_KEY)
    if "\x00" in made.path or any("\x00" in value for _, value in query.pairs):
        raise Refused("InvalidURI")  # PostgreSQL takes no text that holds it
    return made


def _names(path: str, bucket: str) -> tuple[str, str, bool]:
    if bucket:
        return bucket, path[1:], True
    first, _, key = path[1:].partition("/")
    return first, key, False


def _bucket_of(host: str, domains: tuple[str, ...]) -> str:
    name = _PORT.sub("", host)
    for domain in domains:
        if name.endswith("." + domain.lower()):
            return name[: -len(domain) - 1]
    return ""


def _length(headers: dict[str, str]) -> int | None:
    text = headers.get("content-length", "").strip()
    if not text:
        # A body in chunks has no length; where there is neither, there is no body.
        return None if headers.get("transfer-encoding") else 0
    if not text.isdecimal() or not text.isascii():
        raise Refused("InvalidArgument", "Content-Length: expected a number.")
    return int(text)


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return _decoded(name), _decoded(value)


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode()
