"""Brings hosts to their desired state: when it changed, when something happened on the host, and every few seconds.

Changes that come while a host is being converged are taken together by the next run. What came of it is told at most once
a second; a host that has no state, or missed a change, asks for the whole.
"""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog

from agent.drivers.base import DriverError, Network, Outcome
from agent.network.check import sensible
from agent.network.desired import KINDS, Desired, Stale
from agent.network.store import StateFile
from agent.runtime import HostRuntime
from contracts import topics
from contracts.envelope import Envelope, Kind, pack
from contracts.network import v2 as network

log = structlog.get_logger(__name__)

EVERY_S: Final = 10.0
TELL_EVERY_S: Final = 1.0
# What was told may have been lost.
TELL_ANEW_S: Final = 120.0
ASK_EVERY_S: Final = 5.0
# Messages overtake each other: a change whose base is not here yet waits this long for it.
EARLY_S: Final = 1.0
MOST_WORKERS: Final = 8
# Of problems, and of what was mended, in one report: no more is kept of them there, and a report has a largest size.
MOST_TOLD: Final = 200
NEVER: Final = float("inf")

Announce = Callable[[str, list[str]], bool]


@dataclass(eq=False)
class _Site:
    """One host. Times are monotonic seconds; guarded by the converger's condition, `driver` used by one worker at a time."""

    host: HostRuntime
    driver: Network
    file: StateFile | None
    desired: Desired = field(default_factory=Desired)
    nonsense: dict[str, network.Problem] = field(default_factory=dict)  # by id of what was left out
    saved: int = 0  # generation that is in the file
    early: dict[int, tuple[network.Change, float]] = field(default_factory=dict)
    converge_at: float = 0.0
    tell_at: float = NEVER
    ask_at: float = NEVER
    busy: bool = False
    news: network.Told | None = None  # still to be told
    told: network.Told | None = None  # last told, without what was mended
    told_at: float = -NEVER

    def due_at(self) -> float:
        return NEVER if self.busy else min(self.converge_at, self.tell_at, self.ask_at)


