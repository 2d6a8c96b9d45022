"""Snapshots with a guest that only pretends: kills between any two lines leave neither a copy nor a guest that hangs."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.drivers.base import DriverError
from agent.drivers.libvirt import record, snapshots
from agent.drivers.libvirt.folders import Folders
from agent.drivers.libvirt.snapshots import COPY, MARK, Copy, Snapshots
from agent.trace import Trace
from contracts.compute import v1 as compute1
from contracts.compute import v2 as compute2
from contracts.compute.v1 import PowerState
from contracts.compute.v3 import Snapshot
from tests.agent.keeper import Keeper
from tests.agent.kit import make_build
from tests.support.killed import killed_at_line

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed (Debian: qemu-utils)")
ID = "3f0f5c1e-5f0b-4f43-9b5e-0c8a4f0c6c11"
MIB = 1024 * 1024


class PretendedGuest:
    """What it is stays in a file, as a guest stays when its agent is killed. `broken`: methods that fail."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.broken: set[str] = set()
        self.calls: list[str] = []
        if not path.exists():
            self.change(state="running", agent=True, frozen=False, target="", failure="")

    def __getitem__(self, name: str) -> Any:
        return json.loads(self._path.read_text())[name]

    def change(self, **facts: Any) -> None:
        before = json.loads(self._path.read_text()) if self._path.exists() else {}
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps({**before, **facts}))
        temporary.replace(self._path)

    def state(self) -> PowerState:
        self._called("state")
        return PowerState(self["state"])

    def has_agent(self) -> bool:
        self._called("has_agent")
        return bool(self["agent"])

    def freeze(self) -> bool:
        self._called("freeze")
        self.change(frozen=True)
        return True

    def thaw(self) -> None:
        self._called("thaw")
        self.change(frozen=False)

    def begin(self, disk: str, target: Path) -> bool:
        self._called("begin")
        if self["state"] != "running":
            return False
        self.change(target=str(target), was_frozen=self["frozen"], disk=disk)
        return True

    def copied(self) -> Copy | None:
        self._called("copied")
        if self["state"] != "running":
            return None
        if self["failure"]:
            raise DriverError("snapshot.failed", self["failure"])
        # QEMU writes what is on the disk.
        target = Path(self["target"])
        subprocess.run(["qemu-img", "convert", "-n", "-f", "qcow2", "-O", "qcow2", target.with_name("disk.qcow2"), target], check=True)
        self.change(target="")
        return Copy(1, 1, ended=True)

    def abort(self) -> None:
        self._called("abort")
        self.change(target="")

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise DriverError("hypervisor.unavailable", f"{name} is broken")


