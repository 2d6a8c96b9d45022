"""Images made of instances: there from the request on, whole when their host has sent all of it, gone when anything went wrong."""

import hashlib
import io
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.common.errors import CloudError
from apps.compute.models import Instance
from apps.compute.services import snapshot
from apps.images import upload_addresses
from apps.images.models import Image, Upload
from apps.images.services import images, snapshots
from apps.operations.models import Operation
from apps.operations.services import sweep
from apps.quotas.models import Usage
from apps.quotas.services import limits
from contracts import topics
from contracts.compute import v3
from contracts.compute.v1 import PowerState
from contracts.report import Outcome
from tests.support.audit import assert_consistent
from tests.support.cloud import Cloud, make_image, make_project, refusal, timeline
from tests.support.commands import as_json
from tests.support.fixtures import Time
from tests.support.hostile import qcow2
from tests.support.hosts import Command, FakeHost
from tests.support.identity import make_actor

CONTENT = qcow2() + b"what the guest wrote"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def image_store(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def running(cloud: Cloud) -> tuple[Instance, FakeHost]:
    cloud.host()
    return cloud.active()


def take(cloud: Cloud, instance: Instance, name: str = "copy", **more: Any) -> snapshot.Begun:
    return snapshot.snapshot(actor=cloud.actor, instance_id=instance.pk, name=name, **more)


def send(url: str, content: bytes = CONTENT, *, first: int = 0, upto: int | None = None, sha256: str = SHA256) -> Any:
    """A piece of the content to where the command says."""
    parts, end = urlsplit(url), len(content) if upto is None else upto
    return Client().put(
        f"{parts.path}?{parts.query}", data=content[first:end], content_type="application/octet-stream",
        headers={"Content-Range": f"bytes {first}-{end - 1}/{len(content)}", "Content-SHA256": sha256},
    )


def here(url: str, sha256: str = SHA256) -> tuple[int, str]:
    """What the control plane says is there."""
    parts = urlsplit(url)
    answer = Client().head(f"{parts.path}?{parts.query}", headers={"Content-SHA256": sha256} if sha256 else {})
    assert answer.status_code == 204, answer.content
    return int(answer["Upload-Offset"]), answer["Upload-Complete"]


def saved(host: FakeHost, command: Command, **fields: Any) -> None:
    result = v3.Saved(**{"image_id": command.body.image_id, "sha256": SHA256, "size_bytes": len(CONTENT), **fields})
    host.send(host.report(command, Outcome.DONE, result=result))


def ended(begun: snapshot.Begun) -> tuple[Operation, Image]:
    return Operation.objects.get(pk=begun.operation.pk), Image.objects.get(pk=begun.image.pk)


def used(cloud: Cloud) -> tuple[int, int]:
    row = Usage.objects.get(project_id=cloud.project.pk)
    return row.images, row.image_bytes


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("stopped", [False, True])
def test_an_instance_becomes_an_image_that_boots(cloud: Cloud, running: tuple[Instance, FakeHost], stopped: bool) -> None:
    instance, host = running
    if stopped:
        cloud.power(instance, "stop")
        host.work()
    before = used(cloud)
    begun = take(cloud, instance)
    assert (begun.image.state, begun.image.project_id) == ("queued", cloud.project.pk)
    command = host.command(topics.COMPUTE_SNAPSHOT)
    assert (command.instance_id, command.body.image_id) == (str(instance.pk), str(begun.image.pk))
    assert here(command.body.upload_url, "") == (0, "?0")
    assert send(command.body.upload_url).status_code == 204
    assert Image.objects.get(pk=begun.image.pk).state == "active"
    saved(host, command, frozen=True)
    operation, image = ended(begun)
    assert (operation.state, operation.result) == ("succeeded", {"image_id": str(image.pk)})
    assert timeline(operation)[-1] == "finished"
    assert (image.sha256, image.size_bytes, image.visibility, image.disk_format) == (SHA256, len(CONTENT), "private", "qcow2")
    assert used(cloud) == (before[0] + 1, before[1] + len(CONTENT))
    instance.refresh_from_db()
    assert instance.state == ("STOPPED" if stopped else "ACTIVE")
    assert_consistent()
    again = cloud.boot(image_id=image.pk)
    cloud.schedule()
    again.refresh_from_db()
    assert cloud.host_of(again).command(topics.COMPUTE_BUILD).body.image.sha256 == SHA256


def test_the_image_remembers_what_it_was_made_of(cloud: Cloud) -> None:
    cloud.host()
    kernel = make_image(cloud.project, disk_format="kernel", name="kernel")
    base = make_image(
        cloud.project, name="base", min_memory_mb=100, kernel_id=kernel.pk, kernel_args="quiet",
        properties={"os_distro": "debian", "os_require_quiesce": "yes", "image_type": "snapshot", "instance_uuid": "another"},
    )
    instance, host = cloud.active(image_id=base.pk)
    image = take(cloud, instance, properties={"purpose": "backup"}).image
    image.refresh_from_db()
    assert image.properties == {
        "os_distro": "debian", "os_require_quiesce": "yes", "purpose": "backup", "image_type": "snapshot",
        "instance_uuid": str(instance.pk), "base_image_ref": str(base.pk),
    }
    assert (image.min_disk_gb, image.min_memory_mb) == (instance.disk_gb, 100)
    assert (image.kernel_id, image.kernel_args) == (kernel.pk, "quiet")
    assert host.command(topics.COMPUTE_SNAPSHOT).body.must_freeze is True


def test_a_broken_transfer_goes_on_where_it_broke(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    begun = take(cloud, instance)
    url = host.command(topics.COMPUTE_SNAPSHOT).body.upload_url
    assert send(url, upto=100).status_code == 204
    assert here(url) == (100, "?0")
    assert Image.objects.get(pk=begun.image.pk).state == "saving"
    refused = send(url, first=50)
    assert (refused.status_code, refused.json()["code"]) == (409, "image.offset")
    assert send(url, first=100).status_code == 204
    assert here(url) == (len(CONTENT), "?1")
    assert send(url).status_code == 204, "what is there already may be sent again"


def test_the_beginning_of_another_copy_is_not_gone_on_with(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    begun = take(cloud, instance)
    url = host.command(topics.COMPUTE_SNAPSHOT).body.upload_url
    send(url, b"x" * 500, upto=100, sha256="0" * 64)
    assert here(url) == (0, "?0")
    assert send(url, first=100).json()["code"] == "image.offset"
    assert send(url).status_code == 204
    assert Image.objects.get(pk=begun.image.pk).sha256 == SHA256


def test_content_that_was_spoilt_on_the_way_is_refused_and_can_be_sent_again(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    begun = take(cloud, instance)
    url = host.command(topics.COMPUTE_SNAPSHOT).body.upload_url
    refused = send(url, CONTENT[:-1] + b"!")
    assert (refused.status_code, refused.json()["code"]) == (409, "image.checksum")
    assert here(url) == (0, "?0")
    assert Image.objects.get(pk=begun.image.pk).state != "active"
    assert send(url).status_code == 204


def test_an_unsafe_file_is_refused_from_hosts_too(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    begun = take(cloud, instance)
    command = host.command(topics.COMPUTE_SNAPSHOT)
    unsafe = qcow2(backing=b"/etc/passwd")
    refused = send(command.body.upload_url, unsafe, sha256=hashlib.sha256(unsafe).hexdigest())
    assert refused.status_code == 400 and refused.json()["code"].startswith("image.")
    host.failed(command, "snapshot.refused", retryable=False)
    operation, image = ended(begun)
    assert (operation.state, image.state) == ("failed", "deleted")


def test_only_who_has_the_address_may_send(cloud: Cloud, running: tuple[Instance, FakeHost], image_store: Path) -> None:
    instance, host = running
    begun = take(cloud, instance)
    other = make_image(cloud.project)
    url = host.command(topics.COMPUTE_SNAPSHOT).body.upload_url
    late = upload_addresses.sign(begun.image.pk, expires=int(time.time()) - 1)
    forged = url[:-1] + ("0" if url[-1] != "0" else "1")
    for wrong in (late, forged, url.replace(str(begun.image.pk), str(other.pk)), url.partition("?")[0] + "?expires=1&signature=x"):
        assert send(wrong).status_code == 403
    ordinary = upload_addresses.sign(other.pk, expires=int(time.time()) + 60)
    assert send(ordinary).status_code == 404, "images that were not begun as snapshots come another way"
    assert files(image_store) == []


def test_a_piece_says_where_it_belongs_and_of_what_it_is(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    take(cloud, instance)
    parts = urlsplit(host.command(topics.COMPUTE_SNAPSHOT).body.upload_url)
    for headers in (
        {"Content-Range": "bytes 0-2/3"}, {"Content-SHA256": "no", "Content-Range": "bytes 0-2/3"},
        {"Content-SHA256": SHA256, "Content-Range": "bytes 0-2/*"}, {"Content-SHA256": SHA256, "Content-Range": "bytes 0-9/10"},
    ):
        answer = Client().put(f"{parts.path}?{parts.query}", data=b"abc", content_type="application/octet-stream", headers=headers)
        assert answer.status_code == 400, headers


def test_a_failure_on_the_host_leaves_no_image(cloud: Cloud, running: tuple[Instance, FakeHost], image_store: Path) -> None:
    instance, host = running
    before = used(cloud)
    begun = take(cloud, instance)
    command = host.command(topics.COMPUTE_SNAPSHOT)
    send(command.body.upload_url, upto=100)
    host.failed(command, "snapshot.no_space", retryable=False)
    operation, image = ended(begun)
    assert (operation.state, operation.error["code"], image.state) == ("failed", "snapshot.no_space", "deleted")
    assert (files(image_store), Upload.objects.count(), used(cloud)) == ([], 0, before)
    assert send(command.body.upload_url).status_code == 404
    assert_consistent()


def test_what_the_host_says_is_not_believed_without_the_image(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    begun = take(cloud, instance)
    saved(host, host.command(topics.COMPUTE_SNAPSHOT))
    operation, image = ended(begun)
    assert (operation.state, operation.error["code"], image.state) == ("failed", "snapshot.incomplete", "deleted")


def test_a_host_that_says_it_has_sent_another_file_is_not_believed(
    cloud: Cloud, running: tuple[Instance, FakeHost], image_store: Path
) -> None:
    instance, host = running
    before = used(cloud)
    begun = take(cloud, instance)
    command = host.command(topics.COMPUTE_SNAPSHOT)
    send(command.body.upload_url)
    images.update(actor=cloud.actor, image_id=begun.image.pk, protected=True)
    saved(host, command, sha256="0" * 64)
    operation, image = ended(begun)
    assert (operation.state, operation.error["code"], image.state) == ("failed", "snapshot.mismatch", "deleted")
    assert (files(image_store), used(cloud)) == ([], before)
    assert send(command.body.upload_url).status_code == 404
    assert_consistent()


def test_a_whole_image_counts_though_the_host_says_it_failed(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    begun = take(cloud, instance)
    command = host.command(topics.COMPUTE_SNAPSHOT)
    send(command.body.upload_url)
    host.failed(command)
    operation, image = ended(begun)
    assert (operation.state, image.state) == ("succeeded", "active")


@pytest.mark.parametrize("sent", [False, True])
def test_a_host_that_falls_silent_is_asked_and_then_given_up(
    cloud: Cloud, running: tuple[Instance, FakeHost], time_machine: Time, settings: Any, sent: bool
) -> None:
    instance, host = running
    begun = take(cloud, instance)
    if sent:
        send(host.command(topics.COMPUTE_SNAPSHOT).body.upload_url)
    for timeout in (settings.ENV.transfer_timeout_s, settings.ENV.observe_timeout_s):
        time_machine.forward(timeout + 1)
        assert sweep.sweep().overdue == 1
    operation, image = ended(begun)
    assert (operation.state, image.state) == (("succeeded", "active") if sent else ("failed", "deleted"))
    instance.refresh_from_db()
    assert instance.state == "ACTIVE"
    assert_consistent()


def test_a_host_that_is_at_it_gets_more_time_and_says_how_far_it_is(
    cloud: Cloud, running: tuple[Instance, FakeHost], time_machine: Time, settings: Any
) -> None:
    instance, host = running
    begun = take(cloud, instance)
    command = host.command(topics.COMPUTE_SNAPSHOT)
    time_machine.forward(settings.ENV.transfer_timeout_s / 2)
    for percent in (3, 31, 35, 62):
        host.progress(command, percent)
    time_machine.forward(settings.ENV.transfer_timeout_s / 2 + 1)
    assert sweep.sweep().overdue == 0
    told = Operation.objects.get(pk=begun.operation.pk).events.filter(name="progress").values_list("detail", flat=True)
    assert list(told) == ["30 %", "60 %"]


def test_a_host_that_does_not_know_of_it_any_more_has_not_made_it(
    cloud: Cloud, running: tuple[Instance, FakeHost], time_machine: Time, settings: Any
) -> None:
    instance, host = running
    begun = take(cloud, instance)
    host.commands()
    time_machine.forward(settings.ENV.transfer_timeout_s + 1)
    sweep.sweep()
    host.work()
    operation, image = ended(begun)
    assert (operation.state, operation.error["code"], image.state) == ("failed", "snapshot.timeout", "deleted")


def test_deleting_the_instance_ends_its_snapshot(cloud: Cloud, running: tuple[Instance, FakeHost], image_store: Path) -> None:
    instance, host = running
    begun = take(cloud, instance)
    command = host.command(topics.COMPUTE_SNAPSHOT)
    send(command.body.upload_url, upto=100)
    cloud.delete(instance)
    cloud.run()
    operation, image = ended(begun)
    assert (operation.state, image.state, files(image_store)) == ("cancelled", "deleted", [])
    saved(host, command)
    assert ended(begun)[0].state == "cancelled"
    assert_consistent()


def test_an_image_that_was_protected_while_it_came_goes_all_the_same(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    begun = take(cloud, instance)
    images.update(actor=cloud.actor, image_id=begun.image.pk, protected=True)
    host.failed(host.command(topics.COMPUTE_SNAPSHOT))
    operation, image = ended(begun)
    assert (operation.state, image.state) == ("failed", "deleted")


def test_an_image_that_is_deleted_while_it_comes_is_not_sent_any_more(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    begun = take(cloud, instance)
    command = host.command(topics.COMPUTE_SNAPSHOT)
    send(command.body.upload_url, upto=100)
    images.delete(actor=cloud.actor, image_id=begun.image.pk)
    assert send(command.body.upload_url, first=100).status_code == 404
    host.failed(command, "snapshot.refused", retryable=False)
    assert ended(begun)[0].state == "failed"
    assert_consistent()


def test_one_thing_at_a_time_is_done_to_an_instance(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, _ = running
    take(cloud, instance)
    before = Image.objects.count(), used(cloud)
    error = refusal(take, cloud, instance)
    assert error.code == "operation.in_progress"
    assert (Image.objects.count(), used(cloud)) == before
    assert refusal(cloud.power, instance, "stop").code == "operation.in_progress"


def test_quotas_hold_for_the_number_and_for_the_bytes(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    count, size = used(cloud)
    limits.set_limits(actor=SYSTEM, owner_id=cloud.project.pk, limits={"images": count})
    assert refusal(take, cloud, instance).code == "quota.exceeded"
    limits.set_limits(actor=SYSTEM, owner_id=cloud.project.pk, limits={"images": count + 1, "image_bytes": size + len(CONTENT) - 1})
    take(cloud, instance)
    refused = send(host.command(topics.COMPUTE_SNAPSHOT).body.upload_url)
    assert (refused.status_code, refused.json()["code"]) == (413, "quota.exceeded")


def test_an_agent_of_the_release_before_is_not_asked(cloud: Cloud) -> None:
    host = cloud.host()
    host.speaks = [topic for topic in host.speaks if ".v3." not in topic]
    host.hello()
    instance, _ = cloud.active()
    assert refusal(take, cloud, instance).code == "host.too_old"


def test_an_instance_that_never_was_on_a_host_has_nothing_to_copy(cloud: Cloud) -> None:
    cloud.host()
    instance = cloud.boot()
    assert refusal(take, cloud, instance).code == "instance.state"


def test_strangers_find_no_instance_to_copy(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, _ = running
    stranger = make_actor(make_project())
    error = refusal(snapshot.snapshot, actor=stranger, instance_id=instance.pk, name="theirs")
    assert error.code == "instance.not_found"


def test_an_operators_snapshot_belongs_to_the_instances_project_and_is_written_down(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, _ = running
    begun = snapshot.snapshot(actor=SYSTEM, instance_id=instance.pk, name="by the operator")
    assert begun.image.project_id == cloud.project.pk
    row = Record.objects.get(action="compute.instance.snapshot")
    assert (str(row.resource_id), row.changes["image_id"]) == (str(instance.pk), [None, str(begun.image.pk)])


def test_the_command_makes_one(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    told = as_json("instance_snapshot", str(instance.pk), "--name", "golden", "--set", "os_distro=debian")
    image = Image.objects.get(pk=told["image_id"])
    assert (image.name, image.properties["os_distro"]) == ("golden", "debian")
    assert told["operation"]["kind"] == "instance.snapshot"
    assert host.command().topic == topics.COMPUTE_SNAPSHOT


def test_a_result_that_is_none_is_refused_and_the_operation_goes_on(cloud: Cloud, running: tuple[Instance, FakeHost]) -> None:
    instance, host = running
    begun = take(cloud, instance)
    command = host.command(topics.COMPUTE_SNAPSHOT)
    host.done(command, PowerState.RUNNING)
    assert ended(begun)[0].state in ("sent", "running")


def test_snapshots_of_nobody_can_be_abandoned_and_asked_for(cloud: Cloud) -> None:
    assert snapshots.abandon(uuid.uuid4())
    assert snapshots.content_of(uuid.uuid4()) == ""
    with pytest.raises(CloudError):
        snapshots.receive(image_id=uuid.uuid4(), sha256=SHA256, first=0, length=0, total=0, stream=io.BytesIO())
