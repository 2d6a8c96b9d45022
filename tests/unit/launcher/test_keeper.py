"""Which host daemons run, as launchers and guests come and go."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsite.launcher import keeper
from cloudsite.launcher.keeper import GUESTS_NEED, Keeper
from cloudsite.launcher.servers import wait_until

ALL = ["ovsdb-server", "ovs-vswitchd", "virtlogd", "libvirtd"]


class Recorded(Keeper):
    """Notes what would be started and stopped."""

    def __init__(self, state: Path) -> None:
        super().__init__(ALL, state=state, ovs=state, log=state)
        self.done: list[str] = []

    def _start(self, name: str) -> None:
        self._pids[name] = 1
        self.done.append(f"+{name}")

    def _stop(self, name: str) -> None:
        del self._pids[name]
        self.done.append(f"-{name}")

    def round(self) -> list[str]:
        """What one round does."""
        self.done.clear()
        self._settle(self._wanted())
        return list(self.done)


@pytest.fixture
def user(tmp_path: Path) -> Iterator[int]:
    """A launcher's hold on the daemons."""
    lock = os.open(tmp_path / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    yield lock
    os.close(lock)


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(keeper, "has_guests", lambda: bool(found))
    return found


def test_all_run_while_a_launcher_is_there(tmp_path: Path, user: int, guests: list[str]) -> None:
    each = Recorded(tmp_path)
    assert each.round() == [f"+{name}" for name in ALL]
    assert each.round() == []


def test_only_what_guests_need_goes_on_for_their_sake_and_all_end_after_them(tmp_path: Path, user: int, guests: list[str]) -> None:
    each = Recorded(tmp_path)
    each.round()
    guests.append("one")
    fcntl.flock(user, fcntl.LOCK_UN)
    assert each.round() == ["-libvirtd"]
    assert each.round() == []
    guests.clear()
    assert each.round() == [f"-{name}" for name in reversed(GUESTS_NEED)]


def test_a_launcher_that_comes_back_gets_all_of_them_again(tmp_path: Path, user: int, guests: list[str]) -> None:
    each = Recorded(tmp_path)
    each.round()
    guests.append("one")
    fcntl.flock(user, fcntl.LOCK_UN)
    each.round()
    fcntl.flock(user, fcntl.LOCK_SH)
    assert each.round() == ["+libvirtd"]


def test_a_guest_is_a_living_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_GUESTS", tmp_path)
    assert not keeper.has_guests()
    (tmp_path / "stale.pid").write_text("4194304")
    (tmp_path / "other.pid").write_text(str(os.getpid()))
    (tmp_path / "broken.pid").write_text("")
    assert not keeper.has_guests()
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.symlink_to("/bin/sleep")
    with subprocess.Popen([str(qemu), "100"]) as process:
        (tmp_path / "real.pid").write_text(str(process.pid))
        wait_until(keeper.has_guests, "not found", 60)
        process.kill()


def test_it_needs_nothing_but_the_standard_library() -> None:
    """It is run with -I -S, so that it stays small and nobody's packages can change what root runs."""
    done = subprocess.run([sys.executable, "-I", "-S", keeper.__file__, "--help"], capture_output=True, text=True, check=True)
    assert "--ovs" in done.stdout
