"""One instance's domain. Never touches a domain that does not say in its metadata that it is ours."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import libvirt

from agent.drivers.base import DriverError
from agent.drivers.libvirt.host import CALL_TIMEOUT_S, START_TIMEOUT_S, Host, failed
from agent.drivers.libvirt.xml import NAMESPACE, domain_name, interface_of, owner_of
from contracts.compute.v1 import PowerState

POLL_S = 0.1
# How long a guest may take to let go of a card, and how often it is asked: one that is booting does not hear it.
RELEASE_TIMEOUT_S, RELEASE_AGAIN_S = 60.0, 5.0
# A guest that is still booting does not hear the first press of the power button.
PRESS_AGAIN_S = 5.0
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.RUNNING,  # being shut down, still there
    libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTOFF: PowerState.SHUTOFF,
    libvirt.VIR_DOMAIN_CRASHED: PowerState.CRASHED,
}
_NOW, _LATER = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
_XML = {_NOW: 0, _LATER: libvirt.VIR_DOMAIN_XML_INACTIVE}
T = TypeVar("T")


def power_state(state: int, reason: int) -> PowerState:
    """libvirt's words as ours. QEMU that died by itself leaves a domain that is shut off because it crashed."""
    if state == libvirt.VIR_DOMAIN_SHUTOFF and reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED:
        return PowerState.CRASHED
    return _STATES.get(state, PowerState.RUNNING)


class Guest:
    """All methods raise DriverError `hypervisor.*`, and `instance.foreign` for somebody else's domain."""

    def __init__(self, host: Host, instance_id: str, host_id: str) -> None:
        self._host = host
        self._id = instance_id
        self._owner = (instance_id, host_id)

    def state(self) -> PowerState:
        """ABSENT when there is none."""
        return self._call(lambda domain: power_state(*domain.state()) if domain else PowerState.ABSENT)

    def define(self, xml: str) -> None:
        """Make libvirt know it, in place of what it knew before."""

        def work(connection: Any) -> None:
            self._find(connection)  # refuses somebody else's
            connection.defineXML(xml)

        with _translated():
            self._host.call(work, timeout_s=START_TIMEOUT_S)

    def start(self) -> None:
        """Make it run; fine when it does already. Raises DriverError `instance.absent`."""

        def work(domain: Any) -> None:
            if domain is None:
                raise _absent(self._id)
            if not domain.isActive():
                with _suppressed(libvirt.VIR_ERR_OPERATION_INVALID, unless=lambda: not domain.isActive()):
                    domain.create()
            elif _is_paused(domain):
                # Or still being started, for an agent that has died since; then resuming waits until it has been.
                with _suppressed(libvirt.VIR_ERR_OPERATION_INVALID, unless=lambda: _is_paused(domain)):
                    domain.resume()

        self._call(work, timeout_s=START_TIMEOUT_S)

    def destroy(self) -> None:
        """End QEMU, the domain stays defined; fine when it does not run. Returns once the process is gone."""

        # The default flag: SIGTERM at first, as with the graceful one, but SIGKILL when that does not help. Neither is
        # quicker than the other; libvirt looks every 0.2 s whether the process has been reaped by its parent.
        def work(domain: Any) -> None:
            if domain and domain.isActive():
                with _suppressed(libvirt.VIR_ERR_OPERATION_INVALID, unless=domain.isActive):
                    domain.destroy()

        self._call(work, timeout_s=START_TIMEOUT_S)

    def undefine(self) -> None:
        """Make libvirt forget it; fine when it knows nothing. Not while it runs."""
        self._call(lambda domain: domain.undefineFlags(_UNDEFINE) if domain else None)

    def remove(self) -> None:
        """Neither running nor defined."""
        self.destroy()
        self.undefine()

    def stop(self, grace_s: float) -> bool:
        """Press the power button, wait up to `grace_s` seconds, then destroy. True when it ended by itself."""
        until = time.monotonic() + grace_s
        press_at = 0.0
        while self._is_active():
            now = time.monotonic()
            if now >= until:
                self.destroy()
                return False
            if now >= press_at:
                self._press_power_button()
                press_at = now + PRESS_AGAIN_S
            time.sleep(min(POLL_S, max(0.0, until - now)))
        return True

    def has(self, port_id: str) -> bool:
        """Has it the card of `port_id`, for later starts too?"""
        return self._call(lambda domain: bool(domain and interface_of(domain.XMLDesc(_XML[_LATER]), port_id)))

    def plug(self, xml: str, port_id: str) -> None:
        """Give it the card of `port_id` unless it has it, now and at later starts. Raises DriverError `instance.absent`."""

        def work(domain: Any) -> None:
            if domain is None:
                raise _absent(self._id)
            for how in _present(domain):
                if interface_of(domain.XMLDesc(_XML[how]), port_id) is None:
                    domain.attachDeviceFlags(xml, how)

        self._call(work, timeout_s=START_TIMEOUT_S)

    def unplug(self, port_id: str, *, timeout_s: float = RELEASE_TIMEOUT_S) -> None:
        """Take the card of `port_id` away, and return once the guest has let go of it; fine when there is none.

        Raises DriverError `instance.absent`, or `card.held` when the guest did not let go in time: it still has it then.
        """
        until = time.monotonic() + timeout_s
        ask_at = 0.0
        while self._has_live(port_id):
            now = time.monotonic()
            if now >= until:
                message = f"the guest has not released the card within {timeout_s:g} s; it is as it was"
                raise DriverError("card.held", message, retryable=False)
            if now >= ask_at:
                self._ask_for_release(port_id)
                ask_at = now + RELEASE_AGAIN_S
            time.sleep(POLL_S)

        def forget(domain: Any) -> None:
            if domain and (xml := interface_of(domain.XMLDesc(_XML[_LATER]), port_id)):
                domain.detachDeviceFlags(xml, _LATER)

        self._call(forget)

    def _has_live(self, port_id: str) -> bool:
        def work(domain: Any) -> bool:
            if domain is None:
                raise _absent(self._id)
            return bool(domain.isActive()) and interface_of(domain.XMLDesc(0), port_id) is not None

        return self._call(work)

    def _ask_for_release(self, port_id: str) -> None:
        def work(domain: Any) -> None:
            if domain and domain.isActive() and (xml := interface_of(domain.XMLDesc(0), port_id)):
                # It may be under way since the last time, or the guest may have ended; what matters is looked at next.
                with suppress(libvirt.libvirtError):
                    domain.detachDeviceFlags(xml, _NOW)

        self._call(work)

    def _press_power_button(self) -> None:
        def work(domain: Any) -> None:
            if domain and domain.isActive():
                # It may have ended just now; what it cannot do at all shows when the grace is over.
                with suppress(libvirt.libvirtError):
                    domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)

        self._call(work)

    def _is_active(self) -> bool:
        return self._call(lambda domain: bool(domain and domain.isActive()))

    def _call(self, work: Callable[[Any], T], *, timeout_s: float = CALL_TIMEOUT_S) -> T:
        with _translated():
            return self._host.call(lambda connection: work(self._find(connection)), timeout_s=timeout_s)

    def _find(self, connection: Any) -> Any:
        """The domain, or None. Raises DriverError `instance.foreign`."""
        try:
            domain = connection.lookupByUUIDString(self._id)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise
        if owner(domain) != self._owner:
            message = f"domain {self._id} exists on this host and belongs to somebody else"
            raise DriverError("instance.foreign", message, retryable=False)
        return domain


