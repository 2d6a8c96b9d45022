"""Keeps the Hypervisor protocol with libvirt.

Everything of an instance lies in one folder: `instance.json` (see record.py), `base`, `kernel` and `ramdisk` (hard
links into the image cache), `disk.qcow2` (the overlay on `base`), `config.iso`, `console.log`, with UEFI `nvram.fd`, and
for a while what snapshots.py makes.
"""

import os
import platform
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from agent.config import Config
from agent.drivers import base
from agent.drivers.base import Capabilities, DriverError, PortBinding, Trace, Undo
from agent.drivers.ids import checked, checked_card
from agent.drivers.libvirt import configdrive, disks, firmware, guest, inventory, kvm, record, traits
from agent.drivers.libvirt.backup import CopiedGuest
from agent.drivers.libvirt.folders import Folders
from agent.drivers.libvirt.guest import Guest
from agent.drivers.libvirt.host import Facts, Host
from agent.drivers.libvirt.snapshots import Snapshots
from agent.drivers.libvirt.xml import DISK, DomainSpec, Machine, domain_name, domain_xml, interface_xml
from contracts.compute import v1 as compute
from contracts.compute import v2 as compute2
from contracts.compute import v3 as compute3
from contracts.compute.v1 import Firmware, PowerAction, PowerState
from contracts.network.v2 import Card

RUN_DIR = Path("/run/cloudsite")
# Where libvirtd keeps what QEMU said on standard error, one file per domain, for ever unless somebody removes it.
LIBVIRT_LOGS = Path("/var/log/libvirt/qemu")
CHECK_TIMEOUT_S = 5.0


class HostNetwork(base.Network, Protocol):
    """What this driver wants of a network driver beyond the protocol."""

    @property
    def offloads(self) -> bool:
        """May guests leave checksums and segmentation to the host?"""


