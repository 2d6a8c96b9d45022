"""Decisions: how long they are kept, and how operators read them in the shell and in the admin."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.common import clock
from apps.compute.models import Instance
from apps.hosts.models import Host
from apps.hosts.services import deltas
from apps.operations.services import ticker
from apps.placement.models import Allocation
from apps.scheduler import selectors as scheduler
from apps.scheduler.models import Decision
from apps.scheduler.services import choose, decisions
from tests.support.cloud import Cloud
from tests.support.commands import as_json, run
from tests.support.identity import give, make_user
from tests.support.tables import make_request

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def refused(cloud: Cloud) -> Instance:
    """Nothing fits: one host is too small, and one that is not is disabled."""
    cloud.host("small", MEMORY_MB=256)
    off = cloud.host("off")
    Host.objects.filter(pk=off.id).update(enabled=False)
    deltas.note([off.id])
    instance = cloud.boot()
    cloud.schedule()
    return instance


# How long.


def test_decisions_are_forgotten_after_their_time_in_batches(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "_AT_ONCE", 3)
    rows = [Decision.objects.create(instance_id=cloud.project.pk) for _ in range(9)]
    old = clock.now() - timedelta(days=30, minutes=1)
    Decision.objects.filter(pk__in=[row.pk for row in rows[:7]]).update(at=old)
    Decision.objects.filter(pk=rows[7].pk).update(at=old + timedelta(minutes=2))
    with CaptureQueriesContext(connection) as queries:
        assert decisions.prune() == 7
    assert sum(query["sql"].startswith("DELETE") for query in queries) == 3
    assert list(Decision.objects.order_by("pk").values_list("pk", flat=True)) == [rows[7].pk, rows[8].pk]
    assert decisions.prune() == 0


def test_the_ticker_forgets_them() -> None:
    assert [duty.work for duty in ticker.DUTIES if duty.name == "prune decisions"] == [decisions.prune]


# The shell.


def test_the_shell_draws_the_funnel_and_says_what_would_help(cloud: Cloud, refused: Instance) -> None:
    code, text = run("scheduling_explain", refused.name, "--project", cloud.project.name)
    assert code == 0
    for part in (
        "No host was chosen.", "looked at", "█", "░", "1 host with enough is disabled: off", "enable one: manage.py host_enable off",
        "memory: needs 512 MiB, best free 256 MiB on small in zone default", "free 256 MiB of memory on small",
    ):
        assert part in text, text
    (decision,) = scheduler.decisions(refused.pk)
    assert as_json("scheduling_explain", str(refused.pk)) == as_json("scheduling_explain", str(decision.pk))
    assert as_json("scheduling_explain", str(decision.pk))[0]["nearest"][0]["fix"].startswith("enable one")


def test_the_shell_asks_without_deciding(cloud: Cloud, refused: Instance) -> None:
    count = Decision.objects.count()
    project = ("--project", cloud.project.name)
    code, text = run("scheduling_explain", "--flavor", cloud.flavor.name, *project)
    assert code == 1 and "No host was chosen." in text and "1 host with enough is disabled: off" in text
    cloud.host("large")
    code, text = run("scheduling_explain", "--flavor", cloud.flavor.name, "--image", cloud.image.name, "--count", "2", *project)
    assert code == 0 and "2 of 2 would get a host." in text and "large was chosen" in text and "weights of the best" in text
    assert as_json("scheduling_explain", "--resource", "VCPU=1", "--resource", "MEMORY_MB=300", *project)["host_names"] == ["large"]
    assert (Decision.objects.count(), Allocation.objects.count()) == (count, 0)


@pytest.mark.parametrize("words", [(), ("web", "--flavor", "tiny")])
def test_the_shell_asks_what_is_meant(cloud: Cloud, words: tuple[str, ...]) -> None:
    code, text = run("scheduling_explain", *words)
    assert code != 0 and "Give an instance or a decision" in text


# The admin.


@pytest.fixture
def operator(transactional_db: None) -> Client:
    client = Client()
    user = make_user("boss")
    give(user, "operator")
    client.force_login(user)
    return client


def test_the_admin_draws_funnel_weights_and_nearest_misses(cloud: Cloud, refused: Instance, operator: Client) -> None:
    cloud.host("large")
    placed, *_ = cloud.active()
    (why_not,), (why,) = scheduler.decisions(refused.pk), scheduler.decisions(placed.pk)
    for address in (reverse("admin:scheduler_decision_change", args=[why_not.pk]), reverse("admin:compute_instance_change", args=[refused.pk])):
        page = operator.get(address).content.decode()
        for part in ("The nearest misses", "1 host with enough is disabled: off", "host_enable off", "Hosts, filter by filter", "No host was chosen."):
            assert part in page
    page = operator.get(reverse("admin:scheduler_decision_change", args=[why.pk])).content.decode()
    for part in ("The best by weight", "large was chosen", "1 left, 1 refused"):
        assert part in page
    assert "large: 1 of 3 hosts fit" in operator.get(reverse("admin:compute_instance_change", args=[placed.pk])).content.decode()


def test_many_equal_requests_share_their_verdicts(cloud: Cloud) -> None:
    """Told once, though each has its own row."""
    for _ in range(3):
        cloud.host()
    chosen = choose.choose([make_request(project_id=cloud.project.pk) for _ in range(5)], kept=False)
    choose.record([(each.request.instance_id, each) for each in chosen])
    rows = list(Decision.objects.all())
    assert len(rows) == 5 and len({row.verdicts for row in rows}) == 1
