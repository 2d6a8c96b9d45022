"""Keeps this machine's host daemons running while somebody needs them, then ends them and itself.

Run alone, as `python -I -S keeper.py`, by the first launcher that finds a daemon missing; it outlives that launcher:

* while a launcher holds `users.lock` (shared), all daemons run, and one that dies is started again;
* when none does and guests are left, only those run that guests cannot do without (virtlogd reads their console, Open
  vSwitch carries their packets);
* when no guest is left either, everything ends.

It also is the parent of all guests (a subreaper) and buries them at once: libvirt takes a guest for alive until its
process is gone, and not every init process is quick about that. See docs/decisions/0009.
"""

import argparse
import ctypes
import fcntl
import os
import signal
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_RESTART_AFTER_S = 1.0
_STOP_WAIT_S = 10.0
_GUESTS = Path("/run/libvirt/qemu")

# In this order they start; they stop in the opposite one.
COMMANDS = {
    "ovsdb-server": "ovsdb-server {ovs}/conf.db --remote=punix:/run/openvswitch/db.sock --pidfile -vconsole:warn -vsyslog:off",
    "ovs-vswitchd": "ovs-vswitchd unix:/run/openvswitch/db.sock --pidfile -vconsole:warn -vsyslog:off",
    "virtlogd": "virtlogd",
    "libvirtd": "libvirtd",
}
GUESTS_NEED = ("ovsdb-server", "ovs-vswitchd", "virtlogd")


class Keeper:
    """`daemons`: names out of COMMANDS. `state`: folder of the locks. `log`: folder of the daemons' output."""

    def __init__(self, daemons: list[str], *, state: Path, ovs: Path, log: Path) -> None:
        self._commands = {name: COMMANDS[name].format(ovs=ovs).split() for name in COMMANDS if name in daemons}
        self._state, self._log = state, log
        self._users = os.open(state / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pids: dict[str, int] = {}
        self._died_at: dict[str, float] = {}
        self._told_to_stop = False

    def run(self) -> None:
        """Until nobody needs anything any more, or SIGTERM."""
        waited_for = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
        while True:
            self._bury()
            wanted = self._wanted()
            self._settle(wanted)
            if not wanted:
                return
            (self._state / "running").write_text(" ".join(wanted))
            caught = signal.sigtimedwait(waited_for, 0.3)
            if caught and caught.si_signo in (signal.SIGTERM, signal.SIGINT):
                self._told_to_stop = True

    def _wanted(self) -> list[str]:
        if self._told_to_stop:
            return []
        if self._has_users():
            return list(self._commands)
        return [name for name in self._commands if name in GUESTS_NEED] if has_guests() else []

    def _has_users(self) -> bool:
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._users, fcntl.LOCK_UN)
        return False

    def _settle(self, wanted: list[str]) -> None:
        for name in reversed(self._commands):
            if name not in wanted and name in self._pids:
                self._stop(name)
        for name in wanted:
            if name not in self._pids and time.monotonic() - self._died_at.get(name, -_RESTART_AFTER_S) >= _RESTART_AFTER_S:
                self._start(name)

    def _start(self, name: str) -> None:
        if name == "ovsdb-server":
            Path("/run/openvswitch").mkdir(exist_ok=True)
        log = str(self._log / f"{name}.log")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        redirect = [(os.POSIX_SPAWN_OPEN, 1, log, flags, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
        command = self._commands[name]
        try:
            self._pids[name] = os.posix_spawnp(command[0], command, os.environ, file_actions=redirect, setsigmask=(), setsid=True)
        except OSError as error:
            sys.stderr.write(f"{name}: {error}\n")
            self._died_at[name] = time.monotonic()

    def _stop(self, name: str) -> None:
        pid = self._pids.pop(name)
        for number, patience_s in ((signal.SIGTERM, _STOP_WAIT_S), (signal.SIGKILL, 2.0)):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            until = time.monotonic() + patience_s
            while time.monotonic() < until:
                self._bury()
                if not os.path.exists(f"/proc/{pid}"):
                    return
                time.sleep(0.02)

    def _bury(self) -> None:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for name in [name for name, each in self._pids.items() if each == pid]:
                del self._pids[name]
                self._died_at[name] = time.monotonic()


def has_guests() -> bool:
    """Whether a QEMU process of libvirt lives; asked without libvirtd, which may be down."""
    for path in _GUESTS.glob("*.pid"):
        try:
            if Path(f"/proc/{int(path.read_text())}/comm").read_text().startswith("qemu"):
                return True
        except (OSError, ValueError):
            continue
    return False


def _take(lock: int) -> bool:
    for _ in range(20):  # somebody may only be looking whether it is taken
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return True
    return False


def main() -> None:
    """One keeper per machine: a second one ends at once."""
    parser = argparse.ArgumentParser(prog="keeper", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--ovs", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("daemons", nargs="+", choices=list(COMMANDS))
    arguments = parser.parse_args()
    lock = os.open(arguments.state / "keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _take(lock):
        return
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        Keeper(arguments.daemons, state=arguments.state, ovs=arguments.ovs, log=arguments.log).run()
    finally:
        (arguments.state / "running").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
