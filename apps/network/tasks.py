"""Control-plane Celery tasks of networks: hosts are to be told."""

from collections.abc import Sequence

from celery import shared_task, signals

from apps.common.batching import Batcher
from apps.network.services.tell import tell
from contracts import topics


def _tell(hints: list[None]) -> None:
    tell()


# What comes while hosts are being told is one hint more, however many come.
_batcher: Batcher[None] = Batcher(_tell, most=10_000)


@shared_task(name=topics.TELL_HOSTS)
def tell_hosts(nothing: Sequence[str] = ()) -> None:
    _batcher.put([None])


@signals.worker_shutdown.connect
def _finish(**_: object) -> None:
    _batcher.drain(10)
