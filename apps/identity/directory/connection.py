"""Connections to the directory: opened within a time limit, bound, and read page by page.

Whatever goes wrong becomes Unavailable, with a text and a fix for operators: `directory.connect`, `.tls`, `.bind`, `.search`.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import ldap
import ldap.controls
import ldap.filter

from apps.common.errors import Unavailable
from apps.identity.directory.config import Config
from apps.identity.directory.entries import Attributes

PAGE = 500
_PORTS = {"ldap": 389, "ldaps": 636}
_LDAPI_SOCKET = "/var/run/slapd/ldapi"
# LDAPMessage 1: ExtendedRequest 1.3.6.1.4.1.1466.20037, StartTLS. The answer has resultCode 0 if it is granted.
_START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
_GRANTED = b"\x0a\x01\x00"
# The server, or the way to it; all else is about what was asked.
AWAY = (ldap.SERVER_DOWN, ldap.TIMEOUT, ldap.CONNECT_ERROR, ldap.UNAVAILABLE, ldap.BUSY, ldap.TIMELIMIT_EXCEEDED)


@contextmanager
def connected(config: Config) -> Iterator[Any]:
    """A bound connection (LDAPObject). Raises Unavailable."""
    connection = ldap.initialize(reachable(config))
    try:
        for option, value in options(config).items():
            connection.set_option(option, value)
        try:
            if config.start_tls:
                connection.start_tls_s()
            connection.simple_bind_s(config.bind_dn, config.bind_password)
        except ldap.LDAPError as error:
            raise told(error, config, "bind") from None
        yield connection
    finally:
        with suppress(ldap.LDAPError):
            connection.unbind_s()


def options(config: Config) -> dict[int, Any]:
    """Of every connection, in this order."""
    found: dict[int, Any] = {
        ldap.OPT_PROTOCOL_VERSION: ldap.VERSION3,
        # Following one would bind elsewhere, with our password or without.
        ldap.OPT_REFERRALS: ldap.OPT_OFF,
        ldap.OPT_NETWORK_TIMEOUT: config.timeout_s,
        ldap.OPT_TIMEOUT: config.timeout_s,
    }
    if not config.uses_tls:
        return found
    found[ldap.OPT_X_TLS_REQUIRE_CERT] = ldap.OPT_X_TLS_DEMAND
    if config.ca_file is not None:
        found[ldap.OPT_X_TLS_CACERTFILE] = str(config.ca_file)
    return found | {ldap.OPT_X_TLS_NEWCTX: 0}  # makes those above count, so it comes last


def reachable(config: Config) -> str:
    """The first server that takes a connection and, where that is wanted, shows a certificate that we trust.

    Asked before libldap is: up to 2.6.8 that waits without end for a server that says nothing while TLS is agreed on, and it
    never tells what is wrong with a certificate. Raises Unavailable.
    """
    problem: Unavailable | None = None
    trusted = _trusted(config) if config.uses_tls else None
    for url in config.urls:
        try:
            _knock(config, url, trusted)
            return url
        except ssl.SSLError as error:
            text = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error.args[0])
            problem = Unavailable(
                "directory.tls", f"{url}: no TLS with it: {text}", fix="is CLOUDSITE_LDAP_CA_FILE the CA of this server, and its name the one in the certificate?"
            )
        except OSError as error:
            text = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
            problem = Unavailable("directory.connect", f"{url} does not answer: {text}", fix="start it, or correct CLOUDSITE_LDAP_URL")
    assert problem is not None
    raise problem


def pages(connection: Any, config: Config, base: str, query: str, wanted: list[str]) -> Iterator[list[tuple[str, Attributes]]]:
    """What is found below `base`, so many entries at a time, as (DN, attributes). Raises Unavailable: what came before is a part
    only."""
    control = ldap.controls.SimplePagedResultsControl(criticality=False, size=PAGE, cookie="")
    while True:
        try:
            asked = connection.search_ext(base, ldap.SCOPE_SUBTREE, query, wanted, serverctrls=[control])
            _, found, _, answered = connection.result3(asked)
            yield [(dn, _whole(connection, dn, attributes)) for dn, attributes in found if dn is not None]
        except ldap.LDAPError as error:
            raise told(error, config, "search", base) from None
        cookies = [each.cookie for each in answered if each.controlType == control.controlType]
        if not cookies or not cookies[0]:
            return
        control.cookie = cookies[0]


def told(error: ldap.LDAPError, config: Config, step: str, base: str = "") -> Unavailable:
    """What an error of LDAP means to whoever runs this."""
    facts = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    text = " ".join(dict.fromkeys(str(facts[key]) for key in ("desc", "info") if facts.get(key))) or type(error).__name__
    url = config.urls[0] if len(config.urls) == 1 else f"one of {' '.join(config.urls)}"
    if isinstance(error, AWAY):
        text = "no answer in time" if isinstance(error, ldap.TIMEOUT) else text
        return Unavailable("directory.connect", f"{url} does not answer: {text}", fix="see its log; CLOUDSITE_LDAP_TIMEOUT_S says how long it may take")
    if step == "bind":
        who = config.bind_dn or "nobody"
        return Unavailable("directory.bind", f"{url} refuses {who}: {text}", fix="correct CLOUDSITE_LDAP_BIND_DN and CLOUDSITE_LDAP_BIND_PASSWORD")
    return Unavailable("directory.search", f"{url} refuses to search below {base}: {text}", fix="correct the base, the filter, or what the bind account may read and how much")


def _whole(connection: Any, dn: str, attributes: dict[str, list[bytes]]) -> Attributes:
    """By lower-case names. Active Directory gives long lists in ranges: `member;range=0-1499`, of which the last ends with `*`."""
    found = {name.lower(): values for name, values in attributes.items()}
    for ranged in [name for name in found if ";range=" in name]:
        name = ranged.partition(";range=")[0]
        found[name] = [*found.pop(ranged), *_rest(connection, dn, name, ranged)]
    return found


def _rest(connection: Any, dn: str, name: str, ranged: str) -> Iterator[bytes]:
    """What comes after `member;range=0-1499`."""
    while not ranged.endswith("*"):
        start = int(ranged.rpartition("-")[2]) + 1
        answer = connection.search_s(dn, ldap.SCOPE_BASE, attrlist=[f"{name};range={start}-*"])
        parts = {key.lower(): values for _, attributes in answer[:1] for key, values in attributes.items()}
        ranged = next((key for key in parts if key.startswith(f"{name};range=")), "*")
        yield from parts.get(ranged, [])


def _trusted(config: Config) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(config.ca_file) if config.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise Unavailable(
            "directory.tls", f"{config.ca_file} is no CA that can be read: {error.strerror or error}", fix="correct CLOUDSITE_LDAP_CA_FILE"
        ) from None
    # Companies' own CAs are not always what the standard asks for, and libldap does not mind.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _knock(config: Config, url: str, trusted: ssl.SSLContext | None) -> None:
    parts = urlsplit(url)
    if parts.scheme == "ldapi":
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(config.timeout_s)
            plain.connect(unquote(parts.netloc) or _LDAPI_SOCKET)
        return
    host = parts.hostname or "localhost"
    with socket.create_connection((host, parts.port or _PORTS[parts.scheme]), config.timeout_s) as plain:
        if config.start_tls:
            plain.sendall(_START_TLS)
            if _GRANTED not in plain.recv(1024):
                raise ssl.SSLError("it does not grant StartTLS")
        if trusted is not None and (config.start_tls or parts.scheme == "ldaps"):
            trusted.wrap_socket(plain, server_hostname=host).close()
