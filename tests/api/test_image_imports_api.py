"""Imports and conversions over HTTP."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.operations.models import Operation
from contracts import topics
from tests.api.kit import Http
from tests.support.bus import FakeBus
from tests.support.cloud import Cloud
from tests.support.imports import Bench
from tests.support.origin import Origin, origin

CONTENT = random.Random(9).randbytes(1_000_000)


@pytest.fixture
def bench(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
def server() -> Iterator[Origin]:
    with origin() as running:
        running.script = lambda call: call.serve(CONTENT)
        yield running


def register(http: Http, disk_format: str = "raw") -> str:
    return str(http.post("images", {"name": "disk", "disk_format": disk_format}).ok(201)["id"])


def test_an_import_is_accepted_worked_on_and_seen(bench: Bench, bus: FakeBus, ann: Http, server: Origin) -> None:
    image = register(ann)
    answer = ann.post(f"images/{image}/import", {"url": server.url("/disk.raw?signature=secret"), "sha256": hashlib.sha256(CONTENT).hexdigest()})
    body = answer.ok(202)
    assert (body["image"]["id"], body["image"]["state"]) == (image, "importing")
    operation = body["operation"]
    assert (operation["kind"], operation["state"], operation["resource_type"], operation["resource_id"]) == ("image.import", "queued", "image", image)
    assert answer.headers["Location"] == f"/api/v1/operations/{operation['id']}"
    assert len(bus.take_queue(topics.IMAGES)) == 1
    ann.put(f"images/{image}/file", data=CONTENT, content_type="application/octet-stream").problem(409, "image.state")
    bench.work()
    seen = ann.get(f"operations/{operation['id']}").ok()
    assert seen["state"] == "succeeded"
    assert [(event["source"], event["name"]) for event in seen["events"]][:2] == [("api", "accepted"), ("worker", "started")]
    assert "secret" not in str(seen)
    assert ann.get(f"images/{image}").ok()["state"] == "active"


def test_an_import_that_is_asked_for_twice_with_one_key_is_done_once(bench: Bench, ann: Http, server: Origin) -> None:
    path, key = f"images/{register(ann)}/import", {"Idempotency-Key": "retry-me"}
    first = ann.post(path, {"url": server.url()}, headers=key).ok(202)
    again = ann.post(path, {"url": server.url()}, headers=key).ok(202)
    assert (again["image"], again["operation"]["id"]) == (first["image"], first["operation"]["id"])
    ann.post(path, {"url": server.url("/other")}, headers=key).problem(409, "client_token.reused", "Idempotency-Key")
    ann.post(path, {"url": server.url()}).problem(409, "operation.in_progress")
    # The answer is the same when it is over, and came to nothing; another try is another request.
    server.script = lambda call: call.say(403)
    bench.work()
    assert ann.post(path, {"url": server.url()}, headers=key).ok(202)["operation"]["state"] == "failed"
    assert Operation.objects.count() == 1
    ann.post(path, {"url": server.url()}, headers={"Idempotency-Key": "try-2"}).ok(202)


def test_why_an_import_failed_is_said_on_the_operation(bench: Bench, ann: Http, server: Origin) -> None:
    server.script = lambda call: call.say(403)
    image = register(ann)
    operation = ann.post(f"images/{image}/import", {"url": server.url()}).ok(202)["operation"]["id"]
    bench.work()
    error = ann.get(f"operations/{operation}").ok()["error"]
    assert (error["code"], error["facts"]) == ("image.source_status", {"status": 403})
    ann.post(f"images/{image}/import", {"url": server.url()}).ok(202)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"bucket": "b"}, {"key": "k"}, {"url": "http://example.org/", "bucket": "b", "key": "k"}, {"url": "ftp://example.org/"},
        {"url": "http://u:p@example.org/"}, {"url": "http://example.org/", "sha256": "short"}, {"url": "http://example.org/", "format": "raw"},
        {"url": 7}, {"url": None}, {"url": "http://" + "a" * 3000},
    ],
)
def test_a_wrong_order_is_refused_and_nothing_begins(bench: Bench, ann: Http, body: dict[str, object]) -> None:
    image = register(ann)
    assert ann.post(f"images/{image}/import", body).status == 400
    assert ann.get(f"images/{image}").ok()["state"] == "queued"
    assert not Operation.objects.exists()


def test_images_and_objects_of_others_are_none(bench: Bench, ann: Http, server: Origin) -> None:
    stranger_image = str(bench.image().pk)
    ann.post(f"images/{stranger_image}/import", {"url": server.url()}).problem(404, "image.not_found")
    ann.post(f"images/{stranger_image}/convert", {"disk_format": "qcow2"}).problem(404, "image.not_found")
    ann.post(f"images/{register(ann)}/import", {"bucket": "nobodys", "key": "k"}).problem(404, "bucket.not_found", "bucket")


def test_a_conversion_is_accepted_and_makes_a_new_image(bench: Bench, ann: Http) -> None:
    image = register(ann)
    ann.post(f"images/{image}/convert", {"disk_format": "qcow2"}).problem(409, "image.state")
    ann.put(f"images/{image}/file", data=CONTENT, content_type="application/octet-stream").ok()
    ann.post(f"images/{image}/convert", {"disk_format": "ami"}).problem(400, "request.invalid_choice", "disk_format")
    body = ann.post(f"images/{image}/convert", {"disk_format": "qcow2", "name": "second"}).ok(202)
    assert (body["image"]["name"], body["image"]["state"], body["image"]["disk_format"]) == ("second", "importing", "qcow2")
    assert body["image"]["id"] != image
    assert body["operation"]["kind"] == "image.convert"


def test_a_conversion_that_is_asked_for_twice_with_one_key_is_done_once(bench: Bench, ann: Http) -> None:
    image, key = register(ann), {"Idempotency-Key": "retry-me"}
    ann.put(f"images/{image}/file", data=CONTENT, content_type="application/octet-stream").ok()
    first = ann.post(f"images/{image}/convert", {"disk_format": "qcow2"}, headers=key).ok(202)
    again = ann.post(f"images/{image}/convert", {"disk_format": "qcow2"}, headers=key).ok(202)
    assert (again["image"]["id"], again["operation"]["id"]) == (first["image"]["id"], first["operation"]["id"])
    ann.post(f"images/{image}/convert", {"disk_format": "vdi"}, headers=key).problem(409, "client_token.reused", "Idempotency-Key")
    ann.post(f"images/{image}/convert", {"disk_format": "vdi"}, headers={"Idempotency-Key": ""}).problem(400, "client_token.malformed", "Idempotency-Key")
    assert Operation.objects.count() == 1
    # The answer is the same when all of it is over, and the source is gone.
    bench.work()
    ann.delete(f"images/{image}").ok(204)
    repeated = ann.post(f"images/{image}/convert", {"disk_format": "qcow2"}, headers=key).ok(202)
    assert (repeated["image"]["id"], repeated["image"]["state"], repeated["operation"]["state"]) == (first["image"]["id"], "active", "succeeded")