class Host:
    """An instance with a disk on a base, and the snapshots of its host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folders = Folders(folder, folder / "run")
        self.guest = PretendedGuest(folder / "guest.json")
        self.spare_bytes = MIB
        self.snapshots = self.restarted()

    def restarted(self) -> Snapshots:
        """What the next life of the agent has."""
        owner = (os.getuid(), os.getgid())
        self.snapshots = Snapshots(
            self.folders, lambda _: self.guest, lambda: owner, spare_bytes=self.spare_bytes, retry_after_s=0.001
        )
        return self.snapshots

    def make_disk(self) -> None:
        place = self.folders.make(ID)
        (place / "base").write_bytes(b"base" * (MIB // 4))
        _qemu_img("create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", str(place / "disk.qcow2"), str(4 * MIB))
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -P 0x61 {2 * MIB} 65536", place / "disk.qcow2"], check=True, capture_output=True)
        record.save(place, make_build(ID, guest_agent=True, disk_bus=compute1.DiskBus.VIRTIO))

    @property
    def place(self) -> Path:
        return self.folders.of(ID)

    def left(self) -> list[str]:
        """What is of a snapshot, here and in the guest."""
        files = [path.name for path in self.place.iterdir() if path.name.startswith("snapshot")]
        return [*files, *(["frozen"] if self.guest["frozen"] else []), *(["job"] if self.guest["target"] else [])]


def _qemu_img(*arguments: str) -> None:
    subprocess.run(["qemu-img", *arguments], check=True, capture_output=True)


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper()
    yield keeper
    keeper.close()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    if not shutil.which("qemu-io"):
        pytest.skip("qemu-io is not installed (Debian: qemu-utils)")
    made = Host(tmp_path)
    made.make_disk()
    return made


def take(host: Host, keeper: Keeper, stopped: Callable[[], bool] = lambda: False, *, must_freeze: bool = False) -> Any:
    command = Snapshot(instance_id=ID, image_id="image-1", upload_url=keeper.url, must_freeze=must_freeze)
    return host.snapshots.take(command, Trace(), stopped)


def assert_same_disk(host: Host, keeper: Keeper, tmp_path: Path) -> None:
    assert keeper.content is not None
    (tmp_path / "sent.qcow2").write_bytes(keeper.content)
    _qemu_img("compare", "-f", "qcow2", "-F", "qcow2", str(host.place / "disk.qcow2"), str(tmp_path / "sent.qcow2"))
    told = subprocess.run(["qemu-img", "info", "--output=json", tmp_path / "sent.qcow2"], check=True, capture_output=True, text=True)
    assert "backing-filename" not in json.loads(told.stdout)


def test_a_running_guest_is_copied_at_rest_and_goes_on(host: Host, keeper: Keeper, tmp_path: Path) -> None:
    saved = take(host, keeper)
    assert (saved.frozen, saved.size_bytes) == (True, len(keeper.content or b""))
    assert (host.guest["was_frozen"], host.guest["disk"]) == (True, "vda")
    assert_same_disk(host, keeper, tmp_path)
    assert host.left() == []


def test_a_guest_without_an_agent_that_answers_is_copied_as_it_is(host: Host, keeper: Keeper, tmp_path: Path) -> None:
    host.guest.change(agent=False)
    assert take(host, keeper).frozen is False
    assert "freeze" not in host.guest.calls
    assert_same_disk(host, keeper, tmp_path)


@pytest.mark.parametrize("has_agent", [False, True])
def test_a_guest_that_must_be_at_rest_and_cannot_be_is_not_copied(host: Host, keeper: Keeper, has_agent: bool) -> None:
    host.guest.change(agent=has_agent)
    host.guest.freeze = lambda: False  # type: ignore[method-assign]
    with pytest.raises(DriverError) as caught:
        take(host, keeper, must_freeze=True)
    assert caught.value.code == "snapshot.not_frozen"
    assert "begin" not in host.guest.calls and host.left() == []


def test_a_stopped_guest_is_at_rest(host: Host, keeper: Keeper) -> None:
    host.guest.change(state="shutoff")
    assert take(host, keeper, must_freeze=True).frozen is True


@pytest.mark.parametrize("state", ["shutoff", "crashed"])
def test_a_stopped_guest_is_copied_directly(host: Host, keeper: Keeper, tmp_path: Path, state: str) -> None:
    host.guest.change(state=state)
    assert take(host, keeper).frozen is True
    assert "begin" not in host.guest.calls
    assert_same_disk(host, keeper, tmp_path)
    assert host.left() == []


def test_a_guest_that_ends_while_it_is_copied_is_copied_all_the_same(host: Host, keeper: Keeper, tmp_path: Path) -> None:
    begin = host.guest.begin

    def end(disk: str, target: Path) -> bool:
        begun = begin(disk, target)
        host.guest.change(state="shutoff", target="", frozen=False)
        return begun

    host.guest.begin = end  # type: ignore[method-assign]
    take(host, keeper)
    assert_same_disk(host, keeper, tmp_path)


def test_no_instance_no_snapshot(host: Host, keeper: Keeper) -> None:
    host.guest.change(state="absent")
    with pytest.raises(DriverError) as caught:
        take(host, keeper)
    assert caught.value.code == "instance.absent"


def test_a_copy_that_does_not_fit_is_refused_before_it_is_begun(host: Host, keeper: Keeper) -> None:
    host.spare_bytes = 2 * shutil.disk_usage(host.folder).free
    host.restarted()
    with pytest.raises(DriverError) as caught:
        take(host, keeper)
    assert (caught.value.code, caught.value.retryable) == ("snapshot.no_space", False)
    assert "begin" not in host.guest.calls and "freeze" not in host.guest.calls
    assert host.left() == []


def test_a_failing_job_leaves_nothing(host: Host, keeper: Keeper) -> None:
    host.guest.change(failure="No space left on device")
    with pytest.raises(DriverError) as caught:
        take(host, keeper)
    assert caught.value.code == "snapshot.failed"
    assert host.left() == []


def test_a_refused_upload_leaves_nothing(host: Host, keeper: Keeper) -> None:
    keeper.refusals = [(413, "quota.exceeded")]
    with pytest.raises(DriverError) as caught:
        take(host, keeper)
    assert caught.value.code == "snapshot.refused"
    assert host.left() == []


def test_something_newer_ends_it(host: Host, keeper: Keeper) -> None:
    with pytest.raises(DriverError) as caught:
        take(host, keeper, stopped=lambda: True)
    assert caught.value.code == "command.superseded"
    assert host.left() == []


def test_what_was_sent_by_an_earlier_life_is_not_copied_again(host: Host, keeper: Keeper) -> None:
    keeper.content = b"all of it"
    assert take(host, keeper).size_bytes == 9
    assert host.guest.calls == ["state"]


def test_a_guest_that_is_not_thawed_at_once_is_asked_again(host: Host, keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "THAW_AGAIN_S", 0.0)
    thaw, failures = host.guest.thaw, [1, 2, 3]

    def fail_at_first() -> None:
        if failures:
            raise DriverError("snapshot.thaw", f"{failures.pop()}")
        thaw()

    host.guest.thaw = fail_at_first  # type: ignore[method-assign]
    take(host, keeper)
    assert host.left() == []


def test_a_guest_that_cannot_be_thawed_is_asked_for_ever(host: Host, keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "THAW_AGAIN_S", 0.0)
    host.guest.broken = {"thaw"}
    with pytest.raises(DriverError):
        take(host, keeper)
    assert "frozen" in host.left()
    with pytest.raises(DriverError):
        host.snapshots.tend()
    host.guest.broken = set()
    host.snapshots.tend()
    assert host.left() == []


def test_a_copy_that_is_being_made_is_left_alone_and_holds_up_nobody(host: Host, keeper: Keeper, tmp_path: Path) -> None:
    copied = host.guest.copied

    def meanwhile() -> Copy | None:
        host.snapshots.tend()
        assert (host.place / COPY).exists()
        return copied()

    host.guest.copied = meanwhile  # type: ignore[method-assign]
    take(host, keeper)
    assert_same_disk(host, keeper, tmp_path)


def test_there_is_nothing_to_tend_where_nothing_was_left(host: Host) -> None:
    host.snapshots.tend()
    assert host.guest.calls == []


@pytest.mark.parametrize("state", ["running", "shutoff"])
def test_an_agent_killed_between_any_two_lines_leaves_nothing_behind(host: Host, keeper: Keeper, tmp_path: Path, state: str) -> None:
    host.guest.change(state=state)
    number, met = 0, set[str]()
    while _killed_at_line(host, keeper, number):
        keeper.content = None
        met.update(host.left())
        # The next life of the agent, before anything was asked of it.
        host.restarted().tend()
        assert host.left() == [], f"killed at line {number}"
        number += 1
    assert number > 40, "so many lines there are at least"
    assert {COPY, MARK} <= met
    assert {"frozen", "job"} <= met if state == "running" else True
    # It was not killed this time, and has sent all of it.
    assert_same_disk(host, keeper, tmp_path)


def _killed_at_line(host: Host, keeper: Keeper, number: int) -> bool:
    """Take a snapshot in a process that is killed before its `number`-th line; False if it got to its end before."""
    return killed_at_line(lambda: take(host, keeper), number, "libvirt/snapshots.py")


def test_a_record_of_the_release_before_is_read(host: Host) -> None:
    old = msgspec.to_builtins(make_build(ID))
    for name in ("firmware", "disk_bus", "guest_agent"):
        old.pop(name)
    (host.place / record.NAME).write_bytes(msgspec.json.encode(old))
    known: compute2.Build = record.load(host.place)
    assert (known.guest_agent, known.disk_bus, known.firmware) == (False, compute1.DiskBus.VIRTIO, compute1.Firmware.BIOS)
