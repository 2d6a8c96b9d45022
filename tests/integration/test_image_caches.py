"""What hosts have of images: as they said last, and fetched before anybody boots when an operator says so."""

import re
import time
from typing import Any

import pytest

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.hosts.models import Host
from apps.hosts.services import aggregates, zones
from apps.images.models import CachedImage, Image
from apps.images.services import caches
from apps.operations.models import Operation
from apps.operations.services import sweep
from contracts import topics
from contracts.compute import v3
from contracts.report import Outcome
from tests.support.admin import address, signed_in, user
from tests.support.cloud import Cloud, make_image, refusal, timeline
from tests.support.commands import as_json, run
from tests.support.fixtures import Time
from tests.support.hosts import FakeHost
from tests.support.identity import make_actor

A, B = "a" * 64, "b" * 64


def said(sha256: str, **fields: Any) -> v3.CachedImage:
    return v3.CachedImage(**{"sha256": sha256, "size_bytes": 1000, "last_used": 1_700_000_000.0, **fields})


def has(host: FakeHost, *images: v3.CachedImage) -> None:
    """It says so."""
    host.images = {image.sha256: image for image in images}
    host.observation()


def kept(host: FakeHost) -> dict[str, CachedImage]:
    return {row.sha256: row for row in CachedImage.objects.filter(host_id=host.id)}


def seed(image: Image, *hosts: FakeHost, **where: Any) -> caches.Seeded:
    return caches.seed(actor=SYSTEM, image_id=image.pk, hosts=[host.name for host in hosts], **where)


def test_what_a_host_says_it_has_is_listed_and_forgotten_when_it_is_gone(cloud: Cloud) -> None:
    host, other = cloud.host(), cloud.host()
    has(other, said(A))
    has(host, said(A, in_use=True), said(B))
    assert {name: (row.size_bytes, row.in_use) for name, row in kept(host).items()} == {A: (1000, True), B: (1000, False)}
    has(host, said(B, in_use=True))
    assert {name: row.in_use for name, row in kept(host).items()} == {B: True}
    assert list(kept(other)) == [A]


def test_an_agent_that_does_not_speak_of_images_changes_nothing(cloud: Cloud) -> None:
    host = cloud.host()
    has(host, said(A))
    host.images = None
    host.observation()
    host.hello()
    assert list(kept(host)) == [A]


def test_a_hello_tells_of_images_too(cloud: Cloud) -> None:
    host = cloud.host()
    host.images = {A: said(A)}
    host.hello()
    assert list(kept(host)) == [A]


def test_what_cannot_be_is_not_kept(cloud: Cloud) -> None:
    host = cloud.host()
    has(host, said("../../etc"), said(A, size_bytes=-1), said(B, last_used=1e300), said("c" * 64, size_bytes=2**70))
    assert kept(host) == {}


def test_nothing_is_written_when_nothing_has_changed(cloud: Cloud, django_assert_num_queries: Any) -> None:
    host = cloud.host()
    has(host, said(A))
    observation = _observation(said(A, last_used=1_700_000_100.0))
    with django_assert_num_queries(1):
        caches.remember(host_id=str(host.id), observation=observation)
    caches.remember(host_id=str(host.id), observation=_observation(said(A, last_used=1_700_009_000.0)))
    assert kept(host)[A].last_used_at.timestamp() == 1_700_009_000.0


def _observation(*images: v3.CachedImage) -> Any:
    from contracts.hosts.v1 import Observation

    return Observation(started_at=time.time(), domains=[], images=list(images))


def test_hosts_fetch_an_image_before_anybody_boots(cloud: Cloud) -> None:
    hosts = [cloud.host(), cloud.host()]
    cloud.host()
    image = make_image(sha256=A, size_bytes=5000)
    seeded = seed(image, *hosts)
    assert {operation.host_name for operation in seeded.operations} == {host.name for host in hosts}
    assert all(row.seen_at is None for host in hosts for row in kept(host).values())
    for host in hosts:
        command = host.command(topics.COMPUTE_SEED)
        assert (command.body.image.sha256, command.body.image.size_bytes) == (A, 5000)
        host.progress(command, 47)
        host.send(host.obey(command))
        assert kept(host)[A].seen_at is not None
    for operation in Operation.objects.filter(kind="image.seed"):
        assert (operation.state, operation.result) == ("succeeded", {"image_id": str(image.pk), "sha256": A})
        assert timeline(operation) == ["accepted", "progress", "finished"]
    assert Record.objects.filter(action="images.cache.seed").count() == 1


def test_kernel_and_ramdisk_come_along(cloud: Cloud) -> None:
    host = cloud.host()
    kernel, ramdisk = make_image(sha256=B, disk_format="kernel"), make_image(sha256="c" * 64, disk_format="ramdisk")
    seeded = seed(make_image(sha256=A, kernel_id=kernel.pk, ramdisk_id=ramdisk.pk), host)
    assert len(seeded.operations) == 3
    assert {command.body.image.sha256 for command in host.commands()} == {A, B, "c" * 64}


def test_asking_again_while_it_is_fetched_is_the_same_operation(cloud: Cloud) -> None:
    host, image = cloud.host(), make_image(sha256=A)
    first = seed(image, host).operations
    assert seed(image, host).operations == first
    host.work()
    assert seed(image, host).operations != first
    host.work()
    assert Operation.objects.filter(kind="image.seed", state="succeeded").count() == 2


