"""Celery's consumer, made persistent: back within seconds of the broker, patient with one that refuses us."""

import time
from functools import partial
from typing import Any, Final

import structlog
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.state import maybe_shutdown
from kombu import Connection

log = structlog.get_logger(__name__)

# Celery would wait 2, 4, 6 … 30 seconds between attempts.
FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 2.0


class Consumer(CeleryConsumer):
    """Named in the `worker_consumer` setting."""

    def ensure_connected(self, conn: Connection) -> Any:
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=FIRST_RETRY_S, interval_step=1.0, interval_max=LONGEST_RETRY_S
        )
        while True:
            try:
                return super().ensure_connected(conn)
            except conn.channel_errors as error:
                # RabbitMQ says so to a wrong password, and to a good one after its data were lost, until somebody has
                # made the accounts again. Celery would end the worker.
                log.error("broker.refused", reason=str(error))
                maybe_shutdown()
                time.sleep(LONGEST_RETRY_S)
