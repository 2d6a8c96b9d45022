"""Quotas while many create and delete at the same moment: never exceeded, never short, and what is counted is what there is."""

import io
import random
import threading
import time
import uuid
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum

from apps.common.context import SYSTEM, Actor
from apps.common.errors import CloudError, Conflict, InvalidState, NotFound, QuotaExceeded
from apps.compute.models import Instance
from apps.compute.services import delete, place
from apps.identity.models import Project
from apps.identity.services import projects
from apps.images.models import Image
from apps.images.services import images, uploads
from apps.network.services import networks
from apps.operations.models import Operation
from apps.operations.services import intake
from apps.quotas.models import Usage
from apps.quotas.services import audit, limits, reservations
from apps.quotas.services.reservations import Wish
from contracts import topics
from contracts.compute.v1 import DiskFormat
from tests.concurrency.test_everything_at_once import at_rest
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, make_project
from tests.support.fixtures import Time
from tests.support.identity import make_actor
from tests.support.postgres import Deadlocks
from tests.support.threads import Worker, errors, together, unexpected, until_enough

ENOUGH = 5  # of every kind of deed in the storm


def allow(owner: Project | None, **wanted: int) -> None:
    assert owner is not None
    limits.set_limits(actor=SYSTEM, owner_id=owner.pk, limits=wanted)


def tenant(name: str = "") -> Actor:
    """Somebody in a project of its own with a default network."""
    actor = make_actor(make_project(name))
    networks.create(actor=actor, name="default", is_default=True)
    return actor


def project_of(actor: Actor) -> Project:
    return Project.objects.get(Q(pk=actor.project_id))


def used(project_id: uuid.UUID | None, name: str = "instances") -> int:
    return int(Usage.objects.filter(Q(pk=project_id)).values_list(name, flat=True).first() or 0)


def take(project_id: uuid.UUID, **amounts: int) -> None:
    with transaction.atomic():
        reservations.reserve(project_id=project_id, amounts=amounts)


# Creating.


def test_of_64_creators_exactly_as_many_succeed_as_the_quota_allows(cloud: Cloud, deadlocks: Deadlocks) -> None:
    allow(cloud.project, instances=20)
    results = together([cloud.create] * 64)
    assert unexpected(results, QuotaExceeded) == [], deadlocks.details()
    assert len(errors(results)) == 44
    for error in errors(results):
        assert error.facts["exceeded"] == [{"resource": "instances", "limit": 20, "used": 20, "asked": 1, "scope": "project"}]  # type: ignore[attr-defined]
    assert Instance.objects.count() == Operation.objects.count() == used(cloud.project.pk) == 20
    assert deadlocks() == 0, deadlocks.details()
    assert_consistent()


def test_creators_of_different_sizes_never_exceed_and_none_is_refused_that_fits(cloud: Cloud) -> None:
    allow(cloud.project, instances=1000, vcpus=61, memory_mb=31 * 512)
    sizes = [random.Random(7).choice((1, 2, 3, 5)) for _ in range(64)]
    results = together([partial(cloud.create, count=size) for size in sizes])
    assert unexpected(results, QuotaExceeded) == []
    made = sum(size for size, result in zip(sizes, results, strict=True) if not isinstance(result, BaseException))
    refused = [size for size, result in zip(sizes, results, strict=True) if isinstance(result, BaseException)]
    assert Instance.objects.count() == made <= 31
    assert made + min(refused) > 31
    assert {each["resource"] for error in errors(results) for each in error.facts["exceeded"]} == {"memory_mb"}  # type: ignore[attr-defined]
    assert_consistent()


@pytest.mark.parametrize("count", [2, 8])
def test_projects_race_for_the_limit_of_their_domain(cloud: Cloud, deadlocks: Deadlocks, count: int) -> None:
    tenants = [cloud.actor, *(tenant() for _ in range(count - 1))]
    allow(cloud.project.domain, instances=25)
    allow(cloud.project, instances=20)
    results = together([partial(cloud.create, actor=tenants[n % count]) for n in range(64)])
    assert unexpected(results, QuotaExceeded) == [], deadlocks.details()
    assert Instance.objects.count() == sum(used(actor.project_id) for actor in tenants) == 25
    assert used(cloud.project.pk) <= 20
    assert "domain" in {error.facts["scope"] for error in errors(results)}  # type: ignore[attr-defined]
    assert deadlocks() == 0, deadlocks.details()
    assert_consistent()


