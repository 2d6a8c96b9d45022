"""The life of an instance over HTTP."""

import base64
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from apps.compute.models import Instance
from apps.operations.models import Operation
from tests.api.kit import Http
from tests.support.cloud import Cloud


def wanted(cloud: Cloud, **fields: Any) -> dict[str, Any]:
    return {"name": "web", "flavor_id": str(cloud.flavor.pk), "image_id": str(cloud.image.pk), **fields}


def test_a_post_is_answered_at_once_with_instance_and_operation(cloud: Cloud, ann: Http) -> None:
    answer = ann.post("instances", wanted(cloud))
    body = answer.ok(202)
    assert answer.headers["Location"] == f"/api/v1/operations/{body['operation']['id']}"
    assert body["instance"]["state"] == "BUILD"
    assert body["instance"]["task"] == {"operation_id": body["operation"]["id"], "kind": "instance.build"}
    assert body["instances"] == [body["instance"]] and body["operations"] == [body["operation"]]
    assert ann.get(answer.headers["Location"]).ok()["events"][0]["name"] == "accepted"
    assert len(cloud.bus.waiting) == 1


def test_an_instance_lives_and_dies(cloud: Cloud, ann: Http) -> None:
    cloud.host()
    made = ann.post("instances", wanted(cloud, metadata={"role": "web"}, user_data=base64.b64encode(b"#!/bin/sh").decode())).ok(202)
    path = f"instances/{made['instance']['id']}"
    cloud.run()
    shown = ann.get(path).ok()
    assert (shown["state"], shown["power_state"], shown["task"]) == ("ACTIVE", "running", None)
    assert shown["addresses"][0]["address"].startswith("10.64.0.")
    assert shown["metadata"] == {"role": "web"}

    changed = ann.patch(path, {"name": "db", "metadata": {}}).ok()
    assert (changed["name"], changed["metadata"]) == ("db", {})

    stopping = ann.post(f"{path}/actions", {"action": "stop"}).ok(202)["operation"]
    ann.post(f"{path}/actions", {"action": "stop"}).problem(409, "operation.in_progress")
    cloud.run()
    assert ann.get(f"operations/{stopping['id']}").ok()["state"] == "succeeded"
    assert ann.get(path).ok()["state"] == "STOPPED"
    refused = ann.post(f"{path}/actions", {"action": "stop"}).problem(409, "instance.state")
    assert refused["allowed"] == ["ACTIVE"]

    going = ann.delete(path)
    assert going.headers["Location"] == f"/api/v1/operations/{going.ok(202)['operation']['id']}"
    again = ann.delete(path).ok(202)
    assert again["operation"]["id"] == going.json["operation"]["id"]
    cloud.run()
    ann.get(path).problem(404, "instance.not_found")
    assert ann.get("instances").ok()["items"] == []
    kinds = [each["kind"] for each in ann.get(f"{path}/operations").ok()["items"]]
    assert kinds == ["instance.delete", "instance.stop", "instance.build"]
    names = [each["name"] for each in ann.get(f"{path}/timeline").ok()["items"]]
    assert names[0] == "accepted" and "host chosen" in names and names[-1] == "finished"


def test_many_are_made_by_one_request_and_told_in_one_message(cloud: Cloud, ann: Http) -> None:
    body = ann.post("instances", wanted(cloud, count=3)).ok(202)
    assert [each["name"] for each in body["instances"]] == ["web-1", "web-2", "web-3"]
    assert body["instance"] is None and body["operation"] is None
    assert [op["resource_id"] for op in body["operations"]] == [each["id"] for each in body["instances"]]
    (message,) = cloud.bus.waiting
    assert message.items == tuple(op["id"] for op in body["operations"])


def test_flavor_and_image_may_be_named(cloud: Cloud, ann: Http) -> None:
    body = ann.post("instances", {"name": "web", "flavor": cloud.flavor.name, "image": "demo"}).ok(202)
    assert body["instance"]["flavor_id"] == str(cloud.flavor.pk)
    assert body["instance"]["image_id"] == str(cloud.image.pk)


