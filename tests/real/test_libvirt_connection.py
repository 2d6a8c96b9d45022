"""The connection to a libvirtd that is restarted, hangs, or is not there; one of the test's own."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.drivers.base import DriverError

pytest.importorskip("libvirt", reason="python's libvirt binding is not installed")
from agent.drivers.libvirt.host import Host

# Its folders are empty ones over the machine's, in a mount namespace that ends with it.
_FOLDERS = ("/run/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/etc/libvirt", "/var/log/libvirt")
_START = "; ".join(f"mount -t tmpfs none {folder}" for folder in _FOLDERS) + "; exec libvirtd -p /run/libvirt/own.pid"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not shutil.which("libvirtd"), reason="libvirtd is not installed"),
    pytest.mark.skipif(not all(map(os.path.isdir, _FOLDERS)), reason="libvirt's folders are not there"),
]


class OwnLibvirtd:
    """`link` leads to its socket, wherever it is after a restart."""

    def __init__(self, folder: Path) -> None:
        self.link = folder / "sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"qemu+unix:///system?socket={self.link}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", _START],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        folder = Path(f"/proc/{self.process.pid}/root/run/libvirt")
        socket = folder / "libvirt-sock"
        until = time.monotonic() + 60
        # Before its mounts are made the folder is the machine's; only its own has this name for the process id.
        while not ((folder / "own.pid").exists() and socket.exists()):
            assert self.process.poll() is None and time.monotonic() < until, "libvirtd did not start"
            time.sleep(0.02)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(socket)

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def libvirtd(tmp_path: Path) -> Iterator[OwnLibvirtd]:
    own = OwnLibvirtd(tmp_path)
    own.start()
    try:
        yield own
    finally:
        own.kill()


def asks(host: Host, timeout_s: float = 30.0) -> int:
    number: int = host.call(lambda connection: connection.getLibVersion(), timeout_s=timeout_s)
    return number


def test_after_a_restart_of_libvirtd_calls_go_on(libvirtd: OwnLibvirtd) -> None:
    host = Host(libvirtd.uri)
    assert asks(host) > 0
    libvirtd.kill()
    libvirtd.start()
    assert asks(host) > 0


def test_without_libvirtd_the_hypervisor_is_unavailable(libvirtd: OwnLibvirtd) -> None:
    host = Host(libvirtd.uri)
    asks(host)
    libvirtd.kill()
    with pytest.raises(DriverError) as caught:
        asks(host)
    assert caught.value.code == "hypervisor.unavailable"
    libvirtd.start()
    assert asks(host) > 0


def test_a_libvirtd_that_hangs_holds_nobody_for_longer_than_the_time_given(libvirtd: OwnLibvirtd) -> None:
    host = Host(libvirtd.uri)
    asks(host)
    libvirtd.signal(signal.SIGSTOP)
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(DriverError) as caught:
            asks(host, timeout_s=0.3)
        assert caught.value.code == "hypervisor.unavailable"
        assert time.monotonic() - began < 10  # as is CALL_TIMEOUT_S three times
    libvirtd.signal(signal.SIGCONT)
    assert asks(host) > 0
