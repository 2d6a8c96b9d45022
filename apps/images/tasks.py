"""Control-plane Celery tasks of images: the entry of image workers."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from celery import shared_task, signals

from contracts import topics

if TYPE_CHECKING:
    from apps.images.services.desk import Desk


@cache
def _desk() -> "Desk":
    # Only image workers have a use for all that hangs on it.
    from apps.images.services.desk import Desk

    return Desk()


@shared_task(name=topics.IMAGE_WORK)
def work(messages: Sequence[str]) -> None:
    _desk().wake(messages)


@signals.worker_shutdown.connect
def _finish(**_: object) -> None:
    if _desk.cache_info().currsize:
        _desk().stop(10)