def test_the_same_idempotency_key_is_done_once(cloud: Cloud, ann: Http) -> None:
    key = {"Idempotency-Key": "retry-me"}
    first = ann.post("instances", wanted(cloud, count=2), headers=key)
    second = ann.post("instances", wanted(cloud, count=2), headers=key)
    assert [each["id"] for each in second.ok(202)["instances"]] == [each["id"] for each in first.ok(202)["instances"]]
    assert second.headers["Location"] == first.headers["Location"]
    assert Instance.objects.count() == 2
    ann.post("instances", wanted(cloud, count=3), headers=key).problem(409, "client_token.reused", "Idempotency-Key")


@pytest.mark.parametrize("key", ["", "x" * 129, "tab\there", "ünïcode"])
def test_a_bad_idempotency_key_is_refused(cloud: Cloud, ann: Http, key: str) -> None:
    answer = ann.post("instances", wanted(cloud), headers={"Idempotency-Key": key})
    answer.problem(400, "client_token.malformed", "Idempotency-Key")
    assert Instance.objects.count() == 0


def test_waiting_answers_when_the_operation_is_closed(cloud: Cloud, ann: Http) -> None:
    cloud.host()
    started = time.monotonic()
    with _at_work(cloud, after_s=0.2):
        body = ann.post("instances?wait=60", wanted(cloud)).ok(202)
    assert time.monotonic() - started < 50
    assert body["operation"]["state"] == "succeeded"
    assert (body["instance"]["state"], body["instance"]["task"]) == ("ACTIVE", None)


def test_waiting_ends_with_its_time(cloud: Cloud, ann: Http) -> None:
    operation = ann.post("instances", wanted(cloud)).ok(202)["operation"]
    started = time.monotonic()
    assert ann.get(f"operations/{operation['id']}?wait=0.3").ok()["state"] == "queued"
    assert 0.25 < time.monotonic() - started < 30


def test_the_console_is_json_or_plain_text(cloud: Cloud, ann: Http) -> None:
    cloud.host()
    instance, _ = cloud.active()
    path = f"instances/{instance.pk}/console-log"
    for headers, kind in (({}, "application/json"), ({"Accept": "text/plain"}, "text/plain; charset=utf-8")):
        with _at_work(cloud, after_s=0.1):
            answer = ann.get(path, headers=headers)
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
        text = answer.content.decode() if headers else answer.json["text"]
        assert text == "hello\n"
    ann.get(f"{path}?max_bytes=0", headers={"Accept": "text/plain"}).problem(400, "request.min_value", "max_bytes")


def test_a_list_is_filtered_and_comes_in_pages(cloud: Cloud, ann: Http) -> None:
    cloud.host()
    ann.post("instances", wanted(cloud, count=5)).ok(202)
    ann.post("instances", wanted(cloud, name="db")).ok(202)
    cloud.run()
    ann.post("instances", wanted(cloud, name="late")).ok(202)

    def names(query: str) -> list[str]:
        return [each["name"] for each in ann.get(f"instances?{query}").ok()["items"]]

    assert names("name=db") == ["db"]
    assert names("name__contains=web-") == ["web-5", "web-4", "web-3", "web-2", "web-1"]
    assert names("state=BUILD") == ["late"]
    assert names(f"image_id={uuid.uuid4()}") == []
    assert len(names(f"flavor_id={cloud.flavor.pk}")) == 7
    first = ann.get("instances?limit=3").ok()
    assert [each["name"] for each in first["items"]] == ["late", "db", "web-5"]
    assert first["items"][0]["task"]["kind"] == "instance.build" and first["items"][1]["task"] is None
    path = first["next"].removeprefix("http://testserver")
    second = ann.get(path).ok()
    assert [each["name"] for each in second["items"]] == ["web-4", "web-3", "web-2"]
    assert "limit=3" in second["next"]
    last = ann.get(second["next"].removeprefix("http://testserver")).ok()
    assert ([each["name"] for each in last["items"]], last["next"]) == (["web-1"], None)


