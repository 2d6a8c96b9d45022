"""The way of reports to the conductor: at once when the broker is there, later out of the journal when it is not.

Threads that have something to report at the same moment do not queue up to publish one message each: whoever finds the
publisher free takes along what all others have left, at most BATCH reports per message.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from agent.broker import BrokerDown
from agent.journal import Journal
from agent.periodic import Periodic
from contracts import topics

log = structlog.get_logger(__name__)

BATCH: Final = 100
# After a failure nobody but the background thread tries again before this many seconds have passed.
RETRY_S: Final = 1.0
PRUNE_EVERY_S: Final = 3600.0

Publish = Callable[[str, list[str]], None]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A sealed report. `entry`: where the journal keeps it already. `keep` False: not worth a second try."""

    wire: str
    entry: int | None = None
    keep: bool = True


class Reporter:
    """Sends reports; any thread may call. `publish(topic, wires)` raises BrokerDown, in bounded time."""

    def __init__(self, publish: Publish, journal: Journal) -> None:
        self._publish = publish
        self._journal = journal
        self._mutex = threading.Lock()  # guards the collections; held for moments
        self._publishing = threading.Lock()  # held while talking to the broker
        self._pending: list[Outgoing] = []
        self._in_hand: set[int] = set()  # journal entries that are pending or being published
        self._delivered: list[int] = []  # journal entries that are still marked unsent
        self._backlog = True  # there may be unsent reports of an earlier life
        self._down_until = 0.0
        self._down = False
        self._pruned = time.monotonic()
        self._thread = Periodic("reporter", 0.5, self.tend)
        self.when_connected: list[Callable[[], object]] = []
        self.published = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Publish what can be published, then stop; the journal keeps the rest."""
        self._thread.stop()
        self.tend()

    @property
    def down(self) -> bool:
        """True from a failed attempt to the next successful one."""
        return self._down

    def send(self, reports: Iterable[Outgoing]) -> None:
        """Publish soon: now, by this thread, unless another is at it or the broker is known to be down."""
        with self._mutex:
            for report in reports:
                self._pending.append(report)
                if report.entry is not None:
                    self._in_hand.add(report.entry)
        if self._down and time.monotonic() < self._down_until:
            self._set_aside()
            return
        self._drain()

    def announce(self, topic: str, wires: list[str]) -> bool:
        """Publish what is worthless later (hello, heartbeat, observation). False if it did not work."""
        with self._publishing:
            batches = (wires[start : start + BATCH] for start in range(0, len(wires), BATCH))
            done = all(self._attempt(topic, batch) for batch in batches)
        self._drain()  # what others left meanwhile, because they found the lock taken
        return done

    def tend(self) -> None:
        """The background work: forget what was delivered, retry what was not, prune the journal now and then."""
        with self._mutex:
            delivered, self._delivered = self._delivered, []
        if delivered:
            self._journal.sent(delivered)
            with self._mutex:
                self._in_hand.difference_update(delivered)
        self._drain()
        if self._backlog and not (self._down and time.monotonic() < self._down_until):
            self._resend()
        if time.monotonic() - self._pruned > PRUNE_EVERY_S:
            self._pruned = time.monotonic()
            self._journal.prune()

    def _drain(self) -> None:
        # Whoever adds to _pending and finds the lock taken may leave: its holder looks again after letting go.
        while self._pending and self._publishing.acquire(blocking=False):
            try:
                with self._mutex:
                    batch, self._pending = self._pending[:BATCH], self._pending[BATCH:]
                if not batch:
                    continue
                if not self._attempt(topics.REPORT, [report.wire for report in batch]):
                    with self._mutex:
                        self._pending = batch + self._pending
                    self._set_aside()
                    return
                with self._mutex:
                    self._delivered.extend(report.entry for report in batch if report.entry is not None)
            finally:
                self._publishing.release()

    def _set_aside(self) -> None:
        """Leave everything that is pending to the journal."""
        with self._mutex:
            aside, self._pending = self._pending, []
        homeless = [report.wire for report in aside if report.entry is None and report.keep]
        if homeless:
            self._journal.keep(homeless)
        with self._mutex:
            self._in_hand.difference_update(report.entry for report in aside if report.entry is not None)
            self._backlog = True

    def _resend(self) -> None:
        """Publish unsent reports of the journal, oldest first, until none is left or the broker fails."""
        while True:
            with self._mutex:
                in_hand = set(self._in_hand)
                self._backlog = False
            rows = [row for row in self._journal.unsent(BATCH + len(in_hand)) if row[0] not in in_hand][:BATCH]
            if not rows:
                return
            self._backlog = True
            with self._publishing:
                done = self._attempt(topics.REPORT, [wire for _, wire in rows])
            if not done:
                return
            self._drain()
            self._journal.sent(entry for entry, _ in rows)

    def _attempt(self, topic: str, wires: list[str]) -> bool:
        """One message, one try. The caller holds _publishing."""
        try:
            self._publish(topic, wires)
        except BrokerDown as error:
            if not self._down:
                log.warning("broker.down", reason=str(error))
            self._down = True
            self._down_until = time.monotonic() + RETRY_S
            return False
        self.published += 1
        if self._down:
            self._down = False
            log.info("broker.up")
            for notify in self.when_connected:
                notify()
        return True
