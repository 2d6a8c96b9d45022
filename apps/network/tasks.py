"""Control-plane Celery tasks of networks: hosts are to be told."""

import time
from collections.abc import Sequence

from celery import shared_task, signals

from apps.common.batching import Batcher
from apps.network.services.tell import tell
from contracts import topics

# What comes shortly after a first hint is told with it: a burst of boots in one network would else cost its hosts a message for
# each boot. (A guest needs longer to ask for its address.) Long tellings make longer pauses, so that reports, which this
# process takes in as well, have most of its time.
_COMPANY_S, _LONGEST_S, _PAUSES = 0.1, 1.0, 4


def _tell(hints: list[None]) -> None:
    started = time.monotonic()
    tell()
    _batcher.company_s = min(max(_COMPANY_S, _PAUSES * (time.monotonic() - started)), _LONGEST_S)


_batcher: Batcher[None] = Batcher(_tell, most=10_000, company_s=_COMPANY_S)


@shared_task(name=topics.TELL_HOSTS)
def tell_hosts(nothing: Sequence[str] = ()) -> None:
    _batcher.put([None])


@signals.worker_shutdown.connect
def _finish(**_: object) -> None:
    _batcher.drain(10)
