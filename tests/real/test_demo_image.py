"""The demo image boots, under plain software emulation, and says and does what it is for."""

import base64
import hashlib
import io
import json
import os
import re
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pycdlib
import pytest

from apps.images.demo import COMMAND_LINE, DemoImage, build

QEMU = shutil.which("qemu-system-x86_64")
DEADLINE_S = 150.0  # what counts is the time printed; this only ends a guest that hangs on a busy machine
UUID = "83679162-1378-4288-a2d4-70e13ec132aa"
BLOBS = (bytes(range(51)), bytes(range(7, 90)))
SCRIPT = b"#!/bin/sh\necho script on $(hostname), $(ip -4 -o addr show dev eth0 | wc -l) address\nprintf open"

pytestmark = pytest.mark.skipif(QEMU is None, reason="qemu-system-x86_64 is not installed (Debian: qemu-system-x86)")


class Guest:
    """One QEMU process, its serial console and its monitor; use as a context manager."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self._monitor = str(folder / "qmp")
        fixed = ["-accel", "tcg", "-m", "128", "-display", "none", "-serial", "stdio"]
        fixed += ["-monitor", "none", "-qmp", f"unix:{self._monitor},server=on,wait=off"]
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [str(QEMU), *fixed, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.console = ""

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_for(self, pattern: str, after: int = 0) -> float:
        """Seconds since the start when the console, from position `after` on, matched."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + DEADLINE_S
        while not re.search(pattern, self.console[after:], re.MULTILINE):
            readable, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 65536) if readable else b""
            assert piece, f"no {pattern!r} on the console:\n{self.console}"
            self.console += piece.decode(errors="replace").replace("\r", "")
        return time.monotonic() - self.started

    def type(self, line: str) -> None:
        """Type a line on the serial console."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def press_power_button(self) -> None:
        """What virDomainShutdown does."""
        self.order("system_powerdown")

    def order(self, name: str, /, **arguments: object) -> None:
        """Tell QEMU to do something."""
        with self._connected() as connection, connection.makefile("rwb", buffering=0) as monitor:
            for command in ({"execute": "qmp_capabilities"}, {"execute": name, "arguments": arguments}):
                monitor.write(json.dumps(command).encode())
                while b'"return"' not in (answer := monitor.readline()):
                    assert b'"error"' not in answer, answer

    def _connected(self) -> socket.socket:
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self._monitor)
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                assert self.process.poll() is None and time.monotonic() < self.started + DEADLINE_S, "QEMU has no monitor"
                time.sleep(0.02)

    def lines(self) -> list[str]:
        """All lines with the guest's own prefix, without it."""
        return [line.removeprefix("cloudsite: ") for line in self.console.split("\n") if line.startswith("cloudsite: ")]


Start = Callable[..., Guest]


@pytest.fixture(scope="module")
def image(demo: DemoImage) -> DemoImage:
    return demo


@pytest.fixture
def start(image: DemoImage, tmp_path: Path) -> Iterator[Start]:
    guests: list[Guest] = []

    def run(form: str, *arguments: str, config: Path | None = None) -> Guest:
        boot = {
            "disk": ["-drive", f"file={image.disk},if=virtio,snapshot=on"],
            "pair": ["-kernel", str(image.kernel), "-initrd", str(image.ramdisk), "-append", COMMAND_LINE],
        }[form]
        drive = ["-drive", f"file={config},format=raw,if=virtio,readonly=on"] if config else []
        guests.append(Guest(tmp_path, [*boot, *drive, *arguments]))
        return guests[-1]

    yield run
    for guest in guests:
        guest.__exit__(None, None, None)


def key(blob: bytes, comment: str) -> str:
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} {comment}".rstrip()


def fingerprint(blob: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def config_drive(path: Path, user_data: bytes | None, *, rock_ridge: bool) -> Path:
    """A config drive whose long names are in Rock Ridge or in Joliet."""
    keys = {"laptop": key(BLOBS[0], "me@laptop two words") + "\n", "bare": key(BLOBS[1], "")}
    metadata = {"meta": {"uuid": "no"}, "public_keys": keys, "name": "n", "hostname": "demo-1.example", "uuid": UUID}
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, vol_ident="config-2", **({"rock_ridge": "1.09"} if rock_ridge else {"joliet": 3}))

    def names(name: str) -> dict[str, Any]:
        return {"rr_name": name.rpartition("/")[2]} if rock_ridge else {"joliet_path": name}

    iso.add_directory("/OPENSTAC", **names("/openstack"))
    iso.add_directory("/OPENSTAC/LATEST", **names("/openstack/latest"))
    files = {"meta_data.json": json.dumps(metadata).encode(), "user_data": user_data}
    for number, (name, content) in enumerate(files.items()):
        if content is not None:
            short, long = f"/OPENSTAC/LATEST/F{number}.;1", f"/openstack/latest/{name}"
            iso.add_fp(io.BytesIO(content), len(content), short, **names(long))
    iso.write(str(path))
    iso.close()
    return path


