"""Snapshots and fetching ahead as they really run: API, broker, agent, upload by HTTP, report, and kills in between."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from cloudsite.launcher.guest import Guest
from cloudsite.launcher.stack import Stack
from cloudsite.launcher.web import Client

CLOSED = ("succeeded", "failed", "cancelled")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    database = "sqlite" if request.config.getoption("--sqlite") else "postgresql"
    folder = tmp_path_factory.mktemp("snapshots")
    with Stack(folder, database=database, simulated_hosts=2, env={"CLOUDSITE_RESEND_S": "0.5"}) as running:  # type: ignore[arg-type]
        yield running


@pytest.fixture
def client(stack: Stack) -> Client:
    stack.wait_ready()
    return Client(stack.url, stack.token)


def quiet(_: str) -> None:
    return None


def ended(client: Client, operation: dict[str, Any], timeout_s: float = 180) -> dict[str, Any]:
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        found: dict[str, Any] = client.get(f"operations/{operation['id']}")
        if found["state"] in CLOSED:
            return found
        time.sleep(0.1)
    raise AssertionError(f"still {found['state']}: {found}")


def test_an_instance_boots_from_the_image_of_another(client: Client, stack: Stack) -> None:
    first = Guest.create(client, name="first", flavor="tiny", image="demo", say=quiet)
    begun = client.post(f"instances/{first.id}/snapshots", {"name": "copy"})
    operation = ended(client, begun["operation"])
    assert operation["state"] == "succeeded", operation
    assert {"disk.copied", "copy.sent"} <= {event["name"] for event in operation["events"]}
    image = client.get(f"images/{begun['image_id']}")
    assert (image["state"], image["disk_format"], image["properties"]["image_type"]) == ("active", "qcow2", "snapshot")
    second = Guest.create(client, name="second", flavor="tiny", image="copy", say=quiet)
    for guest in (first, second):
        guest.delete(quiet)
    client.delete(f"images/{image['id']}")
    assert stack.manage("audit").returncode == 0


@pytest.mark.parametrize("name", ["agent", "web", "conductor"])
def test_a_process_that_is_killed_meanwhile_leaves_no_half_image(client: Client, stack: Stack, name: str) -> None:
    guest = Guest.create(client, name="first", flavor="tiny", image="demo", say=quiet)
    begun = client.post(f"instances/{guest.id}/snapshots", {"name": f"copy-{name}"})
    stack.kill(name)
    stack.start_again(name)
    stack.wait_ready()
    operation = ended(client, begun["operation"])
    states = {image["id"]: image["state"] for image in client.get("images?limit=1000")["items"]}
    assert states.get(begun["image_id"], "deleted") == ("active" if operation["state"] == "succeeded" else "deleted")
    guest.delete(quiet)
    if begun["image_id"] in states:
        client.delete(f"images/{begun['image_id']}")
    assert stack.manage("audit").returncode == 0


def test_hosts_fetch_an_image_ahead_and_say_so(client: Client) -> None:
    (image,) = (each for each in client.get("images?limit=1000")["items"] if each["name"] == "demo")
    seeded = client.post(f"images/{image['id']}/seed", {"zone": "default"})
    assert seeded["skipped"] == []
    assert {ended(client, each)["state"] for each in seeded["operations"]} == {"succeeded"}
    listed = client.get(f"image-cache?image_id={image['id']}")["items"]
    assert len({each["host_name"] for each in listed}) == 2
    assert all(each["seen_at"] for each in listed)
