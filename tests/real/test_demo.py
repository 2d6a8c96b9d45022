"""`make demo`: a real guest from nothing to nothing, by one command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from apps.images.demo import DemoImage
from cloudsite.launcher import daemons, hypervisor
from cloudsite.settings.environment import BASE_DIR

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


def run_demo(var: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDSITE_")}
    environment |= {"CLOUDSITE_VAR": str(var), **settings}
    return subprocess.run(
        [sys.executable, "-m", "cloudsite.launcher", "demo"],
        cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=380,
    )


def processes_about(text: str) -> list[str]:
    """Command lines of all processes that have `text` in it or in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in told and folder.name != str(os.getpid()):
            found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def on_this_machine(host: str) -> list[str]:
    """What the host of that name has left here: its bridge, its binding of instance folders, its domains."""
    listed = {
        "bridge": ["ovs-vsctl", "--timeout=5", "list-br"],
        "mount": ["cat", "/proc/self/mountinfo"],
        "domain": ["virsh", "-q", "list", "--all", "--title"],
    }
    mark = host.removeprefix("host-")
    found = []
    for what, command in listed.items():
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found += [f"{what}: {line}" for line in text.splitlines() if mark in line]
    return found


@pytest.mark.skipif(bool(hypervisor.obstacle()), reason=f"no guest can run here: {hypervisor.obstacle()}")
def test_a_real_guest_boots_shows_itself_and_leaves_nothing(tmp_path: Path, demo: DemoImage) -> None:
    kept_before = daemons.keeper_runs()
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "demo-image").symlink_to(demo.disk.parent)
    done = run_demo(tmp_path / "var")
    assert done.returncode == 0, done.stdout + done.stderr
    host = re.search(r"(host-[0-9a-f]{8}), driver libvirt", done.stdout)
    assert host, done.stdout
    for line in ("cloudsite: hostname=demo", "cloudsite: instance-id=", "cloudsite: address=10.64.", "nothing leaks"):
        assert line in done.stdout
    assert not [each for each in processes_about(str(tmp_path)) if "pytest" not in each]
    assert on_this_machine(host[1]) == []
    assert daemons.keeper_runs() == kept_before
    assert not list((tmp_path / "var").glob("demo-*/log"))


def test_without_a_hypervisor_it_is_simulated_and_says_so_in_one_line(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "var", CLOUDSITE_DRIVER="simulated")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum("simulated: CLOUDSITE_DRIVER=simulated" in line for line in done.stdout.splitlines()) == 1
    assert not [each for each in processes_about(str(tmp_path)) if "pytest" not in each]


def test_a_setting_that_is_wrong_ends_it_at_once_with_a_sentence(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "var", CLOUDSITE_DRIVER="vmware")
    assert done.returncode == 1
    assert "CLOUDSITE_DRIVER='vmware': expected one of auto, libvirt, simulated." in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
