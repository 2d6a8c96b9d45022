"""One piece of work on an image, from taking the operation to its end, whatever that is. Called by workers only."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from apps.common import clock, vault
from apps.common.errors import CloudError, Invalid, Unavailable
from apps.images import workrooms
from apps.images.digests import Hashed
from apps.images.names import CONVERT
from apps.images.services import arrivals
from apps.operations.services import lifecycle, workers
from apps.operations.services.lifecycle import Note
from apps.operations.services.workers import Lost, Turn
from apps.operations.states import OpState
from contracts import topics

if TYPE_CHECKING:
    from apps.operations.models import Operation

log = logging.getLogger(__name__)
_MIB = 1024**2
# A timeline entry for every so many percent.
_STEP_PERCENT = 10


class Interrupted(Exception):
    """The worker is to end: somebody else does it, from the start."""


def message(operation_id: uuid.UUID, orders: dict[str, Any]) -> str:
    """What a worker is to do. Sealed: URLs may be signed, and brokers are read by many."""
    return f"{operation_id} {vault.seal(msgspec.json.encode(orders).decode())}"


def orders_of(turn: Turn) -> dict[str, Any]:
    """The opposite. Raises Unavailable `vault.key_missing`."""
    orders: dict[str, Any] = msgspec.json.decode(vault.open(turn.message.partition(" ")[2]))
    return orders


def operation_in(message: str) -> uuid.UUID | None:
    """Which operation a message is about; None for nonsense."""
    with contextlib.suppress(ValueError):
        return uuid.UUID(message.partition(" ")[0])
    return None


@dataclass
class Watch:
    """Keeps the operation alive while it is worked on, writes down how far it is, and ends what must not go on.

    `limit_s`: longest time since the first try began; `stop`: whether the worker is to end.
    """

    turn: Turn
    limit_s: float
    stop: Callable[[], bool]
    _beat_at: float = 0.0
    _heard_at: float = 0.0
    _told: float = 0.0
    _expected: int = -1

    def tick(self) -> None:
        """Raises Interrupted, Lost, NotFound (the image is gone), Invalid `image.work_timeout`."""
        if self.stop():
            raise Interrupted
        now, silent_s = time.monotonic(), settings.ENV.image_worker_silent_s
        if now < self._beat_at:
            return
        try:
            self._look(silent_s)
        except (OperationalError, InterfaceError) as error:
            # The database is away: as long as nobody can have taken the operation, the work goes on.
            log.warning("database: %s", error)
            connection.close()
            if now - self._heard_at > silent_s:
                raise Lost from error
        else:
            self._heard_at = now
        self._beat_at = now + min(5.0, silent_s / 4)

    def _look(self, silent_s: float) -> None:
        workers.alive(self.turn, silent_s=silent_s)
        if not arrivals.is_awaited(self.turn.resource_id):
            raise arrivals.gone()
        if (clock.now() - self.turn.started_at).total_seconds() > self.limit_s:
            raise Invalid("image.work_timeout", f"It took longer than {self.limit_s:.0f} s.")

    def expect(self, size_bytes: int) -> None:
        """So large it will be. Raises QuotaExceeded, Invalid."""
        if size_bytes != self._expected:
            arrivals.expect(self.turn.resource_id, size_bytes)
            workers.note(self.turn, "size known", _amount(size_bytes))
            self._expected = size_bytes

    def progress(self, done: int, total: int | None) -> None:
        """So many bytes are there: a timeline entry for every tenth, or each time that it has doubled."""
        if total:
            self.percent(100.0 * done / total, _amount(total))
        elif done >= max(2 * self._told, 64 * _MIB):
            self._told = done
            workers.note(self.turn, "progress", _amount(done))
        self.tick()

    def percent(self, percent: float, of: str = "") -> None:
        """So much of it is done."""
        step = percent // _STEP_PERCENT * _STEP_PERCENT
        if step > self._told:
            self._told = step
            workers.note(self.turn, "progress", f"{step:.0f} %" + (f" of {of}" if of else ""))

    def broke(self, reason: str, done: int) -> None:
        """A transfer broke off and is tried again."""
        workers.note(self.turn, "broke off", f"after {_amount(done)}: {reason}")


Stop = Callable[[], bool]
Job = Callable[[Turn, Stop], None]


def run_next(jobs: Mapping[str, Job], *, stop: Stop, rank: Callable[[uuid.UUID | None], float]) -> Turn | None:
    """Take the next operation and have the job of its kind carry it out to its end; None if there is none.

    `stop`: asked by jobs whether the worker is to end; `rank`: see `workers.take`.
    """
    turn = workers.take(queue=topics.IMAGES, silent_s=settings.ENV.image_worker_silent_s, rank=rank)
    if turn is None:
        return None
    workrooms.clear()
    with _ended(turn):
        jobs[turn.kind](turn, stop)
    return turn


@contextlib.contextmanager
def _ended(turn: Turn) -> Iterator[None]:
    """Every way in which a job can end has one in which the operation does."""
    try:
        yield
    except Lost:
        log.warning("operation %s (%s) is not ours any more", turn.operation_id, turn.kind)
    except Interrupted:
        with contextlib.suppress(Lost):
            workers.put_back(turn, "its worker was stopped")
    except CloudError as error:
        _fail(turn, error)
    except (OperationalError, InterfaceError) as error:
        log.warning("database: %s; the sweep will bring operation %s again", error, turn.operation_id)
        connection.close()
    except Exception:
        log.exception("operation %s (%s) cannot be carried out", turn.operation_id, turn.kind)
        _fail(turn, CloudError("image.work", "The image worker ran into an error of its own; its log says more."))


def _fail(turn: Turn, error: CloudError) -> None:
    with contextlib.suppress(Lost), transaction.atomic():
        fail(workers.lock(turn), error)


def fail(operation: Operation, error: CloudError) -> None:
    """Close a locked operation; its image waits for data again, or is gone if it was made for nothing else."""
    lifecycle.fail(operation, error)
    lifecycle.write([Note(operation.pk, workers.SOURCE, "failed", error.message)])
    (arrivals.discard if operation.kind == CONVERT else arrivals.give_up)(operation.resource_id)


def unanswered(operation: Operation, most_attempts: int) -> None:
    """Nobody is at it any more, or nobody ever was: tried again, or the end."""
    # On a file system that others share, their rooms are locked.
    transaction.on_commit(workrooms.clear)
    if operation.state == OpState.QUEUED:
        fail(operation, Unavailable("image.no_worker", "No image worker took this up in time: is worker-images running?"))
    elif operation.attempt < most_attempts:
        workers.again(operation, "its worker is silent")
    else:
        fail(operation, Unavailable("image.worker_silent", f"Its worker fell silent {operation.attempt} times."))


def complete(turn: Turn, path: Path, hashed: Hashed) -> None:
    """Make this file the content of the image that the operation is about, and close the operation. Raises Lost, and what
    `arrivals.complete` raises."""
    arrivals.complete(turn.resource_id, path, **asdict(hashed), close=lambda: _succeed(turn, hashed))


def _succeed(turn: Turn, hashed: Hashed) -> None:
    operation = workers.lock(turn)
    lifecycle.succeed([operation], {"sha256": hashed.sha256, "size_bytes": hashed.size_bytes})
    workers.note(turn, "finished", f"{_amount(hashed.size_bytes)}, SHA-256 {hashed.sha256}")


def _amount(size_bytes: float) -> str:
    return f"{size_bytes / 1024**3:.1f} GiB" if size_bytes >= 1024**3 else f"{size_bytes / _MIB:.1f} MiB"
