"""The ticker: periodic duties, each under a lease so that any number of tickers do it once."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import Error, connection

from apps.hosts.services import presence
from apps.identity.services import leftovers
from apps.operations.services import leases, sweep

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Duty:
    """Something to be done every so many seconds."""

    name: str
    every_s: float
    work: Callable[[], object]


def mark_silent_hosts() -> int:
    """Hosts that fell silent are down, and what ran on them is looked into now."""
    down = presence.mark_silent()
    if down:
        log.warning("%d host(s) fell silent", len(down))
        sweep.hosts_are_down(down)
    return len(down)


DUTIES = (
    Duty("sweep", 1.0, sweep.sweep),
    Duty("silent hosts", 5.0, mark_silent_hosts),
    Duty("prune", 600.0, sweep.prune),
    Duty("sign-in leftovers", 600.0, leftovers.prune),
)


def run(stop: threading.Event, *, holder: str = "") -> None:
    """Until `stop`: do what is due. A database that is away is waited for."""
    holder = holder or f"{socket.gethostname()}:{os.getpid()}"
    due = {duty.name: 0.0 for duty in DUTIES}
    while not stop.is_set():
        for duty in DUTIES:
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
