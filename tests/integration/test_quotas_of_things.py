"""Quotas as the things that count: instances, ports, networks and images are taken, refused and given back."""

import io
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings

from apps.common.context import SYSTEM
from apps.common.errors import Conflict, NotFound, QuotaExceeded
from apps.compute.models import Instance
from apps.compute.services import mend
from apps.identity.services import projects
from apps.images.models import Image
from apps.images.services import images, uploads
from apps.network.models import Network
from apps.network.services import networks, plugs
from apps.network.services.plugs import Wish
from apps.operations.models import Operation
from apps.quotas import registry
from apps.quotas.models import Limit, Usage
from apps.quotas.resources import RESOURCES
from apps.quotas.services import audit, limits
from contracts.compute.v1 import DiskFormat
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, make_network, make_project, operation_of, refusal, timeline
from tests.support.identity import make_actor


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MEDIA_ROOT", tmp_path)


def allow(cloud: Cloud, **wanted: int | None) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=cloud.project.pk, limits=wanted)


def used(cloud: Cloud, *names: str) -> tuple[int, ...]:
    row = Usage.objects.get(pk=cloud.project.pk)
    return tuple(getattr(row, name) for name in names)


def sizes(cloud: Cloud) -> tuple[int, ...]:
    return used(cloud, "instances", "vcpus", "memory_mb", "disk_gb", "ports")


# Instances and their ports.


def test_an_instance_counts_from_its_request_until_it_is_gone(cloud: Cloud) -> None:
    cloud.host()
    instance = cloud.boot()
    assert sizes(cloud) == (1, 1, 512, 5, 0)
    cloud.schedule()
    assert sizes(cloud) == (1, 1, 512, 5, 1)
    cloud.run()
    cloud.power(instance, "stop")
    cloud.run()
    assert sizes(cloud) == (1, 1, 512, 5, 1)
    cloud.delete(instance)
    assert sizes(cloud) == (1, 1, 512, 5, 1)
    cloud.run()
    assert sizes(cloud) == (0, 0, 0, 0, 0)


def test_an_instance_that_never_was_on_a_host_is_given_back_at_once(cloud: Cloud) -> None:
    cloud.delete(cloud.boot())
    assert sizes(cloud) == (0, 0, 0, 0, 0)


def test_a_request_for_more_than_is_left_makes_nothing_and_says_why(cloud: Cloud) -> None:
    allow(cloud, instances=3, memory_mb=1000)
    cloud.boot()
    error = refusal(cloud.create, count=3)
    assert isinstance(error, QuotaExceeded)
    assert error.message == (
        "instances: 1 of 3 are used, 3 asked; memory_mb: 512 of 1000 MiB are used, 1536 asked. "
        "An administrator of the domain or of the installation can raise this limit."
    )
    assert (Instance.objects.count(), Operation.objects.count()) == (1, 1)
    assert len(cloud.bus.waiting) == 1
    assert_consistent()


def test_who_has_no_room_for_ports_need_not_begin(cloud: Cloud) -> None:
    allow(cloud, ports=1)
    assert refusal(cloud.create, count=2).facts["resource"] == "ports"
    cloud.boot()


def test_a_refused_request_can_be_repeated_with_its_key_when_there_is_room(cloud: Cloud) -> None:
    allow(cloud, instances=0)
    assert refusal(cloud.create, client_token="k").kind == "quota_exceeded"
    allow(cloud, instances=1)
    assert not cloud.create(client_token="k").repeated
    assert cloud.create(client_token="k").repeated
    assert sizes(cloud)[0] == 1


