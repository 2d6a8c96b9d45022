"""Control-plane Celery tasks of instances: the scheduler's entry."""

from collections.abc import Sequence

from celery import shared_task

from apps.common.transactions import database_errors_heal
from apps.compute.services.place import place as place_operations
from contracts import topics


@shared_task(name=topics.PLACE)
@database_errors_heal
def place(operation_ids: Sequence[str]) -> None:
    place_operations(operation_ids)
