"""Snapshots of real guests the whole way: API, broker, agent, libvirt, upload to the real control plane, and a boot from what came."""

import base64
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.images.demo import DemoImage
from cloudsite.launcher import programs
from cloudsite.launcher.guest import Guest
from cloudsite.launcher.servers import wait_until
from cloudsite.launcher.stack import Stack
from cloudsite.launcher.web import Client
from tests.real.lab import hypervisor_unavailable, qemus
from tests.real.test_libvirt_snapshots import READ, WRITE

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(hypervisor_unavailable()), reason=hypervisor_unavailable()),
]
# So much that copying it takes a while.
MUCH = WRITE + "yes written-by-the-first | dd of=/mnt/more bs=1M count=40 2>/dev/null; sync\n"
CLOSED = ("succeeded", "failed", "cancelled")


def quiet(_: str) -> None:
    return None


class Cloud:
    """An installation with one real host."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.client = stack, Client(stack.url, stack.token)

    def boot(self, name: str, script: str, image: str = "demo-direct") -> Guest:
        """A guest that has run the script."""
        user_data = base64.b64encode(f"#!/bin/sh\n{script}\n".encode()).decode()
        made = self.client.post("instances", {"name": name, "flavor": "tiny", "image": image, "user_data": user_data})
        assert self.ended(made["operation"])["state"] == "succeeded"
        guest = Guest(self.client, made["instance"]["id"])
        guest.wait_console(("cloudsite: ready",), timeout_s=200)
        return guest

    def snapshot(self, guest: Guest, name: str) -> dict[str, Any]:
        begun: dict[str, Any] = self.client.post(f"instances/{guest.id}/snapshots", {"name": name})
        return begun

    def ended(self, operation: dict[str, Any]) -> dict[str, Any]:
        found = dict(operation)

        def is_closed() -> bool:
            found.update(self.client.get(f"operations/{operation['id']}"))
            return found["state"] in CLOSED

        wait_until(is_closed, f"the operation does not end: {found}", 180)
        return found

    def image_state(self, image_id: str) -> str:
        states = {image["id"]: image["state"] for image in self.client.get("images?limit=1000")["items"]}
        return str(states.get(image_id, "deleted"))

    def copies(self) -> list[Path]:
        """What there is of snapshots on the host."""
        instances = programs.agent_config(self.stack.settings).parent / "instances"
        return list(instances.glob("*/snapshot.*"))

    def scratch(self) -> list[Path]:
        """What there is of uploads that are not at their end."""
        return [path for path in self.stack.var.rglob("incoming/*") if path.is_file()]

    def wait_for_copy(self) -> None:
        """Until one is being made."""
        until = time.monotonic() + 120
        while not any(path.suffix == ".qcow2" for path in self.copies()):
            assert time.monotonic() < until, "nothing is being copied"
            time.sleep(0.002)

    def assert_nothing_left(self) -> None:
        wait_until(lambda: not self.copies(), f"left of a snapshot: {self.copies()}", 60)
        assert self.scratch() == []
        audit = self.stack.manage("audit")
        assert audit.returncode == 0, audit.stdout + audit.stderr


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, demo: DemoImage, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    database = "sqlite" if request.config.getoption("--sqlite") else "postgresql"
    folder = tmp_path_factory.mktemp("whole-way")
    env = {"CLOUDSITE_RESEND_S": "0.5"}
    with Stack(folder, database=database, driver="libvirt", cache=demo.disk.parent, env=env) as stack:  # type: ignore[arg-type]
        yield Cloud(stack)
    assert stack.leftovers == 0


@pytest.fixture(scope="module")
def guest(cloud: Cloud) -> Iterator[Guest]:
    """Runs before and after each test."""
    made = cloud.boot("first", MUCH)
    yield made
    made.delete(quiet)


@pytest.fixture(autouse=True)
def _nothing_is_left(cloud: Cloud) -> Iterator[None]:
    yield
    cloud.assert_nothing_left()


def test_an_instance_boots_from_the_snapshot_of_a_running_one_and_finds_its_file(cloud: Cloud, guest: Guest) -> None:
    begun = cloud.snapshot(guest, "golden")
    operation = cloud.ended(begun["operation"])
    assert operation["state"] == "succeeded", operation
    assert guest.facts()["power_state"] == "running"
    second = cloud.boot("second", READ, "golden")
    assert "file: written-by-the-first" in second.console()
    second.delete(quiet)
    cloud.client.delete(f"images/{begun['image_id']}")


def test_a_killed_agent_goes_on_or_says_why_not_and_leaves_nothing(cloud: Cloud, guest: Guest) -> None:
    begun = cloud.snapshot(guest, "interrupted")
    cloud.wait_for_copy()
    cloud.stack.kill("agent")
    cloud.stack.start_again("agent")
    operation = cloud.ended(begun["operation"])
    print(f"the operation has {operation['state']}: {operation['error']}")
    wait_until(lambda: not cloud.copies(), "the copy is still there", 60)
    expected = "active" if operation["state"] == "succeeded" else "deleted"
    assert cloud.image_state(begun["image_id"]) == expected
    assert expected == "active" or operation["error"]["message"]
    jobs = subprocess.run(["virsh", "domjobinfo", f"cs-{guest.id}"], capture_output=True, text=True, check=True).stdout
    assert "None" in jobs
    again = cloud.snapshot(guest, "again")
    assert cloud.ended(again["operation"])["state"] == "succeeded"
    guest.act("reboot_hard", quiet)
    guest.wait_console(("cloudsite: ready",), times=2, timeout_s=200)
    for image_id in {begun["image_id"], again["image_id"]}:
        if cloud.image_state(image_id) == "active":
            cloud.client.delete(f"images/{image_id}")


def test_an_instance_that_is_deleted_meanwhile_goes_with_its_copy(cloud: Cloud) -> None:
    doomed = cloud.boot("doomed", MUCH)
    begun = cloud.snapshot(doomed, "never")
    cloud.wait_for_copy()
    agent = cloud.stack.pid("agent")
    os.killpg(agent, signal.SIGSTOP)  # or it may be done before the API has heard of the deletion
    try:
        accepted = cloud.client.delete(f"instances/{doomed.id}")
    finally:
        os.killpg(agent, signal.SIGCONT)
    assert cloud.ended(accepted["operation"])["state"] == "succeeded"
    assert cloud.ended(begun["operation"])["state"] == "cancelled"
    assert cloud.image_state(begun["image_id"]) == "deleted"
    assert qemus(doomed.id) == []
