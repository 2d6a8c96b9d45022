"""Direct children: none is lost, none is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsite.launcher.programs import LaunchError, Program
from cloudsite.launcher.servers import wait_until
from cloudsite.launcher.spawner import Spawner
from cloudsite.settings.environment import BASE_DIR


def program(folder: Path, command: str, name: str = "it", **more: float) -> Program:
    return Program(name, command, dict(os.environ), folder / f"{name}.log", **more)  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def spawner() -> Iterator[Spawner]:
    each = Spawner()
    yield each
    each.close()


def test_the_pid_is_the_programs_own(spawner: Spawner, tmp_path: Path) -> None:
    pid = spawner.start(program(tmp_path, "exec sleep 60"))
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "sleep does not run", 30)
    assert spawner.pids() == {"it": pid}


def test_what_it_prints_is_in_its_log(spawner: Spawner, tmp_path: Path) -> None:
    spawner.start(program(tmp_path, "echo out; echo err >&2; exec sleep 60"))
    wait_until(lambda: (tmp_path / "it.log").read_text() == "out\nerr\n", "nothing was written", 30)


def test_killing_takes_its_children_along_and_it_stays_dead(spawner: Spawner, tmp_path: Path) -> None:
    spawner.start(program(tmp_path, "sleep 60 & echo $!; exec sleep 61"))
    wait_until(lambda: bool((tmp_path / "it.log").read_text()), "no child", 30)
    child = int((tmp_path / "it.log").read_text())
    spawner.kill("it")
    wait_until(lambda: gone(child), "the child lives", 30)
    with pytest.raises(LaunchError, match="does not run"):
        spawner.pid("it")
    assert spawner.start_again("it") == spawner.pid("it")


def test_a_program_that_died_comes_back_if_that_is_wanted(tmp_path: Path) -> None:
    spawner = Spawner(restart=True)
    try:
        first = spawner.start(program(tmp_path, "exec sleep 60"))
        spawner.kill("it")
        wait_until(lambda: spawner.pids().get("it", first) != first, "it did not come back", 30)
        spawner.stop("it")
        time.sleep(0.8)
        assert spawner.pids() == {}, "what was stopped on purpose stays stopped"
    finally:
        spawner.close()


def test_one_that_does_not_listen_is_killed(spawner: Spawner, tmp_path: Path) -> None:
    pid = spawner.start(program(tmp_path, "trap '' TERM; echo deaf; while :; do sleep 1; done", stop_wait_s=0.3))
    wait_until(lambda: bool((tmp_path / "it.log").read_text()), "it did not start", 30)
    spawner.stop("it")
    assert gone(pid)


def test_servers_stop_after_those_that_need_them(tmp_path: Path) -> None:
    spawner = Spawner()
    told = "trap 'echo {0} >>order; exit' TERM; cd " + str(tmp_path) + "; echo up; while :; do sleep 0.05; done"
    for name, server in (("broker", True), ("web", False)):
        spawner.start(Program(name, told.format(name), dict(os.environ), tmp_path / f"{name}.log", server=server))
        wait_until((tmp_path / f"{name}.log").read_text, "it did not start", 30)  # type: ignore[arg-type]
    spawner.close()
    assert (tmp_path / "order").read_text().split() == ["web", "broker"]


def test_no_child_outlives_a_holder_that_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "CLOUDSITE_VAR": str(tmp_path / "var")},
    )
    assert holder.stdout is not None
    pid = int(holder.stdout.readline())
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "it did not start", 30)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    wait_until(lambda: gone(pid), "the child outlived its holder", 30)


_HOLDER = """
import os, sys, threading, time
from pathlib import Path
from cloudsite.launcher.programs import Program
from cloudsite.launcher.spawner import Spawner
spawner = Spawner()
program = Program("it", "exec sleep 60", dict(os.environ), Path(sys.argv[1]) / "log")
# From a thread that ends at once: the child must not end with it.
thread = threading.Thread(target=lambda: print(spawner.start(program), flush=True))
thread.start(); thread.join()
time.sleep(60)
"""
