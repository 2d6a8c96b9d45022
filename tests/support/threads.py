"""Real threads, let go at the same moment, each with a database connection of its own."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, transaction

from apps.common.batching import Batcher

PATIENCE_S = 100.0
_STORM_S, _LONGEST_STORM_S = 4.0, 40.0
_END = object()


class Worker:
    """A worker process as far as its batches go: what PostgreSQL rolled back because of a deadlock is tried again."""

    def __init__(self, work: Callable[[list[Any]], None], *, most: int = 100) -> None:
        def run(items: list[Any]) -> None:
            # The thread of a batcher never ends; its database connection can.
            connection.close() if items == [_END] else work(items)

        self._batcher: Batcher[Any] = Batcher(run, most=most)

    def put(self, items: Iterable[Any]) -> None:
        self._batcher.put(items)

    def finish(self) -> None:
        """Returns when everything is worked on."""
        assert self._batcher.drain(PATIENCE_S)
        self._batcher.put([_END])
        assert self._batcher.drain(PATIENCE_S)


def until_enough(done: Mapping[str, int], least: int) -> Callable[[], bool]:
    """Whether to go on: for a few seconds from now, and longer where the machine is too slow to do more than `least` of each in that time."""
    began = time.monotonic()

    def going() -> bool:
        passed = time.monotonic() - began
        return passed < _STORM_S or (passed < _LONGEST_STORM_S and min(done.values()) <= least)

    return going


def together(calls: Sequence[Callable[[], Any]], *, patience_s: float = PATIENCE_S) -> list[Any]:
    """Run all at once; their results in order, an exception in the place of a result where one was raised."""
    results: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(position: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(PATIENCE_S)
            results[position] = calls[position]()
        except BaseException as error:
            results[position] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(position,), daemon=True) for position in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience_s)
    assert not any(thread.is_alive() for thread in threads), "some threads do not come to an end"
    return results


def errors(results: Sequence[Any]) -> list[BaseException]:
    return [result for result in results if isinstance(result, BaseException)]


def unexpected(results: Sequence[Any], *expected: type[BaseException]) -> list[BaseException]:
    """The errors that are not of these types."""
    return [error for error in errors(results) if not isinstance(error, expected)]


def one_within_the_other(first: Callable[[], object], second: Callable[[], Any]) -> Any:
    """`second` begins when `first` has done everything but commit, which comes when the other has ended, or waits for it; its result."""
    ended = threading.Event()
    results: list[Any] = []

    def run() -> None:
        results.extend(together([second]))
        ended.set()

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(cursor.fetchone()[0])

    thread = threading.Thread(target=run)
    with transaction.atomic():
        first()
        thread.start()
        while not ended.wait(0.01) and not waits():
            pass
    thread.join()
    assert errors(results) == []
    return results[0]


def undisturbed() -> None:
    """Returns when no transaction is under way: PostgreSQL begins some by itself, to gather statistics."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot()) = pg_snapshot_xmax(pg_current_snapshot())")
            if cursor.fetchone()[0]:
                return
            time.sleep(0.01)
