"""URLs that files are fetched from: taken apart, and refused if anything about them is odd."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import quote, urljoin, urlsplit

from apps.common.errors import Invalid

MOST_CHARACTERS = 2048
_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_-]{1,63})*")
# What need not be quoted (again) in a path and a query.
_SAFE = "%/:@!$&'()*+,;=~-._?"


@dataclass(frozen=True)
class Location:
    """`host`: in ASCII, IPv6 without brackets; `target`: path and query, as it is asked for."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """All of it. The query may be a signature: not for logs."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def shown(self) -> str:
        """For people and logs: without the query."""
        return f"{self.scheme}://{self.authority}{self.target.partition('?')[0]}"


def parse(text: str) -> Location:
    """Raises Invalid `image.url` (no URL that we go to), `image.url_credentials`, `image.url_port`; field `url`."""
    if not 0 < len(text) <= MOST_CHARACTERS or re.search(r"[\x00-\x20\x7f\\]", text):
        raise _refused(f"expected an address of at most {MOST_CHARACTERS} characters, without blanks, backslashes and control characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _refused(str(error)) from None
    if parts.scheme not in _PORTS:
        raise _refused("expected http:// or https://")
    if "@" in parts.netloc:
        raise Invalid(
            "image.url_credentials", "Names and passwords in a URL would be stored: use a signed URL, or copy the file to a bucket.",
            field="url",
        )
    port = _PORTS[parts.scheme] if port is None else port
    if not (port in _PORTS.values() or port >= 1024):
        raise Invalid("image.url_port", f"Port {port} is no port of a web server: expected 80, 443, or 1024 and above.", field="url")
    target = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    return Location(parts.scheme, _host(parts.hostname or "", bracketed="[" in parts.netloc), port, target)


def follow(here: Location, header: str) -> Location:
    """Where a redirect leads. Raises Invalid as `parse` does, and `image.url_downgrade` for one that gives up encryption."""
    try:
        # Header lines are bytes, which http.client reads as Latin-1.
        there = parse(urljoin(here.url, quote(header.strip().encode("latin-1"), safe=_SAFE + "#[]")).partition("#")[0])
    except (ValueError, UnicodeEncodeError):
        raise _refused("the server redirects to something that is no URL") from None
    if here.scheme == "https" and there.scheme != "https":
        raise Invalid("image.url_downgrade", f"{here.shown} redirects to plain HTTP: {there.shown}.", field="url")
    return there


def _host(text: str, *, bracketed: bool) -> str:
    if bracketed:
        try:
            return str(IPv6Address(text)) if "%" not in text else _nowhere(text)
        except ValueError:
            return _nowhere(text)
    try:
        name = text.rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        return _nowhere(text)
    return name if _NAME.fullmatch(name) else _nowhere(text)


def _nowhere(text: str) -> str:
    raise _refused(f"{text[:80]!r} is no name of a host")


def _refused(reason: str) -> Invalid:
    return Invalid("image.url", f"This is no URL to fetch an image from: {reason}.", field="url")