@pytest.mark.parametrize("machine", ["pc", "q35"])
@pytest.mark.parametrize("form", ["disk", "pair"])
def test_a_guest_tells_what_it_was_given_and_obeys_the_power_button(
    form: str, machine: str, start: Start, tmp_path: Path
) -> None:
    drive = config_drive(tmp_path / "config.iso", SCRIPT, rock_ridge=True)
    guest = start(form, "-machine", machine, "-nic", "user,model=virtio", config=drive)
    seconds = guest.wait_for("^cloudsite: ready\n")
    print(f"\n{form} on {machine}: ready after {seconds:.2f} s")
    assert guest.lines() == [
        "hostname=demo-1.example",
        f"instance-id={UUID}",
        f"ssh-key={fingerprint(BLOBS[0])} me@laptop two words",
        f"ssh-key={fingerprint(BLOBS[1])} no comment",
        f"user-data={hashlib.sha256(SCRIPT).hexdigest()[:12]} {len(SCRIPT)} bytes",
        "address=10.0.2.15/24",
        "ready",
    ]
    assert "script on demo-1.example, 1 address\nopen\ncloudsite: ready\n" in guest.console
    guest.press_power_button()
    guest.process.wait(DEADLINE_S)


def test_an_address_that_comes_late_is_told_all_the_same(start: Start, tmp_path: Path) -> None:
    script = b"#!/bin/sh\nuntil ip -4 addr show dev eth0 | grep -q inet; do sleep 0.1; done\nsleep 1\n"
    drive = config_drive(tmp_path / "config.iso", script, rock_ridge=True)
    guest = start("pair", "-S", "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net", config=drive)
    guest.order("set_link", name="net", up=False)
    guest.order("cont")
    guest.wait_for("^cloudsite: address=none\n")
    guest.order("set_link", name="net", up=True)
    guest.wait_for(r"^cloudsite: address=10\.0\.2\.15/24\n")
    guest.wait_for("^cloudsite: ready\n")


def test_names_in_joliet_are_found_too_and_data_that_is_no_script_is_not_run(start: Start, tmp_path: Path) -> None:
    drive = config_drive(tmp_path / "config.iso", b"#cloud-config\n", rock_ridge=False)
    guest = start("pair", "-nic", "none", config=drive)
    guest.wait_for("^cloudsite: ready\n")
    assert "hostname=demo-1.example" in guest.lines()
    assert f"user-data={hashlib.sha256(b'#cloud-config' + bytes([10])).hexdigest()[:12]} 14 bytes" in guest.lines()


def test_a_guest_that_was_given_nothing_says_so_and_has_a_shell_that_comes_back(start: Start) -> None:
    guest = start("pair", "-nic", "none")
    guest.wait_for("^cloudsite: ready\n")
    assert guest.lines() == ["hostname=none", "instance-id=none", "user-data=none", "address=none", "ready"]
    guest.wait_for("# ")
    guest.type("echo $((6 * 7)) $(whoami); exit")
    guest.wait_for("^42 root$")
    guest.wait_for("# ", after=len(guest.console))
    guest.type("reboot")
    guest.wait_for("^cloudsite: ready\n(.*\n)*cloudsite: ready\n")
    guest.wait_for("# ", after=len(guest.console))
    guest.type("sh -c 'echo begun; exec sleep 1000'")  # by then it is in the foreground
    guest.wait_for("^begun$")
    guest.type("\3")
    guest.wait_for("# ", after=len(guest.console))
    guest.type("poweroff")
    guest.process.wait(DEADLINE_S)


def test_two_builds_give_the_same_bytes(image: DemoImage, tmp_path: Path) -> None:
    again = build(tmp_path / "again")
    assert again.version == image.version
    for first, second in ((image.disk, again.disk), (image.kernel, again.kernel), (image.ramdisk, again.ramdisk)):
        assert first.read_bytes() == second.read_bytes(), first.name


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed (Debian: qemu-utils)")
def test_the_disk_is_sound_and_stands_on_its_own(image: DemoImage) -> None:
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", str(image.disk)], check=True)
    output = subprocess.run(["qemu-img", "info", "--output=json", str(image.disk)], capture_output=True, check=True)
    info = json.loads(output.stdout)
    assert info["format"] == "qcow2"
    assert "backing-filename" not in info
    assert image.disk.stat().st_size < 40e6
