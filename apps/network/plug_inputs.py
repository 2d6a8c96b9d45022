"""What projects say of ports, checked and in the one form in which it is stored: pure, no database."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from apps.common.errors import Invalid
from apps.network import ranges

MOST_FIXED, MOST_PAIRS = 16, 32
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NOT_IN_LABELS = re.compile(r"[^a-z0-9]+")
_METADATA = (ipaddress.ip_network("169.254.169.254/32"), ipaddress.ip_network("fd00:ec2::254/128"))


def parse_mac(text: str, *, field: str = "mac", code: str = "port.mac") -> str:
    """A MAC that a card can have: `52:54:00:12:34:56`. Raises Invalid."""
    mac = str(text).strip().lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise Invalid(code, f"{field}: expected a MAC such as 52:54:00:12:34:56, got {str(text)[:32]!r}.", field=field)
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise Invalid(code, f"{field}: {mac} stands for several cards, or for none; expected the MAC of one.", field=field)
    return mac


def parse_address(text: str, *, field: str) -> str:
    """In its usual spelling; may be empty. Raises Invalid `address.invalid`."""
    return str(ranges.parse_address(text, field=field, code="address.invalid")) if text else ""


def parse_pairs(pairs: Sequence[Mapping[str, Any]], *, field: str = "pairs") -> list[dict[str, str]]:
    """Addresses beyond its own that a port may use: [{"cidr": …, "mac": … or ""}]. Raises Invalid `port.pairs`."""
    if len(pairs) > MOST_PAIRS:
        raise Invalid("port.pairs", f"{field}: a port may use at most {MOST_PAIRS} further ranges, got {len(pairs)}.", field=field)
    found = []
    for number, pair in enumerate(pairs):
        where = f"{field}.{number}"
        mac = parse_mac(pair["mac"], field=f"{where}.mac", code="port.pairs") if pair.get("mac") else ""
        entry = {"cidr": _parse_range(str(pair.get("cidr") or ""), field=f"{where}.cidr"), "mac": mac}
        if entry not in found:
            found.append(entry)
    return found


def _parse_range(text: str, *, field: str) -> str:
    try:
        cidr = ipaddress.ip_network(text)
    except ValueError as error:
        raise Invalid("port.pairs", f"{field}: expected an address or network such as 10.0.0.9 or 10.0.0.0/28 ({error}).", field=field) from None
    if cidr.prefixlen == 0:
        raise Invalid("port.pairs", f"{field}: {cidr} is every address: switch port security off instead.", field=field)
    if cidr.is_multicast or cidr.is_loopback or cidr.is_unspecified or any(
        cidr.version == each.version and cidr.overlaps(each) for each in _METADATA
    ):
        raise Invalid("port.pairs", f"{field}: {cidr} has addresses that no port may use (multicast, loopback, metadata).", field=field)
    return str(cidr)


def parse_dns_name(text: str, *, field: str = "dns_name") -> str:
    """One label; may be empty. Raises Invalid `port.dns_name`."""
    name = str(text).lower()
    if name and not _LABEL.fullmatch(name):
        raise Invalid("port.dns_name", f"{field}: expected 1 to 63 letters, digits and hyphens, none at its ends.", field=field)
    return name


def dns_name_of(text: str) -> str:
    """What of a name can stand in DNS: `Web 1` → `web-1`; may be empty."""
    return _NOT_IN_LABELS.sub("-", text.lower()).strip("-")[:63].rstrip("-")