class Converger:
    """All hosts of the process. `announce(topic, wires)` publishes, best effort."""

    def __init__(self, hosts: list[HostRuntime], announce: Announce, *, state_dir: Path | None) -> None:
        """`state_dir`: where the state of the one host is kept; None: nowhere, it is asked for at every start."""
        self._announce = announce
        self._condition = threading.Condition()
        self._sites: dict[str, _Site] = {}
        # When to look at which site. Of one site there may be several entries: what it says itself when its time has come counts.
        self._agenda: list[tuple[float, int, _Site]] = []
        self._entries = itertools.count()
        for host in hosts:
            driver = host.hypervisor.network()
            if driver is not None:
                file = StateFile(state_dir / "network" / "desired.json") if state_dir else None
                desired = file.load() if file else Desired()
                self._sites[host.id] = _Site(host, driver, file, desired, saved=desired.generation)
                driver.wake = partial(self.wake, host.id)
        self._pool = ThreadPoolExecutor(min(MOST_WORKERS, len(self._sites) or 1), thread_name_prefix="network")
        self._thread = threading.Thread(target=self._loop, name="converger", daemon=True)
        self._stopping = False
        self._outbox: list[tuple[_Site, network.Told]] = []
        self._sending = threading.Lock()

    def start(self) -> None:
        with self._condition:
            for site in self._sites.values():
                self._plan(site)
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the threads; what is under way gets `timeout_s` seconds. Nothing on the hosts is taken down."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def generation(self, host_id: str) -> int:
        """Of the desired state that the host has; 0 for none."""
        site = self._sites.get(host_id)
        return site.desired.generation if site else 0

    def desired(self, host_id: str) -> Desired:
        """What the host was last told; generation 0 before that."""
        site = self._sites.get(host_id)
        return site.desired if site else Desired()

    def wake(self, host_id: str) -> None:
        """Something happened on the host: converge now instead of at the next turn."""
        with self._condition:
            if site := self._sites.get(host_id):
                site.converge_at = 0.0
                self._plan(site)

    def ask(self, host_id: str) -> None:
        """Have the control plane tell the whole state."""
        with self._condition:
            if site := self._sites.get(host_id):
                site.ask_at = min(site.ask_at, time.monotonic())
                self._plan(site)

    def replace(self, host_id: str, state: network.State) -> None:
        """Take a whole state, unless a newer one is here."""
        with self._condition:
            site = self._sites.get(host_id)
            if site is None:
                return
            if state.generation < site.desired.generation:
                log.info("network.state_old", host=site.host.name, told=state.generation, has=site.desired.generation)
                site.news, site.tell_at = _told(site), site.told_at + TELL_EVERY_S
            else:
                objects, problems = sensible(state.objects)
                site.nonsense = {problem.object: problem for problem in problems}
                site.desired = Desired.of(msgspec.structs.replace(state, objects=objects))
                site.ask_at = NEVER
                self._changed(site)
            self._plan(site)

    def change(self, host_id: str, change: network.Change) -> None:
        """Take a change; one that does not fit waits a moment for what is missing, then the whole state is asked for."""
        with self._condition:
            site = self._sites.get(host_id)
            if site is None or change.generation <= site.desired.generation:
                return
            try:
                self._apply(site, change)
            except Stale:
                site.early[change.base] = (change, time.monotonic() + EARLY_S)
                site.ask_at = min(site.ask_at, time.monotonic() + EARLY_S)
            else:
                self._changed(site)
            self._plan(site)

    @staticmethod
    def _apply(site: _Site, change: network.Change) -> None:
        objects, problems = sensible(change.objects)
        site.desired = site.desired.changed(msgspec.structs.replace(change, objects=objects))
        named = {id_ for kind in KINDS for id_ in (*getattr(change.gone, kind), *(o.id for o in getattr(change.objects, kind)))}
        site.nonsense = {id_: one for id_, one in site.nonsense.items() if id_ not in named}
        site.nonsense |= {problem.object: problem for problem in problems}

    def _changed(self, site: _Site) -> None:
        while site.desired.generation in site.early:
            self._apply(site, site.early.pop(site.desired.generation)[0])
        now = time.monotonic()
        site.early = {
            base: (change, until)
            for base, (change, until) in site.early.items()
            if base > site.desired.generation and until > now
        }
        if not site.early:
            site.ask_at = NEVER
        site.converge_at = 0.0

    def _plan(self, site: _Site) -> None:
        """Have it looked at when it is due; under the condition, by whoever changed its times or has done with it."""
        if (due_at := site.due_at()) < NEVER:
            heapq.heappush(self._agenda, (due_at, next(self._entries), site))
            self._condition.notify()

    def _loop(self) -> None:
        while True:
            with self._condition:
                if self._stopping:
                    return
                ready = self._ready(time.monotonic())
                if not ready:
                    self._condition.wait(self._agenda[0][0] - time.monotonic() if self._agenda else None)
                    continue
            for site in ready:
                try:
                    self._pool.submit(self._work, site)
                except RuntimeError:
                    return  # stopped meanwhile

    def _ready(self, now: float) -> list[_Site]:
        """The sites that are due, busy from here on."""
        ready = []
        while self._agenda and self._agenda[0][0] <= now:
            site = heapq.heappop(self._agenda)[2]
            if site.due_at() <= now:
                site.busy = True
                ready.append(site)
        return ready

    def _work(self, site: _Site) -> None:
        try:
            self._converge(site)
            self._tell(site)
        except Exception:
            log.exception("network.converger_failed", host=site.host.name)
            with self._condition:
                site.converge_at = time.monotonic() + TELL_EVERY_S
        finally:
            with self._condition:
                site.busy = False
                self._plan(site)

    def _converge(self, site: _Site) -> None:
        with self._condition:
            began = time.monotonic()
            if site.converge_at > began:
                return
            site.converge_at = began + EVERY_S
            desired = site.desired
            if not desired.generation:
                # Nothing was told yet, so nothing is known to be superfluous either.
                site.ask_at = min(site.ask_at, began)
                return
        if site.file and site.saved != desired.generation:
            try:
                site.file.save(desired)
                site.saved = desired.generation
            except OSError as error:
                log.warning("network.state_not_saved", host=site.host.name, reason=str(error))
        outcome = _converged(site.driver, desired)
        told = network.Told(
            generation=desired.generation,
            took_ms=round((time.monotonic() - began) * 1000, 1),
            problems=[*site.nonsense.values(), *outcome.problems][:MOST_TOLD],
            mended=outcome.mended,
        )
        with self._condition:
            if outcome.mended or _lasting(told) != site.told or began - site.told_at > TELL_ANEW_S:
                earlier = site.news.mended if site.news else []
                site.news = msgspec.structs.replace(told, mended=[*earlier, *told.mended][-MOST_TOLD:])
                site.tell_at = site.told_at + TELL_EVERY_S

    def _tell(self, site: _Site) -> None:
        with self._condition:
            now = time.monotonic()
            news = None
            if site.tell_at <= now and site.news:
                news, site.news = site.news, None
            if site.ask_at <= now:
                news = msgspec.structs.replace(news or _told(site), asks=True)
                site.early.clear()
                site.ask_at = now + ASK_EVERY_S
            if news is None:
                return
            site.tell_at = NEVER
            self._outbox.append((site, news))
        self._send()

    def _send(self) -> None:
        """Publish what is in the outbox; threads that come at the same time have theirs taken along by one."""
        with self._sending:
            with self._condition:
                batch, self._outbox = self._outbox, []
            if not batch:
                return
            done = self._announce(topics.NETWORK, [_seal(site.host, told) for site, told in batch])
            with self._condition:
                for site, told in batch:
                    site.told_at = time.monotonic()
                    if done:
                        site.told = _lasting(told)
                    else:
                        site.news = site.news or msgspec.structs.replace(told, asks=False)
                        site.tell_at = site.told_at + TELL_EVERY_S
                    self._plan(site)


def _converged(driver: Network, desired: Desired) -> Outcome:
    try:
        return driver.converge(desired)
    except DriverError as error:
        problem = network.Problem(code=error.code, message=str(error))
    except Exception as error:
        log.exception("network.converge_failed")
        problem = network.Problem(code="network.failed", message=f"{type(error).__name__}: {error}")
    return Outcome(problems=[problem])


def _told(site: _Site) -> network.Told:
    """The last news once more."""
    return site.told or network.Told(generation=0)


def _lasting(told: network.Told) -> network.Told:
    """What makes two of them say the same."""
    return network.Told(generation=told.generation, problems=told.problems)


def _seal(host: HostRuntime, told: network.Told) -> str:
    return host.sealer.seal(Envelope(topic=topics.NETWORK, host=host.id, body=pack(told)), Kind.REPORT)
