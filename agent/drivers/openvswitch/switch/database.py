"""Open vSwitch's database of bridges and ports, followed in memory: reading costs nothing, and changes are heard at once."""

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
from ovsdbapp.backend.ovs_idl import connection, idlutils
from ovsdbapp.backend.ovs_idl.event import RowEvent, RowEventHandler
from ovsdbapp.exceptions import OvsdbAppException
from ovsdbapp.schema.open_vswitch.impl_idl import OvsdbIdl, OvsVsctlTransaction

from agent.drivers.base import DriverError
from agent.drivers.command import run

CODE = "network.switch"
TIMEOUT_S: Final = 10
RUN_DIR: Final = "/var/run/openvswitch"
# Marks what this agent has put on a bridge; the value is the name of its integration bridge.
OURS: Final = "cloudsite"

# Statistics are left out: they change every few seconds.
_COLUMNS: Final = {
    "Open_vSwitch": ["bridges", "next_cfg", "cur_cfg"],
    "Bridge": ["name", "ports", "fail_mode", "other_config", "datapath_type", "external_ids"],
    "Port": ["name", "interfaces", "tag", "external_ids"],
    "Interface": ["name", "type", "ofport", "options", "external_ids", "ifindex"],
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Interface:
    """One interface on a bridge. `ofport` is None while the switch has not opened the device; `index`: the kernel's number of
    the device that it opened, 0 if not known."""

    name: str
    ofport: int | None
    index: int = 0
    kind: str = ""
    options: dict[str, str] = field(default_factory=dict)
    external_ids: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NewPort:
    """A port to be. `kind`: as Open vSwitch calls types of interfaces; empty: a device that exists."""

    name: str
    kind: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)


class Database:
    """Any thread may call. All methods raise DriverError `network.switch`."""

    def __init__(self, rundir: str = "") -> None:
        """`rundir`: folder of Open vSwitch's sockets; empty: $OVS_RUNDIR or the default. Nothing is contacted yet."""
        self.rundir = Path(rundir or os.environ.get("OVS_RUNDIR") or RUN_DIR)
        self._mutex = threading.Lock()
        self._api: Any = None
        self.changed: Callable[[], object] = lambda: None

    def bridges(self) -> set[str]:
        with self._reading() as api:
            return {row.name for row in api.tables["Bridge"].rows.values()}

    def datapath(self, bridge: str) -> str | None:
        """`netdev` (user space) or `system` (the kernel's); None without such a bridge."""
        with self._reading() as api:
            rows = [row for row in api.tables["Bridge"].rows.values() if row.name == bridge]
            return str(rows[0].datapath_type or "system") if rows else None

    def interfaces(self, bridge: str) -> dict[str, Interface]:
        """By name, its own internal one left out; empty without such a bridge."""
        with self._reading() as api:
            return {
                interface.name: _interface(interface)
                for row in api.tables["Bridge"].rows.values()
                if row.name == bridge
                for port in row.ports
                for interface in port.interfaces
                if interface.name != bridge
            }

    def ensure_bridge(self, name: str, *, secure: bool) -> None:
        """Make it unless it is there. `secure`: without flows it forwards nothing; otherwise it is an ordinary switch."""
        if name in self.bridges():
            return
        options = {"disable-in-band": "true"}
        mode = "secure" if secure else "standalone"

        def make(api: Any, transaction: Any) -> None:
            kind = "system" if kernel_datapath() else "netdev"
            transaction.add(api.add_br(name, may_exist=True, datapath_type=kind))
            transaction.add(api.db_set("Bridge", name, ("fail_mode", mode), ("other_config", options)))

        self._change(make)

    def remove_bridge(self, name: str) -> None:
        self._change(lambda api, transaction: transaction.add(api.del_br(name, if_exists=True)))

    def change_ports(self, bridge: str, *, add: list[NewPort] | None = None, delete: list[str] | None = None) -> None:
        """In one transaction; waits until the switch has carried it out."""
        if not add and not delete:
            return

        def change(api: Any, transaction: Any) -> None:
            for name in delete or []:
                transaction.add(api.del_port(name, bridge=bridge, if_exists=True))
            for port in add or []:
                transaction.add(api.add_port(bridge, port.name, may_exist=True))
                columns: list[tuple[str, Any]] = [("external_ids", dict(port.external_ids))]
                if port.kind:
                    columns += [("type", port.kind), ("options", dict(port.options))]
                transaction.add(api.db_set("Interface", port.name, *columns))

        self._change(change)

    def set_external_ids(self, interface: str, external_ids: Mapping[str, str]) -> None:
        self._change(
            lambda api, transaction: transaction.add(
                api.db_set("Interface", interface, ("external_ids", dict(external_ids)), if_exists=True)
            )
        )

    def close(self) -> None:
        with self._mutex:
            api, self._api = self._api, None
        if api is not None:
            api.idl.notify_handler.shutdown()
            api.ovsdb_connection.stop(timeout=2)

    def _change(self, fill: Callable[[Any, Any], object]) -> None:
        api = self._connected()
        transaction = OvsVsctlTransaction(
            api, api.ovsdb_connection, timeout=TIMEOUT_S, check_error=True, log_errors=False
        )
        try:
            fill(api, transaction)
            transaction.commit()
        except (OvsdbAppException, RuntimeError, idlutils.RowNotFound) as error:
            raise DriverError(CODE, f"Open vSwitch: {error}") from error

    def _reading(self) -> "_Reading":
        return _Reading(self._connected())

    def _connected(self) -> Any:
        with self._mutex:
            if self._api is None:
                self._api = self._connect()
            return self._api

    def _connect(self) -> Any:
        remote = f"unix:{self.rundir}/db.sock"
        # A database that nobody has used yet lacks its one row.
        run("ovs-vsctl", f"--db={remote}", "--timeout=5", "--no-wait", "init", code=CODE)
        try:
            helper = idlutils.get_schema_helper(remote, "Open_vSwitch")
            for table, columns in _COLUMNS.items():
                helper.register_columns(table, columns)
            idl = _Idl(remote, helper, leader_only=False)
            idl.notify_handler.watch_event(_PortEvent(self._heard))
            return _Api(connection.Connection(idl, TIMEOUT_S))
        except Exception as error:  # the library's own kinds, and bare Exception
            raise DriverError(CODE, f"Open vSwitch does not answer at {remote}: {error}") from error

    def _heard(self) -> None:
        self.changed()


