"""From what an instance needs to the host that it gets, and to the next one when that fails."""

import uuid
from dataclasses import replace
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.db import transaction

from apps.compute.models import Instance
from apps.compute.services import place
from apps.hosts.models import Host
from apps.hosts.services import deltas
from apps.operations.services import sweep
from apps.placement import selectors as placement
from apps.placement.models import Inventory, ResourceProvider
from apps.placement.services import claims
from apps.scheduler import selectors as scheduler
from apps.scheduler.explain import words
from apps.scheduler.feed import Feed, feed
from apps.scheduler.services import choose
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, operation_of, timeline
from tests.support.fixtures import Time

pytestmark = pytest.mark.django_db(transaction=True)


def set_env(monkeypatch: pytest.MonkeyPatch, **values: Any) -> None:
    monkeypatch.setattr(settings, "ENV", replace(settings.ENV, **values))


def test_a_decision_keeps_what_was_asked_each_step_the_weights_and_the_alternates(cloud: Cloud) -> None:
    for name in ("alpha", "beta", "gamma", "delta"):
        cloud.host(name)
    cloud.host("small", MEMORY_MB=100)
    instance, host, _ = cloud.placed()
    (decision,) = scheduler.decisions(instance.pk)
    assert (decision.host_id, decision.host_name, decision.hosts, decision.project_id) == (host.id, host.name, 5, cloud.project.pk)
    assert decision.request["amounts"] == {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 5}
    assert ["MEMORY_MB", 4] in orjson.loads(decision.steps)
    best = orjson.loads(decision.best)
    assert len(best) == 4 and host.name in {each["host"] for each in best}
    assert all(each["weight"] == pytest.approx(sum(each["weights"].values()), abs=0.001) for each in best)
    alternates = orjson.loads(decision.alternates)
    assert len(alternates) == 3 and str(host.id) not in {key for key, _ in alternates}
    assert decision.took_ms > 0


def test_needs_of_an_instance_narrow_the_choice(cloud: Cloud) -> None:
    alpha, beta, gamma = cloud.host("alpha"), cloud.host("beta"), cloud.host("gamma")
    instance = cloud.boot()
    Instance.objects.filter(pk=instance.pk).update(needs={"hosts": [str(alpha.id), str(beta.id)], "avoided_hosts": [str(alpha.id)]})
    lonely = cloud.boot()
    Instance.objects.filter(pk=lonely.pk).update(needs={
        "required_traits": ["HW_CPU_X86_AVX2"], "forbidden_traits": ["STORAGE_DISK_HDD"], "host_metadata": {"disk": "ssd"},
        "image": {"architecture": "riscv64", "hypervisor_type": "xen"},
    })
    cloud.schedule()
    instance.refresh_from_db()
    assert cloud.host_of(instance) is beta
    (decision,) = scheduler.decisions(lonely.pk)
    assert decision.host_id is None
    assert decision.request["required_traits"] == ["HW_CPU_X86_AVX2"]
    assert (decision.request["architecture"], decision.request["hypervisor_type"]) == ("riscv64", "xen")
    assert gamma.commands() == []
    assert_consistent()


# Alternates.