def test_the_first_reservations_of_a_project_make_its_row_once(cloud: Cloud) -> None:
    project = make_project()
    results = together([partial(take, project.pk, volumes=1)] * 16)
    assert errors(results) == []
    assert used(project.pk, "volumes") == 16


def test_a_domain_that_gets_a_limit_meanwhile_is_not_exceeded_by_who_has_not_seen_it(cloud: Cloud, deadlocks: Deadlocks) -> None:
    for round_ in range(6):
        domain = Project.objects.create(name=f"d{round_}", is_domain=True)
        pair = [Project.objects.create(name=f"p{n}", domain=domain, parent=domain) for n in range(2)]
        before: list[int] = []

        def set_limit(domain: Project = domain, before: list[int] = before) -> None:
            with transaction.atomic():
                allow(domain, volumes=5)
                before.append(Usage.objects.filter(domain_id=domain.pk).aggregate(all=Sum("volumes"))["all"] or 0)

        results = together([*[partial(take, pair[n % 2].pk, volumes=1) for n in range(20)], set_limit])
        assert unexpected(results, QuotaExceeded) == [], deadlocks.details()
        assert sum(used(project.pk, "volumes") for project in pair) == max(5, before[0])
    assert deadlocks() == 0, deadlocks.details()


def test_batches_over_the_same_projects_in_any_order_do_not_deadlock(cloud: Cloud, deadlocks: Deadlocks) -> None:
    ids = [make_project().pk for _ in range(8)]
    for project_id in ids[:4]:
        allow(Project.objects.get(pk=project_id), ports=12)
    for project_id in ids:
        take(project_id, ports=0)

    def churn(seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(25):
            wishes = [Wish(project_id, {"ports": 1}) for project_id in chosen.choices(ids, k=6)]
            with transaction.atomic():
                verdicts = reservations.reserve_each(wishes)
            granted = Counter(wish.project_id for wish, refused in zip(wishes, verdicts, strict=True) if refused is None)
            mixed = chosen.sample(list(granted.items()), len(granted))
            with transaction.atomic(), reservations.gathered():
                for project_id, count in mixed:
                    reservations.release(project_id=project_id, amounts={"ports": count})

    results = together([partial(churn, seed) for seed in range(8)])
    assert errors(results) == [], deadlocks.details()
    assert deadlocks() == 0, deadlocks.details()
    assert not Usage.objects.exclude(ports=0).exists()


# Placing, deleting, failing.


def test_placing_and_deleting_of_many_projects_at_once_do_not_deadlock_over_quotas(cloud: Cloud, deadlocks: Deadlocks) -> None:
    for _ in range(4):
        cloud.host(VCPU=200, MEMORY_MB=200 * 512, DISK_GB=2000)
    tenants = [tenant() for _ in range(5)]
    allow(cloud.project.domain, ports=10_000)
    schedulers, conductors = [Worker(place.place) for _ in range(2)], [Worker(intake.take_in_many, most=200) for _ in range(2)]
    for round_ in range(5):
        chosen = random.Random(round_)
        made = [cloud.create(actor=chosen.choice(tenants)) for _ in range(30)]
        placing = chosen.sample([str(each.operations[0].pk) for each in made], 30)
        doomed = list(Instance.objects.filter(state="ACTIVE"))
        for instance in doomed:
            delete.delete(actor=SYSTEM, instance_id=instance.pk)
        reports = [(topics.REPORT, host.obey(command)) for host in cloud.hosts for command in host.commands()]
        chosen.shuffle(reports)
        together(
            [
                *[partial(worker.put, placing[n::2]) for n, worker in enumerate(schedulers)],
                *[partial(worker.put, reports[n::2] + reports[:10]) for n, worker in enumerate(conductors)],
                *[partial(cloud.create, actor=each) for each in tenants],
            ]
        )
        for worker in (*schedulers, *conductors):
            assert worker._batcher.drain(60)
        cloud.run()
        assert_consistent()
    for worker in (*schedulers, *conductors):
        worker.finish()
    assert "quotas_" not in deadlocks.details(), deadlocks.details()


def test_a_deletion_that_is_reported_many_times_at_once_gives_back_once(cloud: Cloud) -> None:
    host = cloud.host()
    keeper = cloud.boot()
    cloud.create(count=9)
    cloud.run()
    for instance in Instance.objects.exclude(pk=keeper.pk):
        cloud.delete(instance)
    wires = [host.obey(command) for command in host.commands()]
    results = together([partial(host.send, *random.Random(seed).sample(wires, 9)) for seed in range(8)])
    assert errors(results) == []
    assert (used(cloud.project.pk), used(cloud.project.pk, "ports"), used(cloud.project.pk, "vcpus")) == (1, 1, 1)
    assert_consistent()


def test_after_a_storm_no_quota_was_exceeded_and_usage_is_what_there_is(
    cloud: Cloud, time_machine: Time, deadlocks: Deadlocks
) -> None:
    for _ in range(4):
        cloud.host()
    tenants = [cloud.actor, tenant(), tenant()]
    allow(cloud.project.domain, instances=14)
    for actor in tenants:
        allow(project_of(actor), instances=6, ports=5)
    storm = _Storm(cloud, tenants)
    results = together([*[partial(storm.user, n) for n in range(4)], storm.schedule, storm.hosts, storm.count])
    for worker in storm.workers:
        worker.finish()
    assert unexpected(results) == [], deadlocks.details()
    assert min(storm.done.values()) > ENOUGH, storm.done
    at_rest(cloud, time_machine)
    assert_consistent()
    assert audit.drifts() == []
    for instance in Instance.objects.exclude(state="DELETED"):
        delete.delete(actor=SYSTEM, instance_id=instance.pk)
    at_rest(cloud, time_machine)
    assert_nothing_is_claimed()
    assert audit.drifts() == []
    assert "quotas_" not in deadlocks.details(), deadlocks.details()
    print(f"storm: {storm.done}, deadlocks {deadlocks()}")


class _Storm:
    """Users of several projects, a scheduler, hosts that fail and repeat themselves, and somebody who counts all the time."""

    def __init__(self, cloud: Cloud, tenants: list[Actor]) -> None:
        self.cloud, self.tenants = cloud, tenants
        self.scheduler, self.conductor = Worker(place.place), Worker(intake.take_in_many, most=200)
        self.workers = (self.scheduler, self.conductor)
        self.lock = threading.Lock()
        self.done = Counter(created=0, refused=0, deleted=0, failed=0, counted=0)
        self.going = until_enough(self.done, ENOUGH)

    def user(self, number: int) -> None:
        chosen = random.Random(number)
        while self.going():
            actor = chosen.choice(self.tenants)
            living = list(Instance.objects.filter(Q(project_id=actor.project_id)).exclude(state="DELETED").values_list("pk", flat=True))
            try:
                if chosen.random() < 0.6 or not living:
                    self.cloud.create(actor=actor, count=chosen.choice((1, 1, 2, 3)))
                    self.done["created"] += 1
                else:
                    delete.delete(actor=actor, instance_id=chosen.choice(living))
                    self.done["deleted"] += 1
            except QuotaExceeded:
                self.done["refused"] += 1
            except (NotFound, InvalidState):
                pass  # somebody else was first

    def schedule(self) -> None:
        while self.going():
            for message in self.cloud.bus.take_queue(topics.SCHEDULER):
                self.scheduler.put(message.items)
            time.sleep(0.002)

    def hosts(self) -> None:
        chosen = random.Random("hosts")
        while self.going():
            for host in self.cloud.hosts:
                for command in host.commands():
                    fails = chosen.random() < 0.5 and command.topic == topics.COMPUTE_BUILD
                    self.done["failed"] += fails
                    wire = host.obey(command, fails=fails)
                    self.conductor.put([(topics.REPORT, wire)] * chosen.choice((1, 1, 2)))
            time.sleep(0.002)

    def count(self) -> None:
        """At every moment: what there is, what is said to be used, and the limits."""
        while self.going():
            with transaction.atomic(), self._snapshot():
                there = Counter(Instance.objects.exclude(state="DELETED").values_list("project_id", flat=True))
                said = dict(Usage.objects.values_list("pk", "instances"))
                assert all(count <= 6 for count in there.values()), there
                assert sum(there.values()) <= 14, there
                assert {key: count for key, count in said.items() if count} == dict(there)
                assert all(ports <= 5 for ports in Usage.objects.values_list("ports", flat=True))
            self.done["counted"] += 1

    @staticmethod
    def _snapshot() -> "transaction.Atomic":
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return transaction.atomic()


def test_counting_again_beside_running_requests_ends_with_what_there_is(cloud: Cloud) -> None:
    cloud.host()
    Usage.objects.filter(pk=cloud.project.pk).update(instances=1000, ports=77)
    stop = threading.Event()

    def churn(seed: int) -> None:
        for _ in range(12):
            instance = cloud.boot()
            if seed % 2:
                cloud.delete(instance)

    def recount() -> int:
        rounds = 0
        while not stop.is_set():
            audit.recount(cloud.project.pk)
            rounds += 1
        return rounds

    def all_churn() -> None:
        try:
            assert errors(together([partial(churn, seed) for seed in range(6)])) == []
        finally:
            stop.set()

    results = together([all_churn, recount])
    assert errors(results) == []
    assert results[1] > 3
    assert audit.drifts() == []
    assert used(cloud.project.pk) == 36
    cloud.run()
    assert_consistent()


# Others.


def test_uploads_at_once_never_exceed_the_bytes_of_a_project(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MEDIA_ROOT", tmp_path)
    actor = tenant()
    allow(project_of(actor), image_bytes=5 * 4096 + 4095, images=30)

    def upload(known: bool) -> uuid.UUID:
        data = random.randbytes(4096)
        image = uploads.import_stream(
            actor=actor, name="i", stream=io.BytesIO(data), disk_format=DiskFormat.RAW, size_bytes=4096 if known else None
        )
        return image.pk

    results = together([partial(upload, n % 2 == 0) for n in range(16)])
    assert unexpected(results, QuotaExceeded) == []
    assert len(errors(results)) == 11
    assert (used(actor.project_id, "images"), used(actor.project_id, "image_bytes")) == (5, 5 * 4096)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 5
    kept = [result for result in results if isinstance(result, uuid.UUID)]
    results = together([partial(images.delete, actor=actor, image_id=image_id) for image_id in kept * 2])
    assert unexpected(results, NotFound, InvalidState) == []
    assert (used(actor.project_id, "images"), used(actor.project_id, "image_bytes")) == (0, 0)
    assert not Image.objects.filter(Q(project_id=actor.project_id)).exclude(state="deleted").exists()


def test_a_project_is_deleted_or_used_but_never_both(cloud: Cloud, deadlocks: Deadlocks) -> None:
    outcomes = Counter[str]()
    for _ in range(10):
        actor = make_actor(project := make_project())
        creating = [partial(networks.create, actor=actor, name=f"n{number}") for number in range(4)]
        results = together([*creating, partial(projects.delete_project, actor=SYSTEM, project_id=project.pk)])
        assert unexpected(results, CloudError) == [], deadlocks.details()
        made, gone = 4 - len(errors(results[:4])), not isinstance(results[4], BaseException)
        assert gone == (made == 0), results
        assert unexpected(results, NotFound if gone else Conflict) == []
        assert used(project.pk, "networks") == made
        outcomes["gone" if gone else "in use"] += 1
    print(outcomes)
