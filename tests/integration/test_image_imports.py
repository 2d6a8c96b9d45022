"""Images whose data a worker fetches: whole and verified or not at all, whatever happens to the worker."""

import hashlib
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from apps.audit.models import Record
from apps.common import states
from apps.common.context import SYSTEM
from apps.images import inspect, store, workrooms
from apps.images.fetching import download
from apps.images.models import Image
from apps.images.services import arrivals, desk, images, imports, work
from apps.images.states import ImageState
from apps.operations.models import Operation
from apps.operations.services import sweep, workers
from apps.operations.services.workers import Lost
from apps.operations.states import OpState
from apps.quotas.services import limits
from contracts import topics
from tests.support.bus import FakeBus
from tests.support.cloud import make_project, refusal
from tests.support.commands import as_json, run
from tests.support.fixtures import Time
from tests.support.identity import make_actor
from tests.support.imports import Bench, Killed, fresh, notes
from tests.support.objects import Shelf
from tests.support.origin import Call, Origin, origin

pytestmark = pytest.mark.django_db(transaction=True)
CONTENT = random.Random(7).randbytes(3 * 1024 * 1024 + 5)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[Origin]:
    with origin() as running:
        running.script = lambda call: call.serve(CONTENT)
        yield running


@pytest.fixture
def bench(bus: FakeBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(download, "_PAUSES_S", (0.0,) * 5)
    return Bench(tmp_path, monkeypatch)


def test_an_image_gets_its_data_from_a_url(bench: Bench, server: Origin, bus: FakeBus) -> None:
    image, operation = bench.fetch(server)
    assert fresh(image).state == ImageState.IMPORTING
    (message,) = bus.take_queue(topics.IMAGES)
    assert message.task == topics.IMAGE_WORK
    assert bench.work().operation_id == operation.pk
    done = fresh(image)
    assert (done.state, done.sha256, done.size_bytes, done.virtual_size_bytes) == ("active", SHA256, len(CONTENT), len(CONTENT))
    assert done.md5 == hashlib.md5(CONTENT).hexdigest()
    assert fresh(operation).state == OpState.SUCCEEDED
    assert fresh(operation).message == ""
    assert bench.contents() == [CONTENT]
    assert bench.rooms() == []
    assert bench.used() == (1, len(CONTENT))
    names = [name for _, name, _ in notes(operation.pk)]
    assert names[:3] == ["accepted", "started", "size known"]
    assert names[-2:] == ["fetched", "finished"]
    assert ("worker", "progress", "100 % of 3.0 MiB") in notes(operation.pk)


def test_urls_that_are_signed_are_shown_to_nobody(bench: Bench, server: Origin, bus: FakeBus) -> None:
    image = bench.image()
    url = server.url("/disk.raw?X-Amz-Signature=topsecret")
    operation = imports.start(actor=bench.actor, image_id=image.pk, source=imports.FromUrl(url=url))
    (message,) = bus.take_queue(topics.IMAGES)
    assert "topsecret" not in "".join(message.items)
    bench.work()
    assert server.paths() == ["/disk.raw?X-Amz-Signature=topsecret"]
    assert "topsecret" not in repr(notes(operation.pk))
    assert "topsecret" not in repr(list(Record.objects.values()))
    assert "topsecret" not in repr(Operation.objects.filter(pk=operation.pk).values())


def test_the_inside_is_not_reached_unless_it_was_opened(bench: Bench, server: Origin) -> None:
    bench.set(image_import_private=())
    image, operation = bench.fetch(server)
    bench.work()
    assert fresh(operation).error["code"] == "image.url_address"
    assert fresh(image).state == ImageState.QUEUED
    assert server.seen == []
    assert bench.used() == (1, 0)


@pytest.mark.parametrize("url", ["ftp://example.org/x", "http://user:pass@example.org/", "http://example.org:25/"])
def test_a_url_that_is_none_is_refused_with_the_request(bench: Bench, url: str) -> None:
    image = bench.image()
    error = refusal(imports.start, actor=bench.actor, image_id=image.pk, source=imports.FromUrl(url=url))
    assert error.field == "url"
    assert fresh(image).state == ImageState.QUEUED
    assert not Operation.objects.exists()


def test_what_is_fetched_is_inspected(bench: Bench, server: Origin) -> None:
    image, operation = bench.fetch(server, bench.image("qcow2"))
    bench.work()
    assert fresh(operation).state == OpState.FAILED
    assert fresh(operation).error["code"] == "image.format_mismatch"
    assert fresh(image).state == ImageState.QUEUED
    assert bench.contents() == []
    assert bench.rooms() == []
    assert bench.used() == (1, 0)


def test_another_hash_than_expected_is_refused(bench: Bench, server: Origin) -> None:
    image, operation = bench.fetch(server, sha256="0" * 64)
    bench.work()
    assert fresh(operation).error["code"] == "image.sha256"
    image, operation = bench.fetch(server, bench.image(sha256="1" * 64))
    bench.work()
    assert fresh(operation).error["code"] == "image.sha256"
    assert refusal(bench.fetch, server, bench.image(sha256="1" * 64), sha256="2" * 64).code == "image.sha256"
    assert refusal(bench.fetch, server, sha256="xyz").code == "image.sha256"
    assert bench.contents() == []


def test_the_announced_length_is_held_against_the_quota_before_anything_comes(
    bench: Bench, server: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=bench.project.pk, limits={"image_bytes": 1000})
    monkeypatch.setattr(download._Transfer, "_take", lambda *_: pytest.fail("it was read"))
    image, operation = bench.fetch(server)
    bench.work()
    assert fresh(operation).error["code"] == "quota.exceeded"
    assert bench.used() == (1, 0)
    assert fresh(image).state == ImageState.QUEUED


def test_who_may_not_change_the_image_may_not_import_it(bench: Bench, server: Origin) -> None:
    image, stranger = bench.image(), make_actor(make_project())
    source = imports.FromUrl(url=server.url())
    assert refusal(imports.start, actor=stranger, image_id=image.pk, source=source).code == "image.not_found"
    reader = make_actor(bench.project, role="reader")
    assert refusal(imports.start, actor=reader, image_id=image.pk, source=source).kind == "forbidden"


def test_only_one_import_at_a_time_and_only_of_queued_images(bench: Bench, server: Origin) -> None:
    image, operation = bench.fetch(server)
    assert refusal(bench.fetch, server, image).kind == "invalid_state"
    bench.work()
    assert refusal(bench.fetch, server, image).code == "image.state"
    assert Operation.objects.count() == 1


def test_a_message_that_comes_again_does_nothing(bench: Bench, server: Origin) -> None:
    _, operation = bench.fetch(server)
    assert bench.work() is not None
    assert bench.work() is None
    assert len(server.seen) == 1
    assert fresh(operation).attempt == 1


def test_an_image_that_is_deleted_meanwhile_stays_deleted(bench: Bench, server: Origin) -> None:
    def script(call: Call) -> None:
        images.delete(actor=bench.actor, image_id=image.pk)
        call.serve(CONTENT)

    image, operation = bench.fetch(server)
    server.script = script
    bench.set(image_worker_silent_s=0.0)
    bench.work()
    assert fresh(image).state == ImageState.DELETED
    assert fresh(operation).error["code"] == "image.not_found"
    assert bench.contents() == []
    assert bench.used() == (0, 0)


def test_deleted_before_its_turn_nothing_is_fetched(bench: Bench, server: Origin) -> None:
    image, operation = bench.fetch(server)
    images.delete(actor=bench.actor, image_id=image.pk)
    bench.work()
    assert fresh(operation).state == OpState.FAILED
    assert server.seen == []


def test_a_worker_that_is_stopped_puts_its_work_back(bench: Bench, server: Origin, bus: FakeBus) -> None:
    image, operation = bench.fetch(server)
    bus.take()
    bench.work(stop=lambda: bool(server.seen))
    assert (fresh(operation).state, fresh(operation).attempt) == (OpState.QUEUED, 1)
    assert fresh(image).state == ImageState.IMPORTING
    assert bench.rooms() == []
    assert len(bus.take_queue(topics.IMAGES)) == 1, "others are told at once"
    bench.work()
    assert fresh(image).state == ImageState.ACTIVE


def _killed_at(bench: Bench, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, killed)
        bench.die()


@pytest.mark.parametrize(
    "line",
    ["download.fetch", "work.complete", "arrivals.expect", "inspect.inspect", "store.keep", "work._succeed", "states.move", "workrooms.room"],
)
def test_a_worker_killed_at_any_line_leaves_nothing_but_work_to_do(
    bench: Bench, server: Origin, time_machine: Time, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    owners: dict[str, Any] = {
        "download": download, "work": work, "arrivals": arrivals, "inspect": inspect, "store": store, "states": states,
        "workrooms": workrooms,
    }
    image, operation = bench.fetch(server)
    module, _, name = line.partition(".")
    _killed_at(bench, monkeypatch, owners[module], name)
    assert fresh(image).state == ImageState.IMPORTING
    assert fresh(operation).state == OpState.RUNNING
    sweep.sweep()
    assert fresh(operation).state == OpState.RUNNING, "it may still live"
    time_machine.forward(121)
    sweep.sweep()
    assert (fresh(operation).state, fresh(operation).attempt) == (OpState.QUEUED, 2)
    assert bench.rooms() == []
    bench.work()
    assert fresh(image).state == ImageState.ACTIVE
    assert fresh(operation).state == OpState.SUCCEEDED
    assert bench.contents() == [CONTENT]
    assert bench.used() == (1, len(CONTENT))


def test_a_worker_that_dies_every_time_is_the_end(
    bench: Bench, server: Origin, time_machine: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, operation = bench.fetch(server)
    for _ in range(3):
        _killed_at(bench, monkeypatch, download, "fetch")
        time_machine.forward(121)
        sweep.sweep()
    assert fresh(operation).error["code"] == "image.worker_silent"
    assert fresh(image).state == ImageState.QUEUED
    assert bench.rooms() == []
    assert bench.used() == (1, 0)
    assert bench.work() is None


def test_without_any_worker_it_fails_in_the_end_and_says_why(bench: Bench, server: Origin, time_machine: Time) -> None:
    image, operation = bench.fetch(server)
    time_machine.forward(86_401)
    sweep.sweep()
    assert fresh(operation).error["code"] == "image.no_worker"
    assert fresh(image).state == ImageState.QUEUED


def test_who_was_thought_dead_changes_nothing_any_more(bench: Bench, server: Origin, time_machine: Time) -> None:
    """Frozen for minutes, then alive again, while another worker has begun."""

    def script(call: Call) -> None:
        if len(server.seen) == 1:
            time_machine.forward(121)
            sweep.sweep()
            taken.append(workers.take(queue=topics.IMAGES, silent_s=120, rank=lambda _: 0.0))
        call.serve(CONTENT)

    taken: list[Any] = []
    image, operation = bench.fetch(server)
    server.script = script
    bench.work()
    assert fresh(image).state == ImageState.IMPORTING
    assert fresh(operation).state == OpState.RUNNING
    assert fresh(operation).generation == taken[0].generation == 2
    assert bench.contents() == []
    with transaction.atomic():
        assert workers.lock(taken[0]).pk == operation.pk


def test_a_turn_that_is_over_is_lost(bench: Bench, server: Origin) -> None:
    bench.fetch(server)
    turn = bench.work()
    assert turn is not None
    with pytest.raises(Lost):
        workers.alive(turn, silent_s=5)
    with pytest.raises(Lost), transaction.atomic():
        workers.lock(turn)


def test_the_longest_import_has_an_end(bench: Bench, server: Origin, time_machine: Time) -> None:
    def script(call: Call) -> None:
        time_machine.forward(100_000)
        call.serve(CONTENT)

    bench.set(image_worker_silent_s=0.0)
    image, operation = bench.fetch(server)
    server.script = script
    bench.work()
    assert fresh(operation).error["code"] == "image.work_timeout"
    assert fresh(image).state == ImageState.QUEUED


def test_whoever_asks_for_much_waits_behind_those_who_ask_for_little(bench: Bench, server: Origin) -> None:
    greedy = [bench.fetch(server)[1].pk for _ in range(3)]
    other = make_actor(make_project())
    modest = images.register(actor=other, name="new", disk_format="raw")
    last = imports.start(actor=other, image_id=modest.pk, source=imports.FromUrl(url=server.url())).pk
    at = desk.Desk()
    at._work_through()
    order = list(Operation.objects.order_by("finished_at").values_list("pk", flat=True))
    assert order == [greedy[0], last, greedy[1], greedy[2]]


def test_work_that_a_busy_worker_knows_of_is_not_sent_again_and_again(bench: Bench, server: Origin, time_machine: Time) -> None:
    _, operation = bench.fetch(server)
    workers.known([operation.pk])
    time_machine.forward(200)
    assert sweep.sweep().resent == 0
    time_machine.forward(200)
    assert sweep.sweep().resent == 1


def test_an_image_gets_its_data_from_an_object(bench: Bench, shelf: Shelf) -> None:
    version = shelf.put("images/disk.raw", CONTENT)
    image = images.register(actor=shelf.actor, name="new", disk_format="raw")
    source = imports.FromObject(bucket=shelf.name, key="images/disk.raw", sha256=SHA256)
    operation = imports.start(actor=shelf.actor, image_id=image.pk, source=source)
    assert fresh(image).size_bytes == version.size_bytes, "counted at once"
    bench.root = shelf.root
    bench.work()
    assert fresh(operation).state == OpState.SUCCEEDED, fresh(operation).error
    assert (fresh(image).state, fresh(image).sha256) == ("active", SHA256)


def test_an_object_that_one_may_not_read_is_none(bench: Bench, shelf: Shelf) -> None:
    shelf.put("secret", CONTENT)
    image = bench.image()
    source = imports.FromObject(bucket=shelf.name, key="secret")
    assert refusal(imports.start, actor=bench.actor, image_id=image.pk, source=source).kind == "forbidden"
    assert fresh(image).state == ImageState.QUEUED
    missing = imports.FromObject(bucket=shelf.name, key="none")
    own = images.register(actor=shelf.actor, name="new", disk_format="raw")
    assert refusal(imports.start, actor=shelf.actor, image_id=own.pk, source=missing).code == "object.not_found"


def test_the_object_that_was_meant_is_taken_or_none(bench: Bench, shelf: Shelf) -> None:
    shelf.put("disk", CONTENT)
    image = images.register(actor=shelf.actor, name="new", disk_format="raw")
    operation = imports.start(actor=shelf.actor, image_id=image.pk, source=imports.FromObject(bucket=shelf.name, key="disk"))
    shelf.put("disk", b"something else")
    bench.work()
    assert fresh(operation).error["code"] == "object.not_found"
    assert fresh(image).state == ImageState.QUEUED


def test_rooms_of_the_living_are_left_alone(bench: Bench) -> None:
    with workrooms.room(uuid.uuid4(), 1) as room:
        assert workrooms.clear() == 0
        assert room.is_dir()
    dead = bench.root / "work" / f"{uuid.uuid4()}.1"
    dead.mkdir()
    (dead / "content").write_bytes(b"x")
    assert workrooms.clear() == 1
    assert bench.rooms() == []


def test_the_command_has_a_worker_fetch_it(bench: Bench, server: Origin) -> None:
    order = ("image_import", "--url", server.url(), "--name", "new", "--format", "raw", "--project", bench.project.name)
    made = as_json(*order, "--protected")
    assert (made["image"]["state"], made["operation"]["state"]) == ("importing", "queued")
    bench.work()
    image = Image.objects.get(pk=made["image"]["id"])
    assert (image.state, image.protected, image.project_id) == ("active", True, bench.project.pk)
    assert run(*order, "--wait", "--timeout", "0")[0] == 5, "no worker is there"
    assert run("image_import", "--url", "ftp://example.org/", "--name", "new", "--format", "raw", "--project", bench.project.name)[0] == 2
    assert run("image_import", "--name", "new", "--format", "raw")[0] == 2
    assert Image.objects.exclude(state="deleted").count() == 2


def test_the_command_has_a_worker_copy_an_object(bench: Bench, shelf: Shelf) -> None:
    shelf.put("images/disk.raw", CONTENT)
    order = ("image_import", "--name", "new", "--format", "raw", "--project", str(shelf.actor.project_id))
    made = as_json(*order, "--object", f"{shelf.name}/images/disk.raw")
    bench.root = shelf.root
    bench.work()
    assert Image.objects.get(pk=made["image"]["id"]).state == "active"
    assert run(*order, "--object", f"{shelf.name}/none")[0] == 3
    assert run(*order, "--object", shelf.name, "--url", "https://example.org/disk.raw")[0] == 2
