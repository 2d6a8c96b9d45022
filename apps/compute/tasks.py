"""Control-plane Celery tasks of instances: the scheduler's entry."""

from collections.abc import Sequence

from celery import shared_task, signals

from apps.common.batching import Batcher
from contracts import topics


def _place(operation_ids: Sequence[str]) -> None:
    # Only schedulers have a use for numpy, which is 7 MB.
    from apps.compute.services.place import place

    place(operation_ids)


_batcher: Batcher[str] = Batcher(_place)


@shared_task(name=topics.PLACE)
def place(operation_ids: Sequence[str]) -> None:
    _batcher.put(operation_ids)


@signals.worker_shutdown.connect
def _finish(**_: object) -> None:
    _batcher.drain(10)