def test_a_retry_takes_the_first_alternate_without_weighing_anew(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        cloud.host()
    instance, first, command = cloud.placed()
    (decision,) = scheduler.decisions(instance.pk)
    alternates = [key for key, _ in orjson.loads(decision.alternates)]
    first.failed(command)
    monkeypatch.setattr(choose, "weigh", None)
    cloud.schedule()
    instance.refresh_from_db()
    assert str(instance.host_id) == alternates[0]
    retaken, _ = scheduler.decisions(instance.pk)
    assert (str(retaken.host_id), retaken.summary) == (alternates[0], "the next best of the decision before")
    assert [key for key, _ in orjson.loads(retaken.alternates)] == alternates[1:]
    second = cloud.host_of(instance)
    second.failed(second.command())
    cloud.schedule()
    instance.refresh_from_db()
    assert str(instance.host_id) == alternates[1]
    assert timeline(operation_of(instance)).count("host chosen") == 3
    assert_consistent()


def test_when_no_alternate_is_left_or_fits_there_is_a_new_decision(cloud: Cloud) -> None:
    for _ in range(4):
        cloud.host()
    instance, first, command = cloud.placed()
    (decision,) = scheduler.decisions(instance.pk)
    for key, _ in orjson.loads(decision.alternates):
        Host.objects.filter(pk=key).update(enabled=False)
    deltas.note([uuid.UUID(key) for key, _ in orjson.loads(decision.alternates)])
    last = cloud.host("last")
    first.failed(command)
    cloud.schedule()
    instance.refresh_from_db()
    assert cloud.host_of(instance) is last
    assert words.outcome(scheduler.decisions(instance.pk)[0]) == "last was chosen: it is the only one that fits."
    assert_consistent()


def test_an_alternate_that_somebody_else_has_filled_at_this_moment_is_passed_over(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        cloud.host()
    instance, first, command = cloud.placed()
    (decision,) = scheduler.decisions(instance.pk)
    (taken, _), (wanted, _), _ = orjson.loads(decision.alternates)
    first.failed(command)
    quicker(monkeypatch, uuid.UUID(taken))
    cloud.schedule()
    instance.refresh_from_db()
    assert str(instance.host_id) == wanted
    assert scheduler.decisions(instance.pk)[0].lost_races == [Host.objects.get(pk=taken).name]
    assert placement.mismatches() == []


def quicker(monkeypatch: pytest.MonkeyPatch, host_id: uuid.UUID, *, gone: bool = False) -> None:
    """Between the next choice and its claim this host fills up; `gone`: or is no more."""
    original = claims.claim

    def claim(wanted: Any) -> set[uuid.UUID]:
        monkeypatch.setattr(claims, "claim", original)
        if gone:
            Inventory.objects.filter(provider_id=host_id).delete()
            ResourceProvider.objects.filter(pk=host_id).delete()
            Host.objects.filter(pk=host_id).delete()
            deltas.note([host_id])
        else:
            free = {name: capacity - used for _, name, capacity, used, *_ in placement.scheduling_stock([host_id])}
            original([claims.Claim(uuid.uuid4(), uuid.uuid4(), host_id, free)])
        return original(wanted)

    monkeypatch.setattr(claims, "claim", claim)


# Races.


def test_who_loses_the_race_for_a_host_gets_another_one_and_the_decision_says_so(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    full, other = cloud.host("full", MEMORY_MB=100_000), cloud.host("other")
    quicker(monkeypatch, full.id)
    instance = cloud.boot()
    cloud.schedule()
    instance.refresh_from_db()
    assert cloud.host_of(instance) is other
    (decision,) = scheduler.decisions(instance.pk)
    assert (decision.lost_races, decision.host_name) == (["full"], "other")


def test_who_loses_the_race_for_the_last_place_is_refused_in_truth(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    host = cloud.host("full")
    quicker(monkeypatch, host.id)
    instance = cloud.boot()
    cloud.schedule()
    instance.refresh_from_db()
    assert instance.error["code"] == "scheduler.no_host"
    assert instance.error["message"].startswith("No host has room for 1 vCPU")


def test_a_host_that_disappears_during_a_decision_is_lost_like_a_race(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, other = cloud.host("gone", MEMORY_MB=100_000), cloud.host("other")
    quicker(monkeypatch, gone.id, gone=True)
    instance = cloud.boot()
    cloud.schedule()
    instance.refresh_from_db()
    assert cloud.host_of(instance) is other
    assert scheduler.decisions(instance.pk)[0].lost_races == ["gone"]
    assert placement.mismatches() == []
    table = feed.current(surely=True).facts()
    assert {facts["name"] for facts in table.values()} == {"other"}
    assert table == Feed().current().facts()


def test_nobody_is_refused_for_a_choice_of_the_same_batch_that_came_to_nothing(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The large one seems to take the last place of the small one, and then does not get it."""
    host = cloud.host(MEMORY_MB=1024)
    large, small = cloud.create(name="large").instances[0], cloud.create(name="small").instances[0]
    Instance.objects.filter(pk=large.pk).update(memory_mb=1024)
    original = claims.claim

    def claim(wanted: Any) -> set[uuid.UUID]:
        monkeypatch.setattr(claims, "claim", original)
        original([claims.Claim(uuid.uuid4(), uuid.uuid4(), host.id, {"MEMORY_MB": 1})])
        return original(wanted)

    monkeypatch.setattr(claims, "claim", claim)
    cloud.schedule()
    for instance in (large, small):
        instance.refresh_from_db()
    assert (large.state, small.host_id) == ("ERROR", host.id)


def test_a_transaction_that_fails_leaves_the_table_true(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    host = cloud.host(MEMORY_MB=512)
    instance = cloud.boot()

    def record(*args: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(choose, "record", record)
        with pytest.raises(RuntimeError):
            place.place([str(operation_of(instance).pk)])
    place.place([str(operation_of(instance).pk)])
    instance.refresh_from_db()
    assert cloud.host_of(instance) is host


# Builds at once.


def test_who_finds_all_hosts_building_waits_and_is_not_refused(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, time_machine: Time) -> None:
    set_env(monkeypatch, scheduler_builds_per_host=2)
    host = cloud.host()
    cloud.create(count=3)
    cloud.schedule()
    assert Instance.objects.filter(host_id=host.id).count() == 2
    waiting = Instance.objects.get(host_id=None)
    assert (waiting.state, operation_of(waiting).state, timeline(operation_of(waiting))) == ("BUILD", "queued", ["accepted", "hosts are busy"])
    first, second = host.commands()
    host.done(first)
    time_machine.forward(30)
    sweep.sweep(most=10)
    cloud.schedule()
    waiting.refresh_from_db()
    assert waiting.host_id == host.id
    host.done(second)
    cloud.run()
    assert Instance.objects.filter(state="ACTIVE").count() == 3
    for instance in Instance.objects.all():
        cloud.delete(instance)
    cloud.run()
    assert_nothing_is_claimed()


def test_a_host_where_builds_failed_lately_is_the_second_choice(cloud: Cloud) -> None:
    bad, good = cloud.host("bad", MEMORY_MB=20_000), cloud.host("good")
    instance, host, command = cloud.placed()
    assert host is bad
    host.failed(command)
    cloud.run()
    feed.forget()
    assert cloud.active()[1] is good
    with transaction.atomic():
        assert feed.current().facts()[bad.id]["failures"] == 1
