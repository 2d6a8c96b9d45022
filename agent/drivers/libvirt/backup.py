"""Copies of a running guest's disk: QEMU writes the disk as it was at one moment beside it, and the guest goes on meanwhile.

Nothing is put between guest and disk (no overlay that would have to be merged again), so whatever becomes of the copy, of the
agent or of libvirtd, the guest's own disk is as it always was.
"""

import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import libvirt
import structlog

from agent.drivers.base import DriverError
from agent.drivers.libvirt.guest import Guest
from agent.drivers.libvirt.host import START_TIMEOUT_S
from agent.drivers.libvirt.snapshots import FAILED, POLL_S, Copy

log = structlog.get_logger(__name__)

# How long the guest's agent may take to answer; freezing writes out what the guest holds in memory.
AGENT_TIMEOUT_S = 15
ABORT_TIMEOUT_S = 30.0
# The guest has no agent, or none that answers.
_NO_AGENT = frozenset({
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED, libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
})


class CopiedGuest(Guest):
    """Keeps what snapshots.py wants of a guest. All methods raise DriverError, as those of Guest do."""

    def freeze(self) -> bool:
        """Have the guest's file systems at rest, by its agent. False: no agent answered, or it could not; `thaw` all the same."""

        def work(domain: Any) -> bool:
            if domain is None or not domain.isActive():
                return False
            try:
                domain.agentSetResponseTimeout(AGENT_TIMEOUT_S)
                return bool(domain.fsFreeze() >= 0)
            except libvirt.libvirtError as error:
                log.info("guest.not_frozen", instance=self._id, reason=str(error))
                return False

        return self._call(work, timeout_s=START_TIMEOUT_S)

    def thaw(self) -> None:
        """Have the file systems go on; fine when they were not at rest, or the guest has ended.

        Raises DriverError `snapshot.thaw` when its agent does not say that they do.
        """

        def work(domain: Any) -> None:
            if domain is None or not domain.isActive():
                return
            try:
                domain.agentSetResponseTimeout(AGENT_TIMEOUT_S)
                domain.fsThaw()
            except libvirt.libvirtError as error:
                if domain.isActive():
                    raise DriverError("snapshot.thaw", f"the guest's file systems may be at rest still: {error}") from error

        self._call(work, timeout_s=START_TIMEOUT_S)

    def has_agent(self) -> bool:
        """Whether the guest's agent is there and answers; asked before anything depends on it."""

        def work(domain: Any) -> bool:
            if domain is None or not domain.isActive():
                return False
            try:
                domain.agentSetResponseTimeout(AGENT_TIMEOUT_S)
                domain.fsInfo()
            except libvirt.libvirtError as error:
                # One that answers with a refusal is there.
                if error.get_error_code() not in _NO_AGENT:
                    return True
                log.info("guest.no_agent", instance=self._id, reason=str(error))
                return False
            return True

        return self._call(work, timeout_s=START_TIMEOUT_S)

    def begin(self, disk: str, target: Path) -> bool:
        """Have the disk as it is now written to `target`, a qcow2 file of its size that is there. False: the guest has ended."""

        def work(domain: Any) -> bool:
            if domain is None or not domain.isActive():
                return False
            others = [name for name in disks_of(domain.XMLDesc(0)) if name != disk]
            domain.backupBegin(backup_xml(disk, target, others), None, libvirt.VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL)
            return True

        return self._call(work, timeout_s=START_TIMEOUT_S)

    def copied(self) -> Copy | None:
        """How far it is; None: the guest has ended, and the copy with it. Raises DriverError `snapshot.failed`."""

        def work(domain: Any) -> Copy | None:
            if domain is None or not domain.isActive():
                return None
            now = domain.jobStats()
            if _is_backup(now):
                return Copy(now.get("disk_processed", 0), now.get("disk_total", 0))
            then = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED)
            if then.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP and then.get("type") == libvirt.VIR_DOMAIN_JOB_COMPLETED:
                total = then.get("disk_total", 0)
                return Copy(total, total, ended=True)
            reason = then.get("errmsg") or "it was broken off"
            raise DriverError(FAILED, f"QEMU could not copy the disk: {reason}")

        return self._call(work)

    def abort(self) -> None:
        """End a copy that is under way, and return once QEMU has let go of it; fine when there is none."""

        def is_under_way(domain: Any) -> bool:
            return bool(domain and domain.isActive()) and _is_backup(domain.jobStats())

        def ask(domain: Any) -> None:
            if is_under_way(domain):
                try:
                    domain.abortJob()
                except libvirt.libvirtError:
                    if is_under_way(domain):
                        raise

        until = time.monotonic() + ABORT_TIMEOUT_S
        self._call(ask)
        while self._call(is_under_way):
            if time.monotonic() > until:
                raise DriverError(FAILED, f"QEMU did not end the copy within {ABORT_TIMEOUT_S:g} s")
            time.sleep(POLL_S)


def backup_xml(disk: str, target: Path, others: list[str]) -> str:
    """What libvirt is asked for: one disk, whole, by QEMU itself."""
    backup = ET.Element("domainbackup", mode="push")
    disks = ET.SubElement(backup, "disks")
    wanted = ET.SubElement(disks, "disk", name=disk, backup="yes", type="file")
    ET.SubElement(wanted, "driver", type="qcow2")
    ET.SubElement(wanted, "target", file=str(target))
    for name in others:
        ET.SubElement(disks, "disk", name=name, backup="no")
    return ET.tostring(backup, encoding="unicode")


def disks_of(domain: str) -> list[str]:
    """Names of a domain's disks, such as `vda`."""
    return [target.get("dev", "") for target in ET.fromstring(domain).iterfind("devices/disk/target")]


def _is_backup(stats: dict[str, Any]) -> bool:
    if stats.get("type", libvirt.VIR_DOMAIN_JOB_NONE) == libvirt.VIR_DOMAIN_JOB_NONE:
        return False
    return bool(stats.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP)
