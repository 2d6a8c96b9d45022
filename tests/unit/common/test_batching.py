"""Batches: what comes in during one becomes the next; one bad item spoils no other."""

import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError

from apps.common.batching import Batcher

PATIENCE_S = 60.0


class Work:
    """Records its batches; `gate` holds it back, `fail` says which items cannot be worked on."""

    def __init__(self, fail: Callable[[int], Exception | None] = lambda item: None) -> None:
        self.batches: list[list[int]] = []
        self.done: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.at_once = 0
        self.most_at_once = 0
        self._fail = fail
        self._lock = threading.Lock()

    def __call__(self, items: list[int]) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        try:
            self.batches.append(list(items))
            for item in items:
                if error := self._fail(item):
                    raise error
            self.done += items
        finally:
            with self._lock:
                self.at_once -= 1


def test_one_item_on_an_idle_system_is_worked_on_at_once() -> None:
    work = Work()
    batcher = Batcher(work)
    batcher.put([1])
    assert batcher.drain(PATIENCE_S)
    assert work.batches == [[1]]


def test_what_comes_in_meanwhile_becomes_the_next_batch_in_order() -> None:
    work = Work()
    batcher = Batcher(work)
    work.gate.clear()
    batcher.put([0])
    assert work.entered.wait(PATIENCE_S)
    for item in range(1, 6):
        batcher.put([item])
    work.gate.set()
    assert batcher.drain(PATIENCE_S)
    assert work.batches == [[0], [1, 2, 3, 4, 5]]


def test_a_batch_is_no_larger_than_it_may_be() -> None:
    work = Work()
    batcher = Batcher(work, most=3)
    batcher.put(range(8))
    assert batcher.drain(PATIENCE_S)
    assert work.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_an_error_hits_only_the_item_that_caused_it() -> None:
    work = Work(lambda item: ValueError("bad") if item == 3 else None)
    batcher = Batcher(work)
    batcher.put(range(6))
    assert batcher.drain(PATIENCE_S)
    assert sorted(work.done) == [0, 1, 2, 4, 5]
    batcher.put([7])
    assert batcher.drain(PATIENCE_S)
    assert 7 in work.done


def test_a_database_that_went_away_is_not_hammered() -> None:
    """The sweep brings the items again."""
    work = Work(lambda item: OperationalError("gone") if item < 10 else None)
    batcher = Batcher(work)
    batcher.put(range(5))
    assert batcher.drain(PATIENCE_S)
    assert len(work.batches) == 1
    batcher.put([11])
    assert batcher.drain(PATIENCE_S)
    assert work.done == [11]


@pytest.mark.parametrize("most", [1, 7, 100])
def test_of_many_threads_nothing_is_lost_and_nothing_done_twice_or_at_once(most: int) -> None:
    work = Work()
    batcher = Batcher(work, most=most, backlog=50)

    def bring(first: int) -> None:
        for number in range(100):
            batcher.put([first + number])

    threads = [threading.Thread(target=bring, args=(first,)) for first in range(0, 800, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert batcher.drain(PATIENCE_S)
    assert sorted(work.done) == list(range(800))
    assert work.most_at_once == 1
    for first in range(0, 800, 100):
        mine = [item for item in work.done if first <= item < first + 100]
        assert mine == sorted(mine), "what one thread brings stays in order"


def test_a_full_backlog_makes_who_brings_more_wait() -> None:
    work = Work()
    batcher = Batcher(work, most=1, backlog=2)
    work.gate.clear()
    batcher.put([0])
    assert work.entered.wait(PATIENCE_S)
    batcher.put([1])
    batcher.put([2])
    brought = threading.Event()

    def bring() -> None:
        batcher.put([3])
        brought.set()

    thread = threading.Thread(target=bring)
    thread.start()
    assert not brought.wait(0.05)
    work.gate.set()
    assert brought.wait(PATIENCE_S)
    thread.join(PATIENCE_S)
    assert batcher.drain(PATIENCE_S)
    assert work.done == [0, 1, 2, 3]


def test_draining_says_when_it_took_too_long() -> None:
    work = Work()
    batcher = Batcher(work)
    assert batcher.drain(0)
    work.gate.clear()
    batcher.put([1])
    assert not batcher.drain(0.01)
    work.gate.set()
    assert batcher.drain(PATIENCE_S)
