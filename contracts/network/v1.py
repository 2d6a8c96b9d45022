"""Networks and ports as a host needs to know them, version 1."""

import msgspec


class Subnet(msgspec.Struct, frozen=True, kw_only=True):
    """An IPv4 range. `cidr` such as `10.64.0.0/20`; `gateway` is served by the host itself."""

    id: str
    cidr: str
    gateway: str
    dns: list[str] = []


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """One layer-2 domain. `kind` is `flat` in this version; `segment` is the VLAN id or VNI of later kinds."""

    id: str
    kind: str = "flat"
    segment: int | None = None
    mtu: int = 1450
    nat: bool = True
    subnet: Subnet


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """One network card of one instance: the MAC and the only address that it may use."""

    id: str
    network: Network
    mac: str
    address: str
    prefix_length: int
