"""Celery's consumer with one change: it comes back within seconds of the broker, however long that was away."""

from functools import partial
from typing import Any, Final

from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Connection

# Celery would wait 2, 4, 6 … 30 seconds between attempts.
FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 2.0


class Consumer(CeleryConsumer):
    """Named in the `worker_consumer` setting."""

    def ensure_connected(self, conn: Connection) -> Any:
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=FIRST_RETRY_S, interval_step=1.0, interval_max=LONGEST_RETRY_S
        )
        return super().ensure_connected(conn)
