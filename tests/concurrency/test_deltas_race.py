"""Whatever the order in which transactions begin, take their numbers and commit: a table of hosts misses none of them."""

import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from django.db import connection, transaction

from apps.common.context import SYSTEM
from apps.hosts.models import HostDelta
from apps.hosts.services import admission, deltas
from apps.placement.models import Inventory
from apps.placement.services import claims, inventories
from apps.scheduler.feed import Feed
from apps.scheduler.table import HostTable
from tests.support.cloud import Cloud
from tests.support.threads import PATIENCE_S, errors, together, undisturbed

HOSTS = 24


class Held(threading.Thread):
    """A transaction that has done its work, and commits when it is told to."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._work, self._ready, self._go, self._commits = work, threading.Event(), threading.Event(), True
        self.start()
        assert self._ready.wait(PATIENCE_S)

    def run(self) -> None:
        try:
            with transaction.atomic():
                self._work()
                self._ready.set()
                assert self._go.wait(PATIENCE_S)
                transaction.set_rollback(not self._commits)
        finally:
            self._ready.set()
            connection.close()

    def end(self, *, commits: bool = True) -> None:
        """Returns when it is committed, or rolled back."""
        self._commits = commits
        self._go.set()
        self.join(PATIENCE_S)
        assert not self.is_alive()


@contextmanager
def held(work: Callable[[], object]) -> Iterator[None]:
    """Within the block the transaction is under way."""
    thread = Held(work)
    try:
        yield
    finally:
        thread.end()


class Watched(Feed):
    """Says which hosts it has read again, and how often it has read everything."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = 0

    def _read_all(self) -> HostTable:
        self.whole += 1
        return super()._read_all()


def claim(host_id: uuid.UUID, **amounts: int) -> None:
    with transaction.atomic():
        assert claims.claim([claims.Claim(uuid.uuid4(), uuid.uuid4(), host_id, amounts)]) == set()


def disable(name: str) -> None:
    admission.set_enabled(actor=SYSTEM, name=name, enabled=False)


def reserve(host_id: uuid.UUID) -> None:
    inventories.adjust(actor=SYSTEM, provider_id=host_id, resource_class="VCPU", reserved=3)


@pytest.mark.parametrize("seed", range(3))
def test_transactions_that_commit_in_another_order_than_they_began_all_reach_the_table(cloud: Cloud, seed: int) -> None:
    chosen = random.Random(seed)
    made = [cloud.host(f"host-{number}") for number in range(HOSTS)]
    feed = Watched()
    feed.current()
    works: list[Callable[[], object]] = [
        chosen.choice([partial(claim, host.id, VCPU=5), partial(disable, host.name), partial(reserve, host.id)])
        for host in made[: HOSTS // 2]
    ]
    under_way = [Held(work) for work in works]
    others = made[HOSTS // 2 :]
    chosen.shuffle(under_way)
    for number, each in enumerate(under_way):
        claim(others[number].id, MEMORY_MB=512)  # one that begins and ends meanwhile
        feed.current(surely=chosen.random() < 0.5)
        each.end(commits=chosen.random() < 0.8)
        assert feed.current(surely=True).facts() == Feed().current().facts()
    assert feed.whole == 1


def test_what_a_long_transaction_keeps_others_from_forgetting_is_read_once_all_the_same(cloud: Cloud) -> None:
    """A backup, say: under way for an hour, while hosts change all the time."""
    first, second = cloud.host(), cloud.host()
    with held(lambda: claim(first.id, VCPU=1)):
        cursor = deltas.read(None).cursor
        claim(second.id, VCPU=1)
        news = deltas.read(cursor)
        assert news.changed == {second.id}
        assert deltas.read(news.cursor).changed == set()
    last = deltas.read(news.cursor)
    assert last.changed == {first.id}
    assert deltas.read(last.cursor).changed == set()


def test_what_the_own_transaction_notes_after_it_has_read_is_read_afterwards(cloud: Cloud) -> None:
    host, other = cloud.host(), cloud.host()
    with transaction.atomic():
        deltas.note([other.id])
        claim_elsewhere(host.id)  # so that its own number is not the newest
        cursor = deltas.read(None).cursor
        deltas.note([other.id])
    assert deltas.read(cursor).changed == {other.id}


def claim_elsewhere(host_id: uuid.UUID) -> None:
    assert errors(together([lambda: claim(host_id, VCPU=1)])) == []


def test_who_was_away_while_deltas_were_forgotten_reads_everything_even_if_only_a_late_one_is_missing(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, other = cloud.host(), cloud.host()
    feed = Watched()
    with held(lambda: claim(host.id, VCPU=5)):
        feed.current()
        claim(other.id, VCPU=1)
        feed.current(surely=True)
        monkeypatch.setattr(deltas, "KEPT_S", -60.0)
        deltas.prune()
        feed.current(surely=True)
        assert feed.whole == 1
    undisturbed()
    deltas.prune()
    assert not HostDelta.objects.exists()
    assert feed.current(surely=True).facts() == Feed().current().facts()
    assert feed.whole == 2


@pytest.mark.timeout(300)
def test_a_table_that_is_read_while_everybody_writes_is_true_in_the_end(cloud: Cloud) -> None:
    made = [cloud.host(f"host-{number}") for number in range(8)]
    feeds = [Watched() for _ in range(3)]
    done = threading.Event()

    def write(seed: int) -> None:
        chosen, mine = random.Random(seed), []
        for _ in range(60):
            with transaction.atomic():
                consumer = uuid.uuid4()
                if not claims.claim([claims.Claim(consumer, None, chosen.choice(made).id, {"VCPU": 1, "MEMORY_MB": 64})]):
                    mine.append(consumer)
                    if chosen.random() < 0.2:
                        transaction.set_rollback(True)
                        mine.remove(consumer)
            if len(mine) > 4:
                with transaction.atomic():
                    claims.release([mine.pop(chosen.randrange(len(mine)))])

    def read(feed: Watched) -> None:
        while not done.is_set():
            feed.current(surely=True)

    def write_all() -> None:
        try:
            assert errors(together([partial(write, seed) for seed in range(4)])) == []
        finally:
            done.set()

    assert errors(together([write_all, *(partial(read, feed) for feed in feeds)], patience_s=200)) == []
    anew = Feed().current().facts()
    assert sum(row.used for row in Inventory.objects.filter(resource_class="VCPU")) > 0
    for feed in feeds:
        assert feed.current(surely=True).facts() == anew
        assert feed.whole == 1
