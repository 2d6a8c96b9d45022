"""What belongs to others is not there: the same answer, byte for byte, as for what does not exist."""

import json
import uuid
from typing import Any

import pytest

from apps.identity.models import Project
from contracts.compute.v1 import PowerState
from contracts.report import Error, Event, Outcome
from tests.api.conftest import MakeUser
from tests.api.kit import Http
from tests.support.cloud import Cloud, make_image
from tests.support.hosts import Command, FakeHost
from tests.support.identity import NOBODY

HOST = "secret-hypervisor-7"


def same(first: Any, second: Any, *ids: str) -> None:
    """Two problems that differ in nothing but the ids that were asked for and the request's own id."""
    texts = []
    for answer in (first, second):
        problem = answer.json
        problem.pop("request_id")
        text = json.dumps([answer.status, problem], sort_keys=True)
        for each in ids:
            text = text.replace(each, "ID")
        texts.append(text)
    assert texts[0] == texts[1]


def test_others_ids_are_as_good_as_unknown_ones(cloud: Cloud, ann: Http, mallory: Http) -> None:
    cloud.host()
    instance, _ = cloud.active()
    operation = str(ann.get(f"instances/{instance.pk}/operations").ok()["items"][0]["id"])
    image = make_image(cloud.project, visibility="private")
    theirs, unknown = {}, str(uuid.uuid4())
    for path, body in (
        ("GET instances/{}", None), ("DELETE instances/{}", None), ("PATCH instances/{}", {"name": "mine"}),
        ("POST instances/{}/actions", {"action": "stop"}), ("GET instances/{}/console-log", None),
        ("GET instances/{}/scheduling", None), ("GET instances/{}/operations", None), ("GET instances/{}/timeline", None),
    ):
        theirs[path] = (str(instance.pk), body)
    theirs["GET operations/{}"] = (operation, None)
    theirs["GET images/{}"] = (str(image.pk), None)
    theirs["DELETE images/{}"] = (str(image.pk), None)
    theirs["PUT images/{}/file"] = (str(image.pk), None)
    theirs["GET networks/{}"] = (str(cloud.network.pk), None)
    theirs["DELETE networks/{}"] = (str(cloud.network.pk), None)
    theirs["GET projects/{}"] = (str(cloud.project.pk), None)
    for template, (their_id, body) in theirs.items():
        method, path = template.split()
        more: dict[str, Any] = {"content_type": "application/octet-stream", "data": b"x"} if path.endswith("file") else {}
        refused = mallory(method, path.format(their_id), body, **more)
        assert refused.status == 404, (template, refused)
        same(refused, mallory(method, path.format(unknown), body, **more), their_id, unknown)
    instance.refresh_from_db()
    assert (instance.name, instance.state) == ("web", "ACTIVE")


def test_others_things_cannot_be_used(cloud: Cloud, mallory: Http) -> None:
    private = make_image(cloud.project, visibility="private", name="secret")
    body = {"name": "x", "flavor": cloud.flavor.name, "image_id": str(cloud.image.pk)}
    mallory.post("instances", {**body, "network_id": str(cloud.network.pk)}).problem(404, "network.not_found", "network_id")
    mallory.post("instances", {**body, "image_id": str(private.pk)}).problem(404, "image.not_found", "image_id")
    del body["image_id"]
    mallory.post("instances", {**body, "image": "secret"}).problem(404, "image.not_found", "image")
    kernel = make_image(cloud.project, visibility="private", disk_format="kernel")
    mallory.post("images", {"name": "x", "disk_format": "qcow2", "kernel_id": str(kernel.pk)}).problem(404, "image.not_found", "kernel_id")


def test_lists_hold_only_the_projects_own(cloud: Cloud, ann: Http, mallory: Http, operator: Http) -> None:
    cloud.host()
    cloud.active()
    make_image(cloud.project, visibility="private", name="secret")
    for path in ("instances", "operations", "networks", "ports"):
        assert ann.get(path).ok()["items"], path
        own = [each for each in mallory.get(path).ok()["items"] if not each.get("external")]  # ways out are for all
        assert own == [], path
    assert [each["name"] for each in mallory.get("images").ok()["items"]] == ["demo"]
    assert mallory.get("images").ok()["items"][0]["project_id"] is None
    for path in ("instances?all_projects=true", "operations?all_projects=true", "instances?host=h"):
        mallory.get(path).problem(403, "policy.forbidden")
        operator.get(path).ok()
    assert len(operator.get("instances?all_projects=true").ok()["items"]) == 1
    others = mallory.post("instances", {"name": "x", "flavor": cloud.flavor.name, "image": "demo"}).ok(202)["instance"]
    assert operator.get("instances?all_projects=true").ok()["items"][0]["id"] == others["id"]
    assert all(each["id"] != others["id"] for each in operator.get("instances").ok()["items"])
    assert operator.get(f"instances/{others['id']}").ok()["project_id"] != str(cloud.project.pk)


