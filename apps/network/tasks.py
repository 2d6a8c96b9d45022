"""Control-plane Celery tasks of networks: hosts are to be told."""

from collections.abc import Sequence

from celery import shared_task, signals

from apps.common.batching import Batcher
from apps.network.services.tell import tell
from contracts import topics


def _tell(hints: list[None]) -> None:
    tell()


# What comes while hosts are being told is one hint more, however many come; and so is what comes shortly after the first, which
# is all of a burst of boots in one network, whose hosts would else be told of each by a message of its own. A guest needs longer
# to ask for its address.
_COMPANY_S = 0.1
_batcher: Batcher[None] = Batcher(_tell, most=10_000, company_s=_COMPANY_S)


@shared_task(name=topics.TELL_HOSTS)
def tell_hosts(nothing: Sequence[str] = ()) -> None:
    _batcher.put([None])


@signals.worker_shutdown.connect
def _finish(**_: object) -> None:
    _batcher.drain(10)