def test_what_the_list_shows_is_what_one_shows(cloud: Cloud, ann: Http, operator: Http) -> None:
    cloud.host(MEMORY_MB=1024)
    ann.post("instances", wanted(cloud, count=2, metadata={"ä": "\"quoted\""})).ok(202)
    cloud.run()
    ann.post("instances", wanted(cloud)).ok(202)  # too much for the host
    cloud.run()
    for who in (ann, operator):
        listed = who.get("instances").ok()["items"]
        assert len(listed) == 3
        for each in listed:
            assert who.get(f"instances/{each['id']}").ok() == each


def test_scheduling_is_explained(cloud: Cloud, ann: Http, operator: Http) -> None:
    small, big = cloud.host("small-host", MEMORY_MB=256), cloud.host("big-host")
    made = ann.post("instances", wanted(cloud)).ok(202)["instance"]
    cloud.run()
    (decision,) = ann.get(f"instances/{made['id']}/scheduling").ok()["decisions"]
    assert decision["summary"] == "a host was found for 1 vCPU, 512 MiB of memory and 5 GiB of disk"
    assert {"counts", "steps", "best", "took_ms"} & set(decision) == {"took_ms"}
    assert decision["asked"]["MEMORY_MB"] == 512 and decision["placed"] is True
    assert small.name not in str(decision) and big.name not in str(decision)
    (decision,) = operator.get(f"instances/{made['id']}/scheduling").ok()["decisions"]
    assert (decision["host_name"], decision["counts"]) == ("big-host", {"passed": 1, "MEMORY_MB": 1})
    assert {"host": "small-host", "passed": False, "reason": "MEMORY_MB"} in decision["verdicts"]


def test_an_instance_that_fits_nowhere_says_so(cloud: Cloud, ann: Http) -> None:
    cloud.host(MEMORY_MB=256)
    made = ann.post("instances", wanted(cloud)).ok(202)
    cloud.run()
    shown = ann.get(f"instances/{made['instance']['id']}").ok()
    assert shown["state"] == "ERROR" and shown["error"]["code"] == "scheduler.no_host"
    assert shown["error"]["message"] == "No host has room for 1 vCPU, 512 MiB of memory and 5 GiB of disk at the moment."
    assert ann.get(f"operations/{made['operation']['id']}").ok()["state"] == "failed"
    ann.delete(f"instances/{made['instance']['id']}").ok(202)


def test_a_broker_that_is_down_makes_the_request_late_and_not_lost(cloud: Cloud, ann: Http) -> None:
    cloud.bus.down = True
    ann.post("instances", wanted(cloud)).ok(202)
    assert Operation.objects.get().state == "queued"
    assert cloud.bus.waiting == []


@contextmanager
def _at_work(cloud: Cloud, *, after_s: float) -> Iterator[None]:
    """Scheduler and hosts work in a thread meanwhile, from some time after the beginning to the end."""
    from django.db import connection

    over = threading.Event()

    def work() -> None:
        try:
            over.wait(after_s)
            while not over.wait(0.05):
                cloud.run()
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()




def test_when_too_many_wait_the_next_one_is_answered_at_once(cloud: Cloud, ann: Http) -> None:
    """Otherwise waiting clients would take all threads, and hosts could fetch no image for what they wait for."""
    from apps.operations.api import waiting

    operation = ann.post("instances", wanted(cloud)).ok(202)["operation"]
    taken = 0
    while waiting._slots.acquire(blocking=False):
        taken += 1
    try:
        assert taken >= 1
        started = time.monotonic()
        assert ann.get(f"operations/{operation['id']}?wait=30").ok()["state"] == "queued"
        assert time.monotonic() - started < 25
    finally:
        for _ in range(taken):
            waiting._slots.release()
