"""Control-plane Celery tasks of instances: the scheduler's entry."""

from collections.abc import Sequence

from celery import shared_task, signals

from apps.common.batching import Batcher
from apps.compute.services.place import place as place_operations
from contracts import topics

_batcher: Batcher[str] = Batcher(place_operations)


@shared_task(name=topics.PLACE)
def place(operation_ids: Sequence[str]) -> None:
    _batcher.put(operation_ids)


@signals.worker_shutdown.connect
def _finish(**_: object) -> None:
    _batcher.drain(10)
