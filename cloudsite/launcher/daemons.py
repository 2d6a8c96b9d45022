"""libvirt and Open vSwitch on this machine: those that run are used, what is missing is started (see `keeper`)."""

import fcntl
import grp
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cloudsite.launcher import keeper
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.servers import log_tail

STATE = Path("/run/cloudsite/daemons")
_OVS_RUN = Path("/run/openvswitch")
_OVS_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_ANSWER_S = 60.0
# One file per running network of libvirt's.
_NETWORKS = Path("/run/libvirt/network")
_END_NETWORKS = """
for name in $(timeout 20 virsh -q -c qemu:///system net-list --name); do
    case " $* " in *" $name "*) ;; *) timeout 20 virsh -q -c qemu:///system net-destroy "$name" ;; esac
done
"""


class HostDaemons:
    """What the libvirt driver needs on this machine, from `ensure` to `release`."""

    def __init__(self, *, ovs: Path, log: Path, environment: Mapping[str, str]) -> None:
        """`ovs`: folder of Open vSwitch's database, should it be ours to run; `log`: folder of what daemons print."""
        self._ovs, self._log, self._environment = ovs, log, dict(environment)
        self._users: int | None = None
        self._tidying: subprocess.Popen[bytes] | None = None

    def ensure(self, say: Callable[[str], None]) -> str:
        """Make all of them answer; who runs what, in words. Raises LaunchError."""
        STATE.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._users = os.open(STATE / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._users, fcntl.LOCK_SH)
        first, networks = "libvirtd" in missing(), {path.stem for path in _NETWORKS.glob("*.xml")}
        if not keeper_runs() and (gone := missing()):
            say(f"starting {', '.join(gone)}")
            self._spawn(gone)
        until = time.monotonic() + _ANSWER_S
        while gone := missing():
            if time.monotonic() > until:
                raise LaunchError(f"{gone[0]} does not answer (waited {_ANSWER_S:.0f} s).{log_tail(self._log / f'{gone[0]}.log')}")
            say(f"waiting for {', '.join(gone)}")
            time.sleep(0.05)
        if first and keeper_runs():
            self._end_networks(sparing=networks)
        return f"started {' '.join(_kept())}" if keeper_runs() else "this machine's own libvirt and Open vSwitch"

    def release(self) -> str:
        """No longer needed by us. Waits until what nobody needs has ended; says what goes on for guests' sake."""
        if self._users is None:
            return ""
        if self._tidying is not None:
            self._tidying.wait()
        os.close(self._users)
        self._users = None
        until = time.monotonic() + 25
        while keeper_runs() and time.monotonic() < until:
            left = _kept()
            if _others_use() or (left and "libvirtd" not in left and keeper.has_guests()):
                return f"{', '.join(left)} go on for the guests' sake, and end with the last of them" if left else ""
            time.sleep(0.05)
        return ""

    def _end_networks(self, *, sparing: set[str]) -> None:
        """libvirt's own networks that came up with our libvirtd (Ubuntu has one): they would outlive it, dnsmasq and all."""
        self._tidying = subprocess.Popen(
            ["/bin/sh", "-c", _END_NETWORKS, "sh", *sparing], env=self._environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def _spawn(self, daemons: list[str]) -> None:
        self._log.mkdir(parents=True, exist_ok=True)
        if "ovsdb-server" in daemons:
            self._make_database()
        if "libvirtd" in daemons:
            share_kvm()
        script = Path(keeper.__file__)
        options = ["--state", str(STATE), "--ovs", str(self._ovs), "--log", str(self._log)]
        with (self._log / "keeper.log").open("ab") as log:
            subprocess.Popen(
                # Forked twice by the shell: the keeper is nobody's child, and no signal to our group reaches it.
                ["/bin/sh", "-c", 'setsid "$@" &', "sh", sys.executable, "-I", "-S", str(script), *options, *daemons],
                cwd="/", env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            ).wait()

    def _make_database(self) -> None:
        self._ovs.mkdir(parents=True, exist_ok=True)
        database = self._ovs / "conf.db"
        command = ["ovsdb-tool", "convert" if database.exists() else "create", str(database), str(_OVS_SCHEMA)]
        done = subprocess.run(command, check=False, env=self._environment, capture_output=True, text=True)
        if done.returncode:
            raise LaunchError(f"{' '.join(command)} failed: {done.stderr.strip()}")


def share_kvm(device: Path = Path("/dev/kvm")) -> None:
    """Give the device to the group `kvm`, as udev does where it runs.

    Where root may open it and the user that QEMU runs as may not, libvirt examines QEMU anew at every start of a guest: it
    takes 44 s instead of half a second.
    """
    try:
        os.chown(device, 0, grp.getgrnam("kvm").gr_gid)
        device.chmod(0o660)
    except (OSError, KeyError):
        return  # there is no such device, or nobody who could use it


def missing() -> list[str]:
    """The daemons that do not answer, in the order in which they start."""
    answers = {
        "ovsdb-server": _takes(_OVS_RUN / "db.sock"),
        "ovs-vswitchd": _switch_answers(),
        # A libvirt in parts has a virtqemud instead; and virtlogd listens by systemd there, or it would not be whole.
        "virtlogd": _takes(Path("/run/libvirt/virtlogd-sock")),
        "libvirtd": _takes(Path("/run/libvirt/libvirt-sock")) or _takes(Path("/run/libvirt/virtqemud-sock")),
    }
    return [name for name in keeper.COMMANDS if not answers[name]]


def keeper_runs() -> bool:
    """Whether a keeper holds its lock."""
    try:
        lock = os.open(STATE / "keeper.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _kept() -> list[str]:
    try:
        return (STATE / "running").read_text().split()
    except OSError:
        return []


def _others_use() -> bool:
    lock = os.open(STATE / "users.lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _switch_answers() -> bool:
    try:
        pid = int((_OVS_RUN / "ovs-vswitchd.pid").read_text())
    except (OSError, ValueError):
        return False
    return _takes(_OVS_RUN / f"ovs-vswitchd.{pid}.ctl")


def _takes(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
