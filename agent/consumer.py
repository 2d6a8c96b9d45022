"""Celery's consumer with two changes: it takes up what an earlier life left, and is back within seconds of the broker."""

from functools import partial
from typing import Any, Final

import structlog
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Connection

from agent import broker

log = structlog.get_logger(__name__)

# Celery would wait 2, 4, 6 … 30 seconds between attempts.
FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 2.0


class Consumer(CeleryConsumer):
    """Named in the `worker_consumer` setting."""

    _took_back = False

    def ensure_connected(self, conn: Connection) -> Any:
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=FIRST_RETRY_S, interval_step=1.0, interval_max=LONGEST_RETRY_S
        )
        connected = super().ensure_connected(conn)
        if not self._took_back:
            self._take_back()
        return connected

    def _take_back(self) -> None:
        """Once, before anything is read: later the book of unacknowledged messages is this life's own."""
        try:
            count = broker.take_back(self.app)
        except broker.BrokerDown as error:
            log.warning("broker.down", reason=str(error))
            return
        self._took_back = True
        if count:
            log.info("messages.taken_back", count=count)