class LibvirtDriver:
    """Instances on this host."""

    def __init__(
        self, config: Config, *, images: base.ImageStore, network: HostNetwork, run_dir: Path = RUN_DIR
    ) -> None:
        """`run_dir`: see Folders. libvirt is not contacted before the first call."""
        self._state_dir = Path(config.state_dir)
        self._host_id = config.hosts[0].id
        self._emulate = config.emulate
        self._images = images
        self._network = network
        self.host = Host(config.libvirt_uri)
        self.folders = Folders(self._state_dir, run_dir)
        self.snapshots = Snapshots(
            self.folders,
            lambda instance_id: CopiedGuest(self.host, instance_id, self._host_id),
            lambda: self._learned().uid_gid,
            ca_file=config.ca_file,
        )
        self._facts: Facts | None = None
        self._kvm: bool | None = None
        self._learning = threading.Lock()

    def capabilities(self) -> Capabilities:
        """Raises DriverError `hypervisor.unavailable`."""
        uses_kvm = self.machine().kvm
        return Capabilities(
            hypervisor="libvirt",
            inventory=inventory.inventory(self._state_dir),
            traits=traits.traits(
                kvm=uses_kvm, uefi=firmware.find(self._learned().arch) is not None, state_dir=self._state_dir
            ),
        )

    def load_percent(self) -> int:
        return inventory.load_percent()

    def check(self) -> None:
        """Raises DriverError `hypervisor.unavailable`."""
        self.host.call(lambda connection: connection.getLibVersion(), timeout_s=CHECK_TIMEOUT_S)

    def network(self) -> base.Network:
        return self._network

    def build(self, command: compute2.Build, trace: Trace, undo: Undo, stopped: Callable[[], bool] = lambda: False) -> None:
        """Make the instance run. Repeated at any point, it goes on from what is there."""
        _check_build(command)
        domain = self._guest(command.instance_id)
        if domain.state() is PowerState.RUNNING:
            # Nothing goes on `undo`: what runs is not taken down because its repeat failed.
            self._plugged(command.cards)
            return
        undo.push("files", lambda: self._remove_files(command.instance_id))
        folder = self.folders.make(command.instance_id)
        with trace.step("image.ready"):
            self._link_images(command, folder, trace, stopped)
            record.save(folder, command)
        with trace.step("disk.made", f"{command.disk_gb} GiB"):
            disks.ensure_overlay(
                folder / DISK,
                folder / "base",
                command.image.disk_format,
                disk_gb=command.disk_gb,
                owner=self._learned().uid_gid,
            )
        with trace.step("config_drive.made"):
            configdrive.write(folder / "config.iso", command, owner=self._learned().uid_gid)
        self._run(command, trace, undo)

    def delete(self, command: compute2.Delete, trace: Trace) -> None:
        """End and remove everything of the instance."""
        checked(command.instance_id, "instance")
        with trace.step("domain.stopped"):
            self._guest(command.instance_id).remove()
        with trace.step("ports.removed"):
            for card in self._network.cards_of(command.instance_id):
                self._network.unplug(card.id)
        with trace.step("disk.removed"):
            self._remove_files(command.instance_id)

    def attach(self, command: compute2.Attach, trace: Trace, undo: Undo) -> None:
        """Plug a card in, into a running guest too. Raises DriverError `instance.absent`."""
        card, domain = checked_card(command.card), self._guest(checked(command.instance_id, "instance"))
        if domain.state() is PowerState.ABSENT:
            raise _absent(command.instance_id)
        folder = self.folders.of(command.instance_id)
        known = record.load(folder)
        cards = [each for each in known.cards if each.id != card.id]
        if not domain.has(card.id):
            undo.push("card", lambda: self._take_out(command.instance_id, card.id))
        with trace.step("ports.ready", _told([card])):
            binding = self._network.plug(card, command.instance_id)
            record.save(folder, msgspec.structs.replace(known, cards=[*cards, card]))
        with trace.step("card.plugged"):
            domain.plug(interface_xml(binding, self.machine()), card.id)
            self._plugged([card])

    def detach(self, command: compute2.Detach, trace: Trace) -> None:
        """Take a card out, of a running guest once it has let go of it. Raises DriverError `instance.absent`, `card.held`."""
        checked(command.card, "card")
        if self._guest(checked(command.instance_id, "instance")).state() is PowerState.ABSENT:
            raise _absent(command.instance_id)
        with trace.step("card.unplugged"):
            self._take_out(command.instance_id, command.card)

    def power(self, command: compute.Power, trace: Trace) -> None:
        """Start, stop or reboot. Raises DriverError `instance.absent`."""
        domain = self._guest(checked(command.instance_id, "instance"))
        state = domain.state()
        if state is PowerState.ABSENT:
            raise _absent(command.instance_id)
        if command.action is PowerAction.START:
            if state is not PowerState.RUNNING:
                self._start_again(command.instance_id, trace)
            return
        with trace.step("domain.stopped"):
            if command.action is PowerAction.REBOOT_HARD:
                domain.destroy()
            else:
                domain.stop(command.grace_s)
        if command.action is not PowerAction.STOP:
            self._start_again(command.instance_id, trace)

    def snapshot(self, command: compute3.Snapshot, trace: Trace, stopped: Callable[[], bool]) -> compute3.Saved:
        checked(command.instance_id, "instance")
        return self.snapshots.take(command, trace, stopped)

    def seed(self, command: compute3.Seed, trace: Trace) -> compute3.CachedImage:
        with trace.step("image.ready"):
            self._images.ensure(command.image, trace, progress=trace.progress)
        here = {each.sha256: each for each in self._images.listed()}
        if command.image.sha256 not in here:
            raise DriverError("image.unavailable", f"image {command.image.id}: dropped again at once: the cache is too small")
        return here[command.image.sha256]

    def images(self) -> list[compute3.CachedImage]:
        return self._images.listed()

    def tend(self) -> None:
        self._images.tidy()
        self.snapshots.tend()

    def console(self, command: compute.Console) -> compute.ConsoleOutput:
        """The log's tail, over restarts of the guest. Raises DriverError `instance.absent`."""
        folder = self.folders.of(checked(command.instance_id, "instance"))
        if not folder.exists():
            raise _absent(command.instance_id)
        # virtlogd begins a new file now and then and calls the former one `.0`.
        names = ("console.log.0", "console.log")
        content = b"".join(_tail(folder / name, command.max_bytes + 1) for name in names)
        return compute.ConsoleOutput(
            instance_id=command.instance_id,
            text=content[-command.max_bytes :].decode(errors="replace") if command.max_bytes > 0 else "",
            truncated=len(content) > command.max_bytes,
        )

    def observe(self, instance_id: str) -> compute.Domain:
        """What is true now; ABSENT, with what was left behind, for one that has no domain."""
        state = self._guest(checked(instance_id, "instance")).state()
        kinds = [] if state is not PowerState.ABSENT else self._network.residue().get(instance_id, [])
        return self._domain(instance_id, state, kinds)

    def observe_all(self) -> list[compute.Domain]:
        """Every instance that has a domain, a folder or something in the network."""
        # Domains last: one that is being built meanwhile shows as residue at worst, never as lost.
        ids = set(self.folders.ids())
        kinds = self._network.residue()
        states = guest.states(self.host, self._host_id)
        return [
            self._domain(instance_id, states.get(instance_id, PowerState.ABSENT), kinds.get(instance_id, []))
            for instance_id in sorted(ids | set(kinds) | set(states))
        ]

    def machine(self) -> Machine:
        """What domains here are made for. Raises DriverError `hypervisor.unavailable`."""
        facts = self._learned()
        return Machine(
            kvm=self._uses_kvm(facts),
            arch=facts.arch,
            emulator=facts.emulator,
            owner=facts.owner,
            offloads=self._network.offloads,
        )

    def _run(self, command: compute2.Build, trace: Trace, undo: Undo) -> None:
        """Cards, domain, and what the cards need once it runs."""
        with trace.step("ports.ready", _told(command.cards)):
            bindings = []
            for card in command.cards:
                undo.push("port", lambda card=card: self._network.unplug(card.id))  # type: ignore[misc]
                bindings.append(self._network.plug(card, command.instance_id))
        with trace.step("domain.started"):
            domain = self._guest(command.instance_id)
            undo.push("domain", domain.remove)
            domain.define(domain_xml(self._spec(command, bindings), self.machine()))
            domain.start()
            self._plugged(command.cards)

    def _start_again(self, instance_id: str, trace: Trace) -> None:
        """All as at first, from the record: the host may have been rebooted in between, and cards may have come and gone."""
        folder = self.folders.of(instance_id)
        command = record.load(folder)
        configdrive.write(folder / "config.iso", command, owner=self._learned().uid_gid)
        self._run(command, trace, _NoUndo())

    def _take_out(self, instance_id: str, card_id: str) -> None:
        self._guest(instance_id).unplug(card_id)
        folder = self.folders.of(instance_id)
        known = record.load(folder)
        record.save(folder, msgspec.structs.replace(known, cards=[card for card in known.cards if card.id != card_id]))
        self._network.unplug(card_id)

    def _plugged(self, cards: list[Card]) -> None:
        for card in cards:
            self._network.plugged(card.id)

    def _link_images(self, command: compute2.Build, folder: Path, trace: Trace, stopped: Callable[[], bool]) -> None:
        wanted = {"base": command.image, "kernel": command.kernel, "ramdisk": command.ramdisk}
        for name, image in wanted.items():
            if image is not None:
                self._link_image(image, folder / name, trace, stopped)

    def _link_image(self, image: compute.Image, target: Path, trace: Trace, stopped: Callable[[], bool]) -> None:
        for attempt in (1, 2):
            local = self._images.ensure(image, trace, stopped=stopped)
            try:
                disks.link(local.path, target, stopped)
            except FileNotFoundError:
                # Dropped from the cache between the two lines above, to make room for another one.
                if attempt == 2:
                    raise DriverError("image.unavailable", f"image {image.id}: the cache is too small") from None
            else:
                return

    def _spec(self, command: compute2.Build, bindings: list[PortBinding]) -> DomainSpec:
        seen = self.folders.as_seen_by(self._learned().uid_gid, command.instance_id)
        return DomainSpec(
            instance_id=command.instance_id,
            host_id=self._host_id,
            title=command.name,
            vcpus=command.vcpus,
            memory_mb=command.memory_mb,
            disk=str(seen / DISK),
            base=str(seen / "base"),
            base_format=command.image.disk_format,
            config_drive=str(seen / "config.iso"),
            console_log=str(seen / "console.log"),
            kernel=str(seen / "kernel") if command.kernel else "",
            ramdisk=str(seen / "ramdisk") if command.ramdisk else "",
            kernel_args=command.kernel_args,
            ports=bindings,
            disk_bus=command.disk_bus,
            uefi=self._uefi(command, seen),
            guest_agent=command.guest_agent,
        )

    def _uefi(self, command: compute2.Build, seen: Path) -> tuple[str, str] | None:
        if command.firmware is not Firmware.UEFI:
            return None
        found = firmware.find(self._learned().arch)
        if found is None:
            raise DriverError("instance.firmware", "the image needs UEFI firmware, and this host has none (Debian: ovmf)")
        firmware.ensure_variables(self.folders.of(command.instance_id), found, owner=self._learned().uid_gid)
        return str(found.code), str(seen / firmware.VARIABLES)

    def _remove_files(self, instance_id: str) -> None:
        self.folders.remove(instance_id)
        self.folders.release()
        for path in LIBVIRT_LOGS.glob(f"{domain_name(instance_id)}.log*"):
            path.unlink(missing_ok=True)

    def _domain(self, instance_id: str, state: PowerState, network_kinds: list[str]) -> compute.Domain:
        residue: list[str] = []
        if state is PowerState.ABSENT:
            files = ["disk"] if self.folders.of(instance_id).exists() else []
            residue = files + network_kinds
        return compute.Domain(instance_id=instance_id, power_state=state, residue=residue)

    def _guest(self, instance_id: str) -> Guest:
        return Guest(self.host, instance_id, self._host_id)

    def _learned(self) -> Facts:
        with self._learning:
            if self._facts is None:
                self._facts = Facts(self.host)
            return self._facts

    def _uses_kvm(self, facts: Facts) -> bool:
        if self._emulate is not None:
            return not self._emulate
        with self._learning:
            if self._kvm is None:
                self._kvm = kvm.works(self._state_dir, facts.emulator, facts.qemu_version, facts.uid_gid)
            return self._kvm


class _NoUndo:
    """For what is not taken back: a start that failed leaves a domain that is shut off, as it was."""

    def push(self, name: str, action: Callable[[], object]) -> None:
        pass


def _check_build(command: compute2.Build) -> None:
    checked(command.instance_id, "instance")
    for card in command.cards:
        checked_card(card)
    if command.image.disk_format not in (compute.DiskFormat.QCOW2, compute.DiskFormat.RAW):
        message = f"image {command.image.id}: a {command.image.disk_format} is no disk"
        raise DriverError("command.invalid", message, retryable=False)
    if command.vcpus < 1 or command.memory_mb < 1 or command.disk_gb < 0:
        raise DriverError("command.invalid", "vcpus, memory_mb and disk_gb must be positive", retryable=False)
    if command.disk_bus not in traits.buses(platform.machine()):
        raise DriverError("instance.disk_bus", f"guests on this host have no disks on {command.disk_bus.value}")


def _told(cards: list[Card]) -> str:
    return ", ".join(address.address for card in cards for address in card.addresses)


def _tail(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            return file.read()
    except FileNotFoundError:
        return b""


def _absent(instance_id: str) -> DriverError:
    return DriverError("instance.absent", f"no instance {instance_id} on this host", retryable=False)
