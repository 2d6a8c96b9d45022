"""Runs programs as direct children, each in a process group of its own; what the tests and the benchmark use."""

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from cloudsite.launcher.programs import LaunchError, Program
from cloudsite.settings.environment import BASE_DIR

RESTART_AFTER_S = 0.5
_LOOK_EVERY_S = 0.05


class Spawner:
    """Starts, kills, restarts and stops programs.

    All children are started by one thread of the spawner's own: the kernel ends a child together with the *thread* that
    made it (`setpriv --pdeathsig`), and so none outlives this process, not even when that is killed.
    """

    def __init__(self, *, restart: bool = False) -> None:
        """`restart`: what dies without having been told to is started again half a second later."""
        self.restart = restart
        self._programs: dict[str, Program] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._wanted: set[str] = set()
        self._dead_since: dict[str, float] = {}
        self._orders: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="spawner", daemon=True)
        self._thread.start()

    def start(self, program: Program) -> int:
        """Start it, or a new life of it; its pid. What runs already is left alone. Raises LaunchError."""
        return int(self._order(lambda: self._start(program)))

    def start_again(self, name: str) -> int:
        """Start a program that was killed or stopped; its new pid."""
        return self.start(self._programs[name])

    def pid(self, name: str) -> int:
        """Raises LaunchError if it does not run."""
        child = self._children.get(name)
        if child is None or child.poll() is not None:
            raise LaunchError(f"{name} does not run.")
        return child.pid

    def pids(self) -> dict[str, int]:
        """Of all that run."""
        return {name: child.pid for name, child in list(self._children.items()) if child.poll() is None}

    def kill(self, name: str) -> None:
        """kill -9 of the program with all its children; returns when it is dead. With `restart` it comes back."""
        child = self._children[name]
        _signal_group(child, signal.SIGKILL)
        child.wait(5)

    def stop(self, *names: str) -> None:
        """Ask them all to end, and kill what does not. What does not run is no error."""
        children = {name: child for name in names if (child := self._children.pop(name, None)) is not None}
        self._wanted.difference_update(names)
        for name, child in children.items():
            if child.poll() is None:
                child.send_signal(signal.Signals[f"SIG{self._programs[name].stop_signal}"])
        until = time.monotonic() + max((self._programs[name].stop_wait_s for name in children), default=0)
        for child in children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.01, until - time.monotonic()))
            _signal_group(child, signal.SIGKILL)
            child.wait(5)

    def close(self) -> None:
        """Stop all, servers after those that need them, and end the thread."""
        self._wanted.clear()
        for server in (False, True):
            self.stop(*[name for name in list(self._children) if self._programs[name].server is server])
        self._orders.put(None)
        self._thread.join(5)

    def _order(self, work: Callable[[], Any]) -> Any:
        future: Future[Any] = Future()
        self._orders.put((work, future))
        return future.result(15)

    def _work(self) -> None:
        while True:
            try:
                order = self._orders.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                if self.restart:
                    self._revive()
                continue
            if order is None:
                return
            work, future = order
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

    def _revive(self) -> None:
        now = time.monotonic()
        for name in list(self._wanted):
            child = self._children.get(name)
            if child is None or child.poll() is None:
                self._dead_since.pop(name, None)
            elif now - self._dead_since.setdefault(name, now) >= RESTART_AFTER_S:
                del self._dead_since[name]
                self._start(self._programs[name])

    def _start(self, program: Program) -> int:
        running = self._children.get(program.name)
        if running is not None and running.poll() is None:
            return running.pid
        program.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with program.log.open("ab") as log:
                child = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "TERM", "/bin/sh", "-c", program.command],
                    cwd=BASE_DIR, env=dict(program.environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise LaunchError(f"{program.name} cannot be started: {error}") from error
        self._programs[program.name], self._children[program.name] = program, child
        self._wanted.add(program.name)
        return child.pid


def _signal_group(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