def test_ports_that_are_too_many_when_a_host_is_found_fail_their_builds_and_no_others(cloud: Cloud) -> None:
    cloud.host()
    other = make_actor(make_project())
    make_network(other, "default", is_default=True)
    allow(cloud, ports=2)
    first, second, third = cloud.boot(), cloud.boot(), cloud.boot()  # each had room when it was asked for
    foreign = cloud.create(actor=other).instances[0]
    cloud.run()
    states = [Instance.objects.get(pk=each.pk).state for each in (first, second, third, foreign)]
    assert states == ["ACTIVE", "ACTIVE", "ERROR", "ACTIVE"]
    third.refresh_from_db()
    assert (third.error["code"], third.host_id, third.addresses) == ("quota.exceeded", None, [])
    assert third.error["facts"]["exceeded"] == [{"resource": "ports", "limit": 2, "used": 2, "asked": 1, "scope": "project"}]
    assert timeline(operation_of(third))[-1] == "failed"
    assert sizes(cloud) == (3, 3, 1536, 15, 2)
    assert_consistent()
    for instance in (first, second, third):
        cloud.delete(instance)
    cloud.run()
    assert sizes(cloud) == (0, 0, 0, 0, 0)


def test_a_failed_build_keeps_its_instance_and_gives_back_its_port(cloud: Cloud) -> None:
    cloud.host()
    instance, host, command = cloud.placed()
    host.failed(command, retryable=False)
    assert sizes(cloud) == (1, 1, 512, 5, 0)
    host.failed(command, retryable=False)
    assert sizes(cloud) == (1, 1, 512, 5, 0)
    cloud.delete(instance)
    assert sizes(cloud) == (0, 0, 0, 0, 0)


def test_a_build_that_goes_to_another_host_counts_once(cloud: Cloud) -> None:
    cloud.host()
    cloud.host()
    _, host, command = cloud.placed()
    host.failed(command)
    assert sizes(cloud) == (1, 1, 512, 5, 0)
    cloud.run()
    assert sizes(cloud) == (1, 1, 512, 5, 1)


def test_a_deletion_that_is_reported_twice_gives_back_once(cloud: Cloud) -> None:
    cloud.host()
    cloud.active()
    doomed, host = cloud.active()
    cloud.delete(doomed)
    wire = host.obey(host.command())
    host.send(wire, wire)
    host.send(wire)
    assert sizes(cloud)[0] == 1
    mend.free(doomed.pk)
    cloud.run()
    assert sizes(cloud) == (1, 1, 512, 5, 1)


def test_a_deletion_that_its_host_does_not_answer_counts_until_it_does(cloud: Cloud) -> None:
    cloud.host()
    instance, host = cloud.active()
    cloud.delete(instance)
    for _ in range(3):
        host.failed(host.command())
    instance.refresh_from_db()
    assert instance.state == "ERROR"
    assert sizes(cloud) == (1, 1, 512, 5, 1)
    cloud.delete(instance)
    cloud.run()
    assert sizes(cloud) == (0, 0, 0, 0, 0)
    assert_nothing_is_claimed()


def test_ports_that_find_no_address_are_not_counted(cloud: Cloud) -> None:
    small = make_network(cloud.actor)
    wishes = [Wish(uuid.uuid4(), cloud.project.pk, network.pk) for network in [cloud.network] * 3 + [small] * 14]
    assert refusal(plugs.claim, wishes).code == "network.full"
    assert used(cloud, "ports") == (0,)
    allow(cloud, ports=2)
    assert refusal(plugs.claim, wishes[:3]).code == "quota.exceeded"
    assert_consistent()
    plugs.claim(wishes[:2])
    plugs.release([wish.device_id for wish in wishes])
    plugs.release([wish.device_id for wish in wishes])
    assert used(cloud, "ports") == (0,)


# Networks.


def test_networks_count_until_they_are_deleted(cloud: Cloud) -> None:
    allow(cloud, networks=2)
    second = networks.create(actor=cloud.actor, name="second")
    assert refusal(networks.create, actor=cloud.actor, name="third").facts["used"] == 2
    assert refusal(networks.create, actor=cloud.actor, name="second").kind == "conflict"
    networks.delete(actor=cloud.actor, network_id=second.pk)
    assert used(cloud, "networks") == (1,)
    networks.create(actor=cloud.actor, name="third")
    assert Network.objects.filter(project_id=cloud.project.pk).count() == 2


