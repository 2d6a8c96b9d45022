"""Control-plane Celery tasks: the conductor's four entries."""

from collections.abc import Sequence

from celery import shared_task

from apps.common.transactions import database_errors_heal
from apps.operations.services.intake import take_in
from contracts import topics


@shared_task(name=topics.REPORT)
@database_errors_heal
def report(wires: Sequence[str]) -> None:
    take_in(topics.REPORT, wires)


@shared_task(name=topics.HELLO)
@database_errors_heal
def hello(wires: Sequence[str]) -> None:
    take_in(topics.HELLO, wires)


@shared_task(name=topics.HEARTBEAT)
@database_errors_heal
def heartbeat(wires: Sequence[str]) -> None:
    take_in(topics.HEARTBEAT, wires)


@shared_task(name=topics.OBSERVATION)
@database_errors_heal
def observation(wires: Sequence[str]) -> None:
    take_in(topics.OBSERVATION, wires)
