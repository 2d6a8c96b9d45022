"""Process 1 of a place made of namespaces: mounts what is the place's own, then starts and ends programs as it is told.

Run alone, as `python -I -S init.py PLAN`, in new network, mount, UTS and process namespaces. Orders and answers are JSON,
one a line. When its stdin ends, because whoever gave orders closed it or died, it ends; and with process 1 the kernel ends
every process of the place and takes down its namespaces and devices.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any

_END_WAIT_S = 10.0


class Init:
    """`programs`: name → pid of what was started and has not ended."""

    def __init__(self) -> None:
        self.programs: dict[str, int] = {}
        self._wake, alarm = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(alarm, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Until stdin ends."""
        pending = b""
        while True:
            readable, _, _ = select.select([0, self._wake], [], [])
            if self._wake in readable:
                os.read(self._wake, 4096)
                self._bury()
            if 0 in readable:
                piece = os.read(0, 65536)
                if not piece:
                    return
                *orders, pending = (pending + piece).split(b"\n")
                for order in orders:
                    _tell(self._obey(json.loads(order)))

    def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"done": getattr(self, f"do_{order.pop('do')}")(**order)}
        except (OSError, KeyError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def do_start(self, name: str, command: list[str], environment: dict[str, str], log: str, cwd: str) -> int:
        """Its pid, as seen in here."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        redirect: list[Any] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        os.chdir(cwd)
        self.programs[name] = os.posix_spawnp(command[0], command, environment, file_actions=redirect, setsid=True)
        return self.programs[name]

    def do_end(self, name: str, number: int) -> bool:
        """Send the signal and wait until it is gone (killed, should it take too long); whether it ran."""
        pid = self.programs.get(name)
        if pid is None:
            return False
        os.kill(pid, number)
        until = time.monotonic() + _END_WAIT_S
        while name in self.programs:
            if time.monotonic() > until:
                os.killpg(pid, signal.SIGKILL)
            select.select([self._wake], [], [], 0.02)
            self._bury()
        return True

    def do_runs(self) -> dict[str, int]:
        return self.programs

    def _bury(self) -> None:
        # Orphans too: libvirt takes a guest for alive until its process is gone.
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self.programs = {name: each for name, each in self.programs.items() if each != pid}


def prepare(plan: dict[str, Any]) -> None:
    """`hostname`; `binds`: target → folder; `folders`: to be made below /run."""
    _do("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    # As `ip netns` needs it, and so that a namespace removed is removed for QEMU's private mounts too.
    _do("mount", "--make-shared", "/run")
    for folder in plan["folders"]:
        os.makedirs(f"/run/{folder}")
    for target, source in plan["binds"].items():
        if os.path.isdir(target):
            _do("mount", "--bind", source, target)
    # All of the old one: libvirt would see in the list of mounts that there are control groups, and look for them.
    _do("umount", "--recursive", "--lazy", "/sys")
    _do("mount", "-t", "sysfs", "sysfs", "/sys")
    _do("mount", "-t", "proc", "proc", "/proc")
    _do("ip", "link", "set", "lo", "up")
    socket.sethostname(plan["hostname"])


def _do(*command: str) -> None:
    subprocess.run(command, check=True)


def _tell(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    init = Init()
    prepare(json.loads(sys.argv[1]))
    _tell({"done": "ready"})
    init.run()
