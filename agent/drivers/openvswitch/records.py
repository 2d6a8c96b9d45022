"""What this host was asked to keep: one small file per network and per port, below the agent's state directory.

A port's record is written before anything of the port is made and removed after everything of it is gone, so that
whatever exists can be traced to an instance, whenever the agent was killed.
"""

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from contracts.network import v1 as network

T = TypeVar("T")


class PortRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A port and the instance it belongs to."""

    instance_id: str
    port: network.Port


class NetworkRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A network and the local VLAN that it has on this host's bridge."""

    network: network.Network
    tag: int


class Records:
    """The files. Single files are replaced atomically; who changes what is for the caller to order."""

    def __init__(self, folder: Path) -> None:
        self._ports = folder / "ports"
        self._networks = folder / "networks"
        for path in (self._ports, self._networks):
            path.mkdir(parents=True, exist_ok=True)

    def port(self, port_id: str) -> PortRecord | None:
        return _read(self._ports / f"{port_id}.json", PortRecord)

    def ports(self) -> list[PortRecord]:
        found = (_read(path, PortRecord) for path in sorted(self._ports.glob("*.json")))
        return [record for record in found if record is not None]

    def ports_of_network(self, network_id: str) -> list[network.Port]:
        return [record.port for record in self.ports() if record.port.network.id == network_id]

    def save_port(self, record: PortRecord) -> None:
        _save(self._ports / f"{record.port.id}.json", record)

    def forget_port(self, port_id: str) -> None:
        (self._ports / f"{port_id}.json").unlink(missing_ok=True)

    def network(self, network_id: str) -> NetworkRecord | None:
        return _read(self._networks / f"{network_id}.json", NetworkRecord)

    def networks(self) -> list[NetworkRecord]:
        found = (_read(path, NetworkRecord) for path in sorted(self._networks.glob("*.json")))
        return [record for record in found if record is not None]

    def save_network(self, record: NetworkRecord) -> None:
        _save(self._networks / f"{record.network.id}.json", record)

    def forget_network(self, network_id: str) -> None:
        (self._networks / f"{network_id}.json").unlink(missing_ok=True)


def _read(path: Path, shape: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except (OSError, msgspec.DecodeError):
        return None


def _save(path: Path, record: msgspec.Struct) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.new")
    temporary.write_bytes(msgspec.json.encode(record))
    temporary.replace(path)
