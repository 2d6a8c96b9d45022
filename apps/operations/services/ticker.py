"""The ticker: periodic duties, each under a lease so that any number of tickers do it once."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import Error, connection

from apps.hosts.services import deltas, presence
from apps.identity.services import directory, leftovers
from apps.operations.services import leases, sweep

log = logging.getLogger(__name__)
# How long a duty of its own thread may take to come to its end.
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Duty:
    """Something to be done every so many seconds.

    `apart`: it waits for somebody else's server, so it has a thread of its own and holds up no other duty. `wanted`: asked at
    the start.
    """

    name: str
    every_s: float
    work: Callable[[], object]
    apart: bool = False
    wanted: Callable[[], bool] = lambda: True


def mark_silent_hosts() -> int:
    """Hosts that fell silent are down, and what ran on them is looked into now."""
    down = presence.mark_silent()
    if down:
        log.warning("%d host(s) fell silent", len(down))
        sweep.hosts_are_down(down)
    return len(down)


# Upper contexts add theirs at the start of the process.
DUTIES = [
    Duty("sweep", 1.0, sweep.sweep),
    Duty("silent hosts", 5.0, mark_silent_hosts),
    Duty("prune", 600.0, sweep.prune),
    Duty("prune host deltas", 60.0, deltas.prune),
    Duty("sign-in leftovers", 600.0, leftovers.prune),
    # When one is due is in its own row, so that it can be asked for; another ticker takes over within seconds.
    Duty("directory", 2.0, directory.sync_if_due, apart=True, wanted=directory.is_configured),
]


def run(stop: threading.Event, *, holder: str = "") -> None:
    """Until `stop`: do what is due. A database that is away is waited for."""
    holder = holder or f"{socket.gethostname()}:{os.getpid()}"
    duties = [duty for duty in DUTIES if duty.wanted()]
    apart = [
        threading.Thread(target=_alone, args=(duty, stop, holder), name=duty.name, daemon=True) for duty in duties if duty.apart
    ]
    for thread in apart:
        thread.start()
    _rounds([duty for duty in duties if not duty.apart], stop, holder)
    for thread in apart:
        thread.join(_PATIENCE_S)


def _alone(duty: Duty, stop: threading.Event, holder: str) -> None:
    try:
        _rounds([duty], stop, holder)
    finally:
        connection.close()


def _rounds(duties: Sequence[Duty], stop: threading.Event, holder: str) -> None:
    due = {duty.name: 0.0 for duty in duties}
    while not stop.is_set():
        for duty in duties:
            if time.monotonic() >= due[duty.name]:
                due[duty.name] = time.monotonic() + duty.every_s
                _do(duty, holder)
        stop.wait(max(0.05, min(due.values()) - time.monotonic()))


def _do(duty: Duty, holder: str) -> None:
    try:
        # Longer than the period, so that it stays with one ticker; short enough that another takes over soon.
        if leases.acquire(name=duty.name, holder=holder, seconds=duty.every_s * 2 + 3):
            duty.work()
    except Error as error:
        log.warning("%s: database: %s", duty.name, error)
        connection.close()
    except Exception:
        log.exception("%s failed; it is tried again in %s s", duty.name, duty.every_s)
