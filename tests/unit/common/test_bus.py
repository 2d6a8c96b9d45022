"""What a broker that is gone does to whoever sends: nothing."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from unittest import mock

from apps.common import bus


class GoneAway(Exception):
    """A transport's own word for a connection that broke; Python knows nothing of it."""


class Producer:
    """Of a pool: it was connected once, and nobody has noticed yet that the broker has ended since."""

    connection = SimpleNamespace(connection_errors=(GoneAway,))
    asked = 0

    def publish(self, *_: Any, **__: Any) -> None:
        self.asked += 1
        raise GoneAway("connection refused")


def test_a_broker_that_ended_while_nobody_sent_costs_the_sender_nothing() -> None:
    app, producer = mock.Mock(), Producer()
    app.producer_pool.acquire.return_value = nullcontext(producer)
    app.amqp.as_task_v2.return_value = SimpleNamespace(body=(), headers={}, properties={})
    with mock.patch.object(bus, "_app", return_value=app), mock.patch.object(bus, "connection", SimpleNamespace(in_atomic_block=False)):
        bus.send([bus.Message("conductor", "task", ())])
    assert producer.asked == 1