class _Reading:
    """Keeps the library from changing its copy of the tables meanwhile."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def __enter__(self) -> Any:
        self._api.ovsdb_connection.lock.acquire()
        return self._api

    def __exit__(self, *_: object) -> None:
        self._api.ovsdb_connection.lock.release()


class _Api(OvsdbIdl):
    """With a connection of its own; the library has all of a class share the first one."""

    ovsdb_connection = None


class _Idl(connection.OvsdbIdl):
    """The library's copy, with its events handed on."""

    def __init__(self, remote: str, helper: Any, **kwargs: Any) -> None:
        self.notify_handler = RowEventHandler()
        super().__init__(remote, helper, **kwargs)

    def notify(self, event: str, row: Any, updates: Any = None) -> None:
        self.notify_handler.notify(event, row, updates)


class _PortEvent(RowEvent):
    """A port came, went, or was given another number."""

    def __init__(self, heard: Callable[[], object]) -> None:
        super().__init__((self.ROW_CREATE, self.ROW_UPDATE, self.ROW_DELETE), "Interface", None)
        self._heard = heard

    def match_fn(self, event: str, row: Any, old: Any) -> bool:
        return event != self.ROW_UPDATE or hasattr(old, "ofport")

    def run(self, event: str, row: Any, old: Any) -> None:
        self._heard()


def kernel_datapath() -> bool:
    """True when the kernel has Open vSwitch's module (loading it when it can be loaded)."""
    module = Path("/sys/module/openvswitch")
    if not module.exists():
        with suppress(DriverError):
            run("modprobe", "-q", "openvswitch", code=CODE)
    return module.exists()


def _interface(row: Any) -> Interface:
    number = row.ofport[0] if row.ofport else None
    return Interface(
        name=row.name,
        ofport=number if number is not None and number > 0 else None,
        index=row.ifindex[0] if row.ifindex else 0,
        kind=row.type,
        options=dict(row.options),
        external_ids=dict(row.external_ids),
    )