def test_zones_and_aggregates_are_chosen_as_a_whole_without_those_that_cannot(cloud: Cloud) -> None:
    zones.ensure(actor=SYSTEM, name="room-2")
    inside, down, old, grouped = (cloud.host(zone="room-2") for _ in range(4))
    elsewhere = cloud.host()
    Host.objects.filter(pk=down.id).update(state="down")
    old.speaks = [topics.COMPUTE_BUILD]
    old.hello()
    image = make_image(sha256=A)
    seeded = seed(image, zone="room-2")
    assert {operation.host_name for operation in seeded.operations} == {inside.name, grouped.name}
    assert set(seeded.skipped) == {down.name, old.name}
    group = aggregates.create(actor=SYSTEM, name="fast")
    aggregates.add_host(actor=SYSTEM, aggregate_id=group.pk, host_id=elsewhere.id)
    assert {operation.host_name for operation in seed(image, aggregate="fast").operations} == {elsewhere.name}


def test_what_cannot_be_fetched_is_refused(cloud: Cloud) -> None:
    host, image = cloud.host(), make_image(sha256=A)
    assert refusal(seed, image).code == "image.seed"
    assert refusal(caches.seed, actor=SYSTEM, image_id=image.pk, hosts=["nobody"]).code == "host.not_found"
    assert refusal(seed, make_image(state="queued", sha256="", size_bytes=None), host).code == "image.state"
    Host.objects.filter(pk=host.id).update(state="down")
    assert refusal(seed, image, host).code == "host.down"
    assert refusal(caches.seed, actor=make_actor(cloud.project), image_id=image.pk, hosts=[host.name]).code == "policy.forbidden"
    assert CachedImage.objects.count() == 0


def test_a_failure_says_why_and_leaves_no_row(cloud: Cloud) -> None:
    host, image = cloud.host(), make_image(sha256=A)
    (operation,) = seed(image, host).operations
    host.failed(host.command(topics.COMPUTE_SEED), "image.no_space")
    operation.refresh_from_db()
    assert (operation.state, operation.error["code"]) == ("failed", "image.no_space")
    assert kept(host) == {}


@pytest.mark.parametrize("lie", [{"sha256": B}, {"size_bytes": -1}])
def test_a_host_that_says_it_has_fetched_something_else_is_not_believed(cloud: Cloud, lie: dict[str, Any]) -> None:
    host, image = cloud.host(), make_image(sha256=A)
    (operation,) = seed(image, host).operations
    host.send(host.report(host.command(topics.COMPUTE_SEED), Outcome.DONE, result=said(**{"sha256": A, **lie})))
    operation.refresh_from_db()
    assert (operation.state, operation.error["code"]) == ("failed", "image.mismatch")
    assert kept(host) == {}


def test_a_silent_host_is_given_up(cloud: Cloud, time_machine: Time, settings: Any) -> None:
    host, image = cloud.host(), make_image(sha256=A)
    (operation,) = seed(image, host).operations
    time_machine.forward(settings.ENV.transfer_timeout_s + 1)
    sweep.sweep()
    operation.refresh_from_db()
    assert (operation.state, operation.error["code"], kept(host)) == ("failed", "host.silent", {})


def test_what_is_being_fetched_is_not_forgotten_by_an_observation(cloud: Cloud) -> None:
    host, image = cloud.host(), make_image(sha256=A)
    seed(image, host)
    has(host)
    assert list(kept(host)) == [A]
    command = host.command(topics.COMPUTE_SEED)
    host.send(host.report(command, Outcome.DONE, result=host.fetch(command)))
    host.images = {}
    host.observation(started_at=time.time() - 30)
    assert list(kept(host)) == [A], "the host had looked before it was there"


def test_operators_fetch_and_look_on_the_images_page(cloud: Cloud) -> None:
    client = signed_in(user("root", is_superuser=True, is_staff=True))
    host, image = cloud.host("node-7"), make_image(cloud.project, name="debian", sha256=A, size_bytes=5000)
    Host.objects.filter(pk=cloud.host("node-8", zone="default").id).update(state="down")
    assert "No host has it." in client.get(address(image, "change")).content.decode()
    answer = client.post(address(image, "do", "seed"), {"confirmed": "1", "zone": "default"}, follow=True).content.decode()
    assert "1 host is fetching debian. Passed over: node-8." in answer
    assert "being fetched" in client.get(address(image, "change")).content.decode()
    host.work()
    page = client.get(address(image, "change")).content.decode()
    assert "node-7" in page and "being fetched" not in page
    refused = client.post(address(image, "do", "seed"), {"confirmed": "1", "hosts": "node-8"}, follow=True).content.decode()
    assert "(host.down)" in refused


def test_the_command_lists_and_seeds(cloud: Cloud) -> None:
    host = cloud.host("node-7")
    image = make_image(cloud.project, name="debian", sha256=A)
    make_image(cloud.project, name="again", sha256=A)
    told = as_json("image_cache", "--seed", "--image", str(image.pk), "--host", "node-7")
    assert [operation["kind"] for operation in told["operations"]] == ["image.seed"]
    host.work()
    (row,) = as_json("image_cache", "--host", "node-7")
    assert (row["host_name"], {each["name"] for each in row["images"]}, row["in_use"]) == ("node-7", {"debian", "again"}, False)
    _, text = run("image_cache", "--image", str(image.pk))
    assert re.search(r"node-7\s.*(debian, again|again, debian)", text)
