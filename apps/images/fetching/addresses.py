"""Which addresses an import may talk to: the public ones, and what the operator has opened.

Not by `is_global` of the standard library alone, which answers differently from one Python to the next and knows no metadata services.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LOOPBACK, _LINK, _PRIVATE, _GROUP = "of this very machine", "link-local", "private", "a multicast group"
_RESERVED, _METADATA = "reserved", "a metadata service"
# Whatever the operator opens: nothing that has images listens there, and what does gives away credentials.
NEVER: Sequence[tuple[Network, str]] = tuple(
    (ip_network(text), what)
    for text, what in (
        ("0.0.0.0/8", "unspecified"), ("168.63.129.16/32", _METADATA), ("100.100.100.200/32", _METADATA), ("192.0.0.192/32", _METADATA),
        ("169.254.0.0/16", _LINK), ("224.0.0.0/4", _GROUP), ("255.255.255.255/32", "broadcast"), ("::/128", "unspecified"),
        ("fd00:ec2::/32", _METADATA), ("fe80::/10", _LINK), ("ff00::/8", _GROUP),
    )
)
# RFC 6890 and its registries.
REFUSED: Sequence[tuple[Network, str]] = tuple(
    (ip_network(text), what)
    for text, what in (
        ("10.0.0.0/8", _PRIVATE), ("100.64.0.0/10", "shared behind a provider's NAT"), ("127.0.0.0/8", _LOOPBACK), ("172.16.0.0/12", _PRIVATE),
        ("192.0.0.0/24", _RESERVED), ("192.0.2.0/24", _RESERVED), ("192.88.99.0/24", _RESERVED), ("192.168.0.0/16", _PRIVATE),
        ("198.18.0.0/15", _RESERVED), ("198.51.100.0/24", _RESERVED), ("203.0.113.0/24", _RESERVED), ("240.0.0.0/4", _RESERVED),
        ("::1/128", _LOOPBACK), ("64:ff9b:1::/48", "a private translation to IPv4"), ("2001::/23", _RESERVED), ("2001:db8::/32", _RESERVED),
        ("3fff::/20", _RESERVED), ("fc00::/7", _PRIVATE), ("fec0::/10", _PRIVATE),
    )
)
_UNICAST = IPv6Network("2000::/3")
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")
# The lower half of an address, ISATAP: these 32 bits and an IPv4 address.
_ISATAP = (0x00005EFE, 0x02005EFE)


def fault(address: Address, opened: Iterable[Network] = ()) -> str:
    """What is wrong with talking to `address`, as a few words; empty if nothing is.

    A network in `opened` opens what is refused only as far as it lies inside of it: 10.1.0.0/16 opens a part of the private
    addresses, 0.0.0.0/0 nothing. So nobody opens the loopback by a network that was meant for something else.
    """
    if isinstance(address, IPv6Address) and address in _MAPPED:
        return fault(_last_four(address), opened)
    for network, what in NEVER:
        if address in network:
            return what
    for network, what in REFUSED:
        if address in network:
            return "" if _is_open(address, network, opened) else what
    if isinstance(address, IPv4Address):
        return "" if address.is_global else _RESERVED
    if (inner := _embedded(address)) is not None:
        return fault(inner, opened)
    return "" if address in _UNICAST else _RESERVED


def read(text: str) -> Address:
    """An address as the resolver writes it; a zone (`%eth0`) is left out: it is link-local, and refused as that. Raises ValueError."""
    return ip_address(text.partition("%")[0])


def _is_open(address: Address, refused: Network, opened: Iterable[Network]) -> bool:
    # Comparing networks of two families raises TypeError; the version is looked at before.
    return any(
        each.version == refused.version and address in each and each.subnet_of(refused)  # type: ignore[arg-type]
        for each in opened
    )


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which such an IPv6 address leads."""
    if address in _NAT64:
        return _last_four(address)
    if address in _6TO4:
        return IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        return _last_four(address)
    return None


def _last_four(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
