"""The image worker as it really runs: messages by the broker, real downloads, real qemu-img, real kills."""

import itertools
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudsite.launcher.programs import IMAGES
from cloudsite.launcher.servers import wait_until
from cloudsite.launcher.stack import Stack
from cloudsite.launcher.web import Client
from tests.support.origin import Call, Origin, origin

MIB = 1024**2
CONTENT = random.Random(8).randbytes(24 * MIB)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    database = "sqlite" if request.config.getoption("--sqlite") else "postgresql"
    env = {
        "CLOUDSITE_IMAGE_IMPORT_PRIVATE": "127.0.0.0/8", "CLOUDSITE_IMAGE_WORKER_SILENT_S": "6", "CLOUDSITE_RESEND_S": "0.5",
        "CLOUDSITE_IMAGE_IMPORT_STALL_S": "30",
    }
    with Stack(tmp_path_factory.mktemp("images"), database=database, images=True, env=env) as running:  # type: ignore[arg-type]
        yield running


@pytest.fixture
def client(stack: Stack) -> Client:
    stack.wait_ready()
    if IMAGES not in stack.pids():
        stack.start_again(IMAGES)
    return Client(stack.url, stack.token)


@pytest.fixture
def server() -> Iterator[Origin]:
    with origin() as running:
        running.script = lambda call: call.serve(CONTENT)
        yield running


def begin(client: Client, server: Origin, **more: Any) -> tuple[str, str]:
    """Ids of image and operation."""
    image = client.post("images", {"name": "new", "disk_format": "raw", **more})["id"]
    accepted = client.post(f"images/{image}/import", {"url": server.url()})
    assert accepted["image"]["state"] == "importing"
    return image, accepted["operation"]["id"]


def ended(client: Client, operation: str, timeout_s: float = 180) -> Any:
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        found = client.get(f"operations/{operation}?wait=10")
        if found["finished_at"]:
            return found
    raise AssertionError(f"it is still {found['state']}: {found['events']}")


def slowly(server: Origin, reached: threading.Event) -> Any:
    """The first request gets half of it, and then a byte now and then until somebody hangs up; others get all."""

    def script(call: Call) -> None:
        if len(server.seen) > 1:
            call.serve(CONTENT)
            return
        call.say(length=len(CONTENT), ETag='"one"')
        call.wfile.write(CONTENT[: len(CONTENT) // 2])
        reached.set()
        while not server.over.wait(0.01):
            call.wfile.write(b"x" * 4096)

    return script


def rooms(stack: Stack) -> list[Path]:
    return list((stack.var / "images" / "work").glob("*"))


def test_an_image_is_fetched_and_its_timeline_says_how_far_it_is(client: Client, server: Origin, stack: Stack) -> None:
    image, operation = begin(client, server)
    done = ended(client, operation)
    assert done["state"] == "succeeded", done["error"]
    assert client.get(f"images/{image}")["state"] == "active"
    names = [event["name"] for event in done["events"]]
    assert names[0] == "accepted"
    assert names[-1] == "finished"
    assert [event["detail"] for event in done["events"] if event["name"] == "progress"][-1] == "100 % of 24.0 MiB"
    assert rooms(stack) == []


def test_memory_stays_small_whatever_is_fetched(client: Client, server: Origin, stack: Stack, record_property: Any) -> None:
    ended(client, begin(client, server)[1])
    before = resident_mb(stack)

    def script(call: Call) -> None:
        call.say(length=400 * MIB, ETag='"large"')
        for _ in range(400):
            call.wfile.write(CONTENT[:MIB])

    server.script = script
    done = ended(client, begin(client, server)[1])
    assert done["state"] == "succeeded", done["error"]
    grown = resident_mb(stack) - before
    record_property("grown MB", grown)
    assert grown < 32


def resident_mb(stack: Stack) -> float:
    lines = Path(f"/proc/{stack.pid(IMAGES)}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def test_a_worker_that_is_killed_is_replaced_and_the_image_comes(client: Client, server: Origin, stack: Stack) -> None:
    reached = threading.Event()
    server.script = slowly(server, reached)
    image, operation = begin(client, server)
    assert reached.wait(120)
    stack.kill(IMAGES)
    assert client.get(f"images/{image}")["state"] == "importing"
    stack.start_again(IMAGES)
    done = ended(client, operation)
    assert (done["state"], done["attempt"]) == ("succeeded", 2)
    assert client.get(f"images/{image}")["size_bytes"] == len(CONTENT)
    assert rooms(stack) == []
    assert stack.manage("audit").returncode == 0


def test_a_worker_that_is_stopped_lets_go_at_once(client: Client, server: Origin, stack: Stack) -> None:
    reached = threading.Event()
    server.script = slowly(server, reached)
    _, operation = begin(client, server)
    assert reached.wait(120)
    stack.stop_one(IMAGES)
    waiting = client.get(f"operations/{operation}")
    assert (waiting["state"], waiting["attempt"]) == ("queued", 1)
    assert rooms(stack) == []
    stack.start_again(IMAGES)
    assert ended(client, operation)["state"] == "succeeded"


def test_one_by_one_and_none_is_forgotten(client: Client, server: Origin, stack: Stack) -> None:
    operations = [begin(client, server)[1] for _ in range(5)]
    found = [ended(client, operation) for operation in operations]
    assert {each["state"] for each in found} == {"succeeded"}
    spans = sorted((each["started_at"], each["finished_at"]) for each in found)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans)), spans


def test_what_waited_while_the_broker_forgot_everything_is_done(client: Client, server: Origin, stack: Stack) -> None:
    stack.stop_one(IMAGES)
    _, operation = begin(client, server)
    stack.kill("redis")
    stack.start_again("redis")
    stack.start_again(IMAGES)
    assert ended(client, operation)["state"] == "succeeded"


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img (Debian: qemu-utils)")
def test_an_image_is_converted(client: Client, server: Origin, stack: Stack) -> None:
    image, operation = begin(client, server)
    ended(client, operation)
    accepted = client.post(f"images/{image}/convert", {"disk_format": "qcow2", "name": "small"})
    done = ended(client, accepted["operation"]["id"])
    assert done["state"] == "succeeded", done["error"]
    made = client.get(f"images/{accepted['image']['id']}")
    assert (made["state"], made["disk_format"], made["virtual_size_bytes"]) == ("active", "qcow2", len(CONTENT))


def test_the_inside_stays_closed_in_a_real_installation(client: Client, server: Origin, stack: Stack) -> None:
    for url in ("http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", stack.url.replace("127.0.0.1", "[::1]")):
        image = client.post("images", {"name": "new", "disk_format": "raw"})["id"]
        operation = client.post(f"images/{image}/import", {"url": url})["operation"]["id"]
        assert ended(client, operation)["error"]["code"] == "image.url_address"
        wait_until(lambda image=image: client.get(f"images/{image}")["state"] == "queued", "it is not given back", 60)  # type: ignore[misc]