# Images.


def stored(cloud: Cloud) -> tuple[int, ...]:
    """Images and bytes, without the cloud's own."""
    count, size = used(cloud, "images", "image_bytes")
    return count - 1, size - (cloud.image.size_bytes or 0)


def registered(cloud: Cloud) -> Image:
    return images.register(actor=cloud.actor, name="mine", disk_format=DiskFormat.RAW)


def upload(cloud: Cloud, image: Image, stream: Any, size_bytes: int | None = None) -> Image:
    return uploads.upload(actor=cloud.actor, image_id=image.pk, stream=stream, size_bytes=size_bytes)


class Watching(io.BytesIO):
    """Says what is counted while it is being read."""

    def __init__(self, data: bytes, cloud: Cloud) -> None:
        super().__init__(data)
        self.cloud, self.seen = cloud, (-1, -1)

    def read(self, size: int | None = -1) -> bytes:
        self.seen = stored(self.cloud)  # type: ignore[assignment]
        return super().read(size)


def test_an_image_counts_from_its_registration_and_its_bytes_from_the_first_one(cloud: Cloud) -> None:
    image = registered(cloud)
    assert stored(cloud) == (1, 0)
    data = Watching(b"x" * 4096, cloud)
    upload(cloud, image, data, 4096)
    assert data.seen == stored(cloud) == (1, 4096)
    images.delete(actor=cloud.actor, image_id=image.pk)
    assert stored(cloud) == (0, 0)
    assert refusal(images.delete, actor=cloud.actor, image_id=image.pk).kind == "not_found"
    assert stored(cloud) == (0, 0)


def test_nothing_is_read_of_what_may_not_be_kept(cloud: Cloud) -> None:
    allow(cloud, images=2, image_bytes=5000)
    image = registered(cloud)
    assert refusal(registered, cloud).facts["resource"] == "images"
    data = Watching(b"x" * 4096, cloud)
    assert refusal(upload, cloud, image, data, 4096).facts["asked"] == 4096
    assert data.seen == (-1, -1)
    image.refresh_from_db()
    assert (image.state, image.size_bytes) == ("queued", None)
    allow(cloud, image_bytes=6000)
    assert upload(cloud, image, data, 4096).state == "active"


