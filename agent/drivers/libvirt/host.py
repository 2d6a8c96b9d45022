"""The connection to libvirt: one per process, remade when libvirtd was restarted, every call bounded in time."""

import platform
import shutil
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import libvirt
import structlog

from agent.drivers.base import DriverError

UNAVAILABLE = "hypervisor.unavailable"
FAILED = "hypervisor.failed"
CALL_TIMEOUT_S = 30.0
# libvirt may first examine the QEMU binaries anew: some seconds once, or a minute at every start where the user that
# QEMU runs as may not open a /dev/kvm that root may (libvirt then forgets what it has learnt each time).
START_TIMEOUT_S = 180.0
# Calls that never came back; with more of them than this, new ones are refused at once instead of piling up.
MAX_HUNG_CALLS = 32
KEEPALIVE_S, KEEPALIVE_MISSES = 5, 5

T = TypeVar("T")
log = structlog.get_logger(__name__)

# What the client library says when the other end has gone away; only then is it sound to ask again.
_DISCONNECTED = frozenset({libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_CONN, libvirt.VIR_ERR_RPC})
_TRANSPORT = frozenset({libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE})

libvirt.registerErrorHandler(lambda _context, _error: None, None)  # errors are raised; stderr need not hear them too


class Host:
    """One libvirt. Methods are called from any thread."""

    def __init__(self, uri: str) -> None:
        """Nothing is opened before the first call."""
        self.uri = uri
        self._opening = threading.Lock()
        self._connection: Any = None
        self._hung = 0
        self._hung_mutex = threading.Lock()

    def call(self, what: Callable[[Any], T], *, timeout_s: float = CALL_TIMEOUT_S) -> T:
        """Run `what(connection)`; once more with a new connection when the old one turned out to be dead.

        So `what` must be fit to be repeated. libvirt's own errors pass through as `libvirt.libvirtError`.
        Raises DriverError `hypervisor.unavailable` when libvirt is not there or does not answer in time.
        """
        try:
            return self._attempt(what, timeout_s)
        except libvirt.libvirtError as error:
            if not _is_disconnect(error):
                raise
            log.info("libvirt.reconnect", reason=str(error))
            self._drop()
        try:
            return self._attempt(what, timeout_s)
        except libvirt.libvirtError as error:
            if _is_disconnect(error):
                self._drop()
                raise DriverError(UNAVAILABLE, f"libvirt: {error}") from error
            raise

    def _attempt(self, what: Callable[[Any], T], timeout_s: float) -> T:
        connection = self._bounded(self._connect, min(timeout_s, CALL_TIMEOUT_S))
        return self._bounded(lambda: what(connection), timeout_s)

    def _connect(self) -> Any:
        with self._opening:
            if self._connection is None:
                _start_event_loop_if_remote(self.uri)
                connection = libvirt.open(self.uri)
                if _is_remote(self.uri):
                    connection.setKeepAlive(KEEPALIVE_S, KEEPALIVE_MISSES)
                self._connection = connection
            return self._connection

    def _drop(self) -> None:
        with self._opening:
            self._connection = None

    def _bounded(self, work: Callable[[], T], timeout_s: float) -> T:
        """Run in a thread that may be left behind: libvirt's C calls cannot be interrupted."""
        if self._hung >= MAX_HUNG_CALLS:
            raise DriverError(UNAVAILABLE, f"libvirt: {self._hung} calls have not come back")
        result: list[T] = []
        raised: list[BaseException] = []

        def body() -> None:
            try:
                result.append(work())
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=body, name="libvirt-call", daemon=True)
        thread.start()
        thread.join(timeout_s)
        if thread.is_alive():
            self._leave_behind(thread)
            raise DriverError(UNAVAILABLE, f"libvirt: no answer within {timeout_s:g} s")
        if raised:
            raise raised[0]
        return result[0]

    def _leave_behind(self, thread: threading.Thread) -> None:
        with self._hung_mutex:
            self._hung += 1
        # A lock that the hung call may hold, and its connection, are left to it.
        self._opening, self._connection = threading.Lock(), None

        def wait() -> None:
            thread.join()
            with self._hung_mutex:
                self._hung -= 1

        threading.Thread(target=wait, name="libvirt-hung", daemon=True).start()


class Facts:
    """What the host is, asked once per process."""

    def __init__(self, host: Host) -> None:
        self.arch = platform.machine()
        text: str = host.call(lambda connection: connection.getCapabilities(), timeout_s=START_TIMEOUT_S)
        root = ET.fromstring(text)
        self.owner = _owner(root)
        self.emulator = self._emulator(root)
        self.qemu_version = str(host.call(lambda connection: connection.getVersion()))

    @property
    def uid_gid(self) -> tuple[int, int]:
        """What QEMU runs as."""
        uid, _, gid = self.owner.partition(":")
        return int(uid.lstrip("+")), int(gid.lstrip("+"))

    def _emulator(self, capabilities: ET.Element) -> str:
        path = capabilities.findtext(f"guest/arch[@name='{self.arch}']/emulator")
        path = path or shutil.which(f"qemu-system-{self.arch}") or ""
        if not Path(path).exists():
            raise DriverError(UNAVAILABLE, f"no emulator for {self.arch} on this host")
        return path


def _owner(capabilities: ET.Element) -> str:
    """`+uid:+gid` that libvirt runs QEMU as unless told otherwise."""
    for model in capabilities.iter("secmodel"):
        if model.findtext("model") == "dac":
            labels = {label.get("type"): label.text or "" for label in model.iter("baselabel")}
            if label := labels.get("qemu") or labels.get("kvm"):
                return label
    return "+0:+0"


def failed(error: Exception) -> DriverError:
    """libvirt's error as ours."""
    return DriverError(FAILED, f"libvirt: {error}")


def _is_disconnect(error: Exception) -> bool:
    code, domain = error.get_error_code(), error.get_error_domain()  # type: ignore[attr-defined]
    if code in _DISCONNECTED:
        return True
    # "Cannot recv data", "End of file while reading data", "client socket is closed".
    return domain in _TRANSPORT and code in (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_INTERNAL_ERROR)


def _is_remote(uri: str) -> bool:
    return bool(urlsplit(uri).hostname)


_event_loop_started = threading.Event()


def _start_event_loop_if_remote(uri: str) -> None:
    """Keepalive needs libvirt's event loop, which must run before the first connection is opened."""
    if not _is_remote(uri) or _event_loop_started.is_set():
        return
    _event_loop_started.set()
    libvirt.virEventRegisterDefaultImpl()

    def loop() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=loop, name="libvirt-events", daemon=True).start()
