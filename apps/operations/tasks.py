"""Control-plane Celery tasks: the conductor's entries, one line of work behind them."""

from collections.abc import Sequence

from celery import shared_task, signals

from apps.common.batching import Batcher
from apps.operations.services.intake import take_in_many
from contracts import topics

_batcher: Batcher[tuple[str, str]] = Batcher(take_in_many, most=200)


@shared_task(name=topics.REPORT)
def report(wires: Sequence[str]) -> None:
    _batcher.put((topics.REPORT, wire) for wire in wires)


@shared_task(name=topics.HELLO)
def hello(wires: Sequence[str]) -> None:
    _batcher.put((topics.HELLO, wire) for wire in wires)


@shared_task(name=topics.HEARTBEAT)
def heartbeat(wires: Sequence[str]) -> None:
    _batcher.put((topics.HEARTBEAT, wire) for wire in wires)


@shared_task(name=topics.OBSERVATION)
def observation(wires: Sequence[str]) -> None:
    _batcher.put((topics.OBSERVATION, wire) for wire in wires)


@shared_task(name=topics.NETWORK)
def network(wires: Sequence[str]) -> None:
    _batcher.put((topics.NETWORK, wire) for wire in wires)


@signals.worker_shutdown.connect
def _finish(**_: object) -> None:
    _batcher.drain(10)