@pytest.mark.parametrize("path", ["hosts", f"hosts/{NOBODY}", "resource-providers", "rejections", "users"])
def test_what_is_for_operators_is_refused_to_others(cloud: Cloud, ann: Http, path: str) -> None:
    ann.get(path).problem(403, "policy.forbidden")


def test_no_host_is_named_to_tenants(cloud: Cloud, ann: Http, operator: Http) -> None:
    """Through its whole life, failures included, and with a host that names itself in all it says."""
    cloud.host(HOST)
    cloud.host("another-hypervisor", MEMORY_MB=1)
    instance, host, command = cloud.placed()
    event = Event(name="domain started", at=command.envelope.issued_at, detail=f"on {HOST} by qemu")
    host.send(host.report(command, Outcome.DONE, result=host.domain(command, PowerState.RUNNING), events=[event]))
    operation = cloud.power(instance, "stop")
    fails(host, host.command(), f"{HOST}: libvirt says no")
    cloud.host("third-hypervisor")
    broken = cloud.boot(name="broken")
    cloud.schedule()
    chosen = next(each for each in cloud.hosts if _has(each))
    fails(chosen, chosen.command(), f"cannot reach {chosen.name}.", retryable=False)
    for path in (
        "instances", f"instances/{instance.pk}", f"instances/{broken.pk}", f"instances/{instance.pk}/scheduling",
        f"instances/{instance.pk}/operations", f"instances/{instance.pk}/timeline", f"instances/{broken.pk}/timeline",
        f"instances/{broken.pk}/operations", "operations", f"operations/{operation.pk}", "ports", "whoami", "images",
    ):
        text = ann.get(path).content.decode()
        assert "hypervisor" not in text and "host_name" not in text and "host_id" not in text, (path, text)
        assert str(host.id) not in text, path
    told = ann.get(f"operations/{operation.pk}").ok()["error"]["message"]
    assert told == "the host: libvirt says no"
    assert operator.get(f"operations/{operation.pk}").ok()["error"]["message"] == f"{HOST}: libvirt says no"
    assert operator.get(f"instances/{instance.pk}").ok()["host_name"] == HOST
    assert HOST in operator.get(f"instances/{instance.pk}/timeline").content.decode()


def test_the_hosts_that_were_tried_before_are_not_named_either(cloud: Cloud, ann: Http) -> None:
    first, second = cloud.host("first-hypervisor"), cloud.host("second-hypervisor")
    instance, host, command = cloud.placed()
    fails(host, command, f"{host.name} is out of order")
    cloud.run()
    other = second if host is first else first
    instance.refresh_from_db()
    assert instance.host_name == other.name
    text = ann.get(f"instances/{instance.pk}/timeline").content.decode()
    assert "the host is out of order" in text and "hypervisor" not in text


def test_a_reader_looks_and_changes_nothing(cloud: Cloud, sign_in: MakeUser) -> None:
    cloud.host()
    instance, _ = cloud.active()
    reader: Http = sign_in("rita", cloud.project, role="reader")
    reader.get(f"instances/{instance.pk}").ok()
    for method, path, body in (
        ("POST", "instances", {"name": "x", "flavor": cloud.flavor.name, "image": "demo"}),
        ("PATCH", f"instances/{instance.pk}", {"name": "y"}), ("DELETE", f"instances/{instance.pk}", None),
        ("POST", f"instances/{instance.pk}/actions", {"action": "stop"}), ("POST", "networks", {"name": "n"}),
        ("POST", "images", {"name": "i", "disk_format": "raw"}), ("DELETE", f"networks/{cloud.network.pk}", None),
    ):
        problem = reader(method, path, body).problem(403, "policy.forbidden")
        assert (problem["roles_needed"][0], problem["roles_held"]) == ("member", ["reader"])


def test_one_user_works_in_the_project_of_the_token(cloud: Cloud, ann: Http, sign_in: MakeUser) -> None:
    other: Http = sign_in("ann", None)
    assert isinstance(other.project, Project) and other.project != ann.project
    ann.post("instances", {"name": "here", "flavor": cloud.flavor.name, "image": "demo"}).ok(202)
    assert other.get("instances").ok()["items"] == []


def fails(host: FakeHost, command: Command, message: str, *, retryable: bool = True) -> None:
    host.send(host.report(command, Outcome.FAILED, error=Error(code="driver.failed", message=message, retryable=retryable)))


def _has(host: FakeHost) -> bool:
    return any(message.queue.endswith(host.name) for message in host.bus.waiting)
