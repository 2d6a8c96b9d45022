"""Middleware at the very front: who is there, whether they may ask at all, and what a browser may do with the answer."""

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.common import rates
from apps.common.api import problems
from apps.common.errors import TooMany

Respond = Callable[[HttpRequest], HttpResponse]

# Whoever posts here offers a password, or another proof that can be guessed.
_SIGN_IN = re.compile(
    r"^/(api/v1/tokens|api/v1/password|api/session/login|admin/login|account/login(/code)?|identity/v3/(auth/tokens|ec2tokens|s3tokens|users/[^/]+/password))/?$"
)
# More proxies than this stand in no row.
_MOST_HOPS = 16
# A page loads what we serve and nothing else; no inline script, no inline style, no frame, no plug-in.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Data is no page. Should a browser take it for one after all, that page can do nothing.
DATA_POLICY = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
_PERMISSIONS = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"


class Peer:
    """Makes `REMOTE_ADDR` and the scheme those of the client, as far as a trusted proxy tells them; others are not believed.

    So everybody behind (limits, audit trail, logs, cookies) reads these two and no header.
    """

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        meta = request.META
        if not find_client(meta) and settings.SECURE_SSL_REDIRECT and meta["REMOTE_ADDR"] in ("127.0.0.1", "::1"):
            # Straight from this very machine: no network between us that could be listened to, nothing to redirect to.
            meta["wsgi.url_scheme"] = "https"
        return self.get_response(request)


def find_client(meta: dict[str, Any]) -> bool:
    """The same for the environment of any WSGI request; whether somebody, trusted or not, says to be a proxy."""
    peer = _plain(meta.get("REMOTE_ADDR", ""))
    told = meta.pop("HTTP_X_FORWARDED_FOR", ""), meta.pop("HTTP_X_FORWARDED_PROTO", "")
    if any(told) and _is_trusted(peer):
        peer = _client(peer, told[0])
        if told[1]:
            meta["wsgi.url_scheme"] = "https" if told[1].rpartition(",")[2].strip().lower() == "https" else "http"
    meta["REMOTE_ADDR"] = peer
    return any(told)


def _client(peer: str, forwarded: str) -> str:
    """The last address that was not written by a trusted proxy. Each proxy appends whom it has seen, so read backwards."""
    for hop in reversed(forwarded.rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]):
        try:
            parsed = ipaddress.ip_address(_without_port(hop.strip()))
        except ValueError:
            return peer
        address = str(getattr(parsed, "ipv4_mapped", None) or parsed)
        if not _is_trusted(address):
            return address
        peer = address
    return peer


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _plain(address: str) -> str:
    """An IPv4 address that came over a socket for both families is that IPv4 address."""
    return address[7:] if address[:7].lower() == "::ffff:" and "." in address else address


@lru_cache(maxsize=1024)
def _is_trusted(address: str) -> bool:
    trusted = settings.ENV.trusted_proxies
    if not address:
        return "unix" in trusted
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(parsed in ipaddress.ip_network(each) for each in trusted if each != "unix")


class Headers:
    """What a browser may do with the answer: see https://owasp.org/www-project-secure-headers. Views may say it themselves.

    Answers are nobody else's business and may hold secrets, so caches keep none unless a view allows it. Other origins
    are told nothing (no CORS), so their scripts can read no answer.
    """

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        headers = response.headers
        is_page = headers.get("Content-Type", "").startswith("text/html")
        # Django's page for developers about a failure lives of inline scripts.
        if not (settings.DEBUG and is_page and response.status_code in (404, 500)):
            headers.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else DATA_POLICY)
        headers.setdefault("Permissions-Policy", _PERMISSIONS)
        headers.setdefault("Cache-Control", "no-store")
        return response


class Rates:
    """Refuses those who ask too often, before anything of theirs is looked at: 429 `request.throttled`, `Retry-After`."""

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        address = request.META["REMOTE_ADDR"]
        try:
            rates.check_address(address)
            if request.method == "POST" and _SIGN_IN.match(request.path):
                rates.check_sign_in(address)
        except TooMany as error:
            response = problems.early(error)
            # Django would log every single one; `rates` does it now and then.
            response._has_been_logged = True  # type: ignore[attr-defined]
            return response
        return self.get_response(request)
