"""A private installation of real processes: everything else in this folder, the benchmark and the demo stand on it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsite.launcher.guest import Guest
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.servers import wait_until
from cloudsite.launcher.stack import Stack
from cloudsite.launcher.web import Client, Refused, answers_ready

CONTROL_PLANE = {"web", "scheduler", "conductor", "ticker", "agent", "redis"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), simulated_hosts=2, static=True) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Client:
    stack.wait_ready()
    return Client(stack.url, stack.token)


def quiet(_: str) -> None:
    return None


def test_an_instance_lives_and_dies(client: Client, stack: Stack) -> None:
    guest = Guest.create(client, name="one", flavor="tiny", image="demo", say=quiet)
    text = guest.wait_console((f"instance-id={guest.id}", guest.address()))
    assert "hostname=one" in text
    guest.act("reboot_soft", quiet)
    guest.delete(quiet)
    assert stack.manage("audit").returncode == 0


@pytest.mark.parametrize("name", ["conductor", "scheduler", "ticker", "agent", "web", "redis"])
def test_a_process_that_was_killed_can_be_started_again(client: Client, stack: Stack, name: str) -> None:
    before = stack.pid(name)
    stack.kill(name)
    assert name not in stack.pids()
    assert stack.start_again(name) != before
    stack.wait_ready()
    assert set(stack.pids()) == CONTROL_PLANE


def test_static_files_are_served_without_asking_django(client: Client, stack: Stack) -> None:
    import urllib.request

    with urllib.request.urlopen(f"{stack.url}/static/admin/css/base.css", timeout=60) as answer:
        assert answer.status == 200


def test_a_wrong_token_is_refused(stack: Stack) -> None:
    stack.wait_ready()
    with pytest.raises(Refused) as caught:
        Client(stack.url, "cs1_wrong").get("instances")
    assert caught.value.status == 401


def test_nothing_is_left_of_a_stack_that_could_not_start(tmp_path: Path) -> None:
    stack = Stack(tmp_path, env={"CLOUDSITE_NETWORK_CIDR": "10.0.0.0/28", "CLOUDSITE_DATABASE_URL": "sqlite:////nowhere/x"})
    with pytest.raises(LaunchError):
        stack.start()
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _mentions(pid, str(tmp_path))]


def test_stopping_twice_is_fine_and_leaves_no_process(tmp_path: Path) -> None:
    stack = Stack(tmp_path, simulated_hosts=1)
    stack.start()
    pids = list(stack.pids().values())
    stack.stop()
    stack.stop()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "a process is left", 60)
    assert not answers_ready(stack.url)


def _mentions(pid: str, text: str) -> bool:
    try:
        return text.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
