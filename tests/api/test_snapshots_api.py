"""Snapshots and images on hosts over HTTP: asked for by a tenant or an operator, sent by a host."""

import hashlib
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from apps.images.models import Image
from contracts.compute import v3
from contracts.report import Outcome
from tests.api.conftest import MakeUser
from tests.api.kit import Http
from tests.support.cloud import Cloud, make_image
from tests.support.hostile import qcow2

CONTENT = qcow2() + b"what the guest wrote"


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MEDIA_ROOT", tmp_path)


def send(url: str, content: bytes = CONTENT) -> None:
    """As a host does: with nothing but the address that its command holds."""
    headers = {"Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}", "Content-SHA256": hashlib.sha256(content).hexdigest()}
    answer = Client().put(url.removeprefix(settings.ENV.public_url), data=content, content_type="application/octet-stream", headers=headers)
    assert answer.status_code == 204, answer.content


def test_an_instance_becomes_an_image_that_another_boots_from(cloud: Cloud, ann: Http) -> None:
    host = cloud.host()
    instance, _ = cloud.active()
    answer = ann.post(f"instances/{instance.pk}/snapshots", {"name": "golden", "properties": {"os_distro": "debian"}})
    body = answer.ok(202)
    assert answer.headers["Location"] == f"/api/v1/operations/{body['operation']['id']}"
    assert body["operation"]["kind"] == "instance.snapshot"
    image = f"images/{body['image_id']}"
    waiting = ann.get(image).ok()
    assert (waiting["state"], waiting["visibility"], waiting["properties"]["os_distro"]) == ("queued", "private", "debian")
    assert ann.get(f"instances/{instance.pk}").ok()["task"]["kind"] == "instance.snapshot"
    early = ann.post("instances", {"name": "early", "flavor_id": str(cloud.flavor.pk), "image_id": body["image_id"]})
    early.problem(400, "image.state", "image_id")
    ann.post(f"instances/{instance.pk}/snapshots", {"name": "another"}).problem(409, "operation.in_progress")

    command = host.command()
    send(command.body.upload_url)
    saved = v3.Saved(image_id=body["image_id"], sha256=hashlib.sha256(CONTENT).hexdigest(), size_bytes=len(CONTENT))
    host.send(host.report(command, Outcome.DONE, result=saved))
    assert ann.get(f"operations/{body['operation']['id']}").ok()["state"] == "succeeded"
    whole = ann.get(image).ok()
    assert (whole["state"], whole["size_bytes"], whole["sha256"]) == ("active", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert ann.get(f"instances/{instance.pk}").ok()["task"] is None
    made = ann.post("instances", {"name": "second", "flavor_id": str(cloud.flavor.pk), "image_id": body["image_id"]}).ok(202)
    cloud.run()
    assert ann.get(f"instances/{made['instance']['id']}").ok()["state"] == "ACTIVE"


def test_a_snapshot_that_is_asked_for_twice_with_one_key_is_one_image(cloud: Cloud, ann: Http) -> None:
    cloud.host()
    instance, _ = cloud.active()
    path, key, body = f"instances/{instance.pk}/snapshots", {"Idempotency-Key": "retry-me"}, {"name": "golden"}
    before = Image.objects.count()
    first = ann.post(path, body, headers=key)
    again = ann.post(path, body, headers=key)
    assert again.ok(202) == first.ok(202)
    assert again.headers["Location"] == first.headers["Location"]
    ann.post(path, {"name": "other"}, headers=key).problem(409, "client_token.reused", "Idempotency-Key")
    ann.post(path, body, headers={"Idempotency-Key": "x" * 129}).problem(400, "client_token.malformed", "Idempotency-Key")
    assert Image.objects.count() == before + 1
    # The answer is the same when the instance is gone, and the snapshot with it.
    cloud.delete(instance)
    gone = ann.post(path, body, headers=key).ok(202)
    assert (gone["image_id"], gone["operation"]["state"]) == (first.ok(202)["image_id"], "cancelled")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "request.required", "name"),
        ({"name": ""}, "request.blank", "name"),
        ({"name": "x", "properties": {"hw_disk_bus": "floppy"}}, "image.property", "properties.hw_disk_bus"),
        ({"name": "x", "colour": "red"}, "request.unknown_field", "colour"),
    ],
)
def test_a_wrong_wish_is_refused_and_leaves_no_image(cloud: Cloud, ann: Http, body: dict[str, Any], code: str, field: str) -> None:
    cloud.host()
    instance, _ = cloud.active()
    before = ann.get("images").ok()["items"]
    ann.post(f"instances/{instance.pk}/snapshots", body).problem(400, code, field)
    assert ann.get("images").ok()["items"] == before


def test_strangers_and_readers_make_none(cloud: Cloud, mallory: Http, sign_in: MakeUser) -> None:
    cloud.host()
    instance, _ = cloud.active()
    path = f"instances/{instance.pk}/snapshots"
    mallory.post(path, {"name": "theirs"}).problem(404, "instance.not_found")
    sign_in("rita", cloud.project, role="reader").post(path, {"name": "read"}).problem(403, "policy.forbidden")
    Http().post(path, {"name": "nobody"}).problem(401, "auth.required")


def test_an_image_is_fetched_ahead_and_listed_page_by_page(cloud: Cloud, operator: Http) -> None:
    hosts = [cloud.host() for _ in range(3)]
    image = make_image(cloud.project, name="debian", sha256="a" * 64)
    operator.post(f"images/{image.pk}/seed", {"hosts": [str(uuid.uuid4())]}).problem(404, "host.not_found", "hosts")
    seeded = operator.post(f"images/{image.pk}/seed", {"zone": "default"}).ok(202)
    assert (len(seeded["operations"]), seeded["skipped"]) == (3, [])
    for host in hosts:
        host.work()
    first = operator.get("image-cache?limit=2").ok()
    rows = [*first["items"], *operator.get(first["next"].removeprefix("http://testserver")).ok()["items"]]
    assert {row["host_name"] for row in rows} == {host.name for host in hosts}
    assert all([each["name"] for each in row["images"]] == ["debian"] and row["seen_at"] for row in rows)
    assert operator.get(f"image-cache?host={hosts[0].name}").ok()["items"][0]["host_id"] == str(hosts[0].id)


def test_caches_of_hosts_are_for_operators(cloud: Cloud, ann: Http) -> None:
    host = cloud.host()
    ann.get("image-cache").problem(403, "policy.forbidden")
    ann.post(f"images/{cloud.image.pk}/seed", {"hosts": [host.name]}).problem(403, "policy.forbidden")