def owner(domain: Any) -> tuple[str, str] | None:
    """(instance id, host id) that the domain says it belongs to; None when it says nothing, or has just vanished."""
    try:
        return owner_of(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE))
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_DOMAIN):
            return None
        raise


def states(host: Host, host_id: str) -> dict[str, PowerState]:
    """Instance id → state of every domain that is ours."""

    def work(connection: Any) -> dict[str, PowerState]:
        # One request for all of them, and none waits for a domain that is busy.
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        found = {}
        for domain, stats in connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, flags):
            instance_id = domain.UUIDString()
            if domain.name() == domain_name(instance_id) and owner(domain) == (instance_id, host_id):
                found[instance_id] = power_state(stats.get("state.state", 0), stats.get("state.reason", 0))
        return found

    with _translated():
        return host.call(work)


def _present(domain: Any) -> tuple[int, ...]:
    """The forms in which a domain is there: as it runs, and as it will be started."""
    return (_NOW, _LATER) if domain.isActive() else (_LATER,)


def _is_paused(domain: Any) -> bool:
    return bool(domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        raise failed(error) from error


@contextmanager
def _suppressed(code: int, *, unless: Callable[[], Any]) -> Iterator[None]:
    """Let pass an error that says "it is so already", when it is."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return
        if error.get_error_code() != code or unless():
            raise


def _absent(instance_id: str) -> DriverError:
    return DriverError("instance.absent", f"no domain for instance {instance_id} on this host", retryable=False)