def test_an_upload_of_unknown_size_is_counted_when_it_is_known(cloud: Cloud, tmp_path: Path) -> None:
    allow(cloud, image_bytes=(cloud.image.size_bytes or 0) + 4096)
    image = registered(cloud)
    assert refusal(upload, cloud, image, io.BytesIO(b"x" * 4097)).kind == "quota_exceeded"
    assert stored(cloud) == (1, 0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    upload(cloud, image, io.BytesIO(b"x" * 4096))
    assert stored(cloud) == (1, 4096)


@pytest.mark.parametrize("declared", [4096, 100, 9000])
def test_what_came_in_counts_and_not_what_was_said(cloud: Cloud, declared: int) -> None:
    image = upload(cloud, registered(cloud), io.BytesIO(b"x" * 4096), declared)
    assert (image.size_bytes, stored(cloud)) == (4096, (1, 4096))


def test_an_upload_that_breaks_off_counts_no_bytes(cloud: Cloud) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("gone")

    image = registered(cloud)
    refusal(upload, cloud, image, Broken(), 4096)
    image.refresh_from_db()
    assert (image.state, image.size_bytes, stored(cloud)) == ("queued", None, (1, 0))


def test_an_image_that_is_deleted_while_its_data_comes_in_counts_nothing(cloud: Cloud) -> None:
    image = registered(cloud)

    class Deleting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if Image.objects.get(pk=image.pk).state == "saving":
                images.delete(actor=cloud.actor, image_id=image.pk)
            return super().read(size)

    assert isinstance(refusal(upload, cloud, image, Deleting(b"x" * 4096), 4096), NotFound)
    assert stored(cloud) == (0, 0)
    assert_consistent()


def test_an_upload_that_was_given_up_and_goes_on_changes_nothing_of_the_next_one(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = registered(cloud)

    class GivenUp(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if Image.objects.get(pk=image.pk).size_bytes == 4096:
                uploads.give_up(image.pk)
                upload(cloud, image, io.BytesIO(b"y" * 512), 512)
            return super().read(size)

    assert isinstance(refusal(upload, cloud, image, GivenUp(b"x" * 4096), 4096), NotFound)
    image.refresh_from_db()
    assert (image.state, image.size_bytes, stored(cloud)) == ("active", 512, (1, 512))


def test_images_of_no_project_are_nobodys(cloud: Cloud) -> None:
    image = uploads.import_stream(
        actor=SYSTEM, name="ours", stream=io.BytesIO(b"x" * 512), size_bytes=512, disk_format=DiskFormat.RAW, visibility="public"
    )
    assert image.project_id is None
    images.delete(actor=SYSTEM, image_id=image.pk)
    assert stored(cloud) == (0, 0)
    assert audit.drifts() == []


# Counting again.


def test_what_was_counted_wrongly_is_found_and_counted_again(cloud: Cloud) -> None:
    cloud.host()
    cloud.active()
    other = make_project()
    assert audit.drifts() == []
    Usage.objects.filter(pk=cloud.project.pk).update(instances=5, ports=0, volumes=3)
    assert other.domain_id is not None
    Usage.objects.create(project_id=other.pk, domain_id=other.domain_id, networks=2)
    found = {(drift.project_id, drift.resource, drift.used, drift.counted) for drift in audit.drifts()}
    assert found == {(cloud.project.pk, "instances", 5, 1), (cloud.project.pk, "ports", 0, 1), (other.pk, "networks", 2, 0)}
    assert len(audit.repair(actor=SYSTEM, project_ids=[cloud.project.pk, other.pk])) == 3
    assert audit.drifts() == []
    assert_consistent()
    assert used(cloud, "volumes") == (3,)  # nobody counts these yet


def test_an_installation_that_is_older_than_quotas_is_counted_once(cloud: Cloud) -> None:
    cloud.host()
    cloud.active()
    cloud.boot()
    doomed = cloud.boot()
    cloud.delete(doomed)
    Usage.objects.all().delete()
    import_module("apps.quotas.migrations.0002_count_what_is_there").count(apps, None)
    assert sizes(cloud) == (2, 2, 1024, 10, 1)
    assert audit.drifts() == []


def test_nobody_counts_what_another_one_counts_or_what_there_is_not() -> None:
    assert {"instances", "vcpus", "memory_mb", "disk_gb", "ports", "networks", "images", "image_bytes"} <= registry.counted_resources()
    with pytest.raises(ValueError, match="twice"):
        registry.counted("ports", lambda ids: {})
    with pytest.raises(KeyError):
        registry.counted("gold", lambda ids: {})


def test_every_resource_is_a_column_of_usage() -> None:
    assert set(RESOURCES) == {field.name for field in Usage._meta.fields} - {"project_id", "domain_id"}


# Projects that go.


def test_a_project_that_has_something_stays_and_one_that_has_nothing_takes_its_limits_along(cloud: Cloud) -> None:
    allow(cloud, instances=3)
    error = refusal(projects.delete_project, actor=SYSTEM, project_id=cloud.project.pk)
    assert isinstance(error, Conflict) and error.facts["in_use"] == {"images": 1}  # its default network goes with it
    images.delete(actor=cloud.actor, image_id=cloud.image.pk)
    projects.delete_project(actor=SYSTEM, project_id=cloud.project.pk)
    assert (Usage.objects.count(), Limit.objects.count()) == (0, 0)
    assert refusal(networks.create, actor=cloud.actor, name="late").kind == "not_found"
    assert not Network.objects.exclude(project_id=None).exists()
