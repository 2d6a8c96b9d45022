"""Control-plane Celery tasks of networks: hosts are to be told."""

from collections.abc import Sequence

from celery import shared_task, signals

from apps.common.batching import Batcher
from apps.network.services.tell import tell
from contracts import topics


def _tell(hints: list[None]) -> None:
    tell()


# What comes shortly after a first hint is told with it: a burst of boots in one network would else cost all of its hosts a message
# for each boot. (A guest needs longer to ask for its address.) So however much changes, hosts are told once a second at most.
_batcher: Batcher[None] = Batcher(_tell, most=10_000, company_s=0.1, apart_s=1.0)


@shared_task(name=topics.TELL_HOSTS)
def tell_hosts(nothing: Sequence[str] = ()) -> None:
    _batcher.put([None])


@signals.worker_shutdown.connect
def _finish(**_: object) -> None:
    _batcher.drain(10)
