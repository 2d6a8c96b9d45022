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


def test_messages_for_one_queue_go_as_one_unless_that_is_too_large_for_a_broker() -> None:
    sent: list[bus.Message] = []
    letters = [bus.Message("host", "task", (letter,)) for letter in "ab"]
    large = [bus.Message("host", "task", (letter * 2 * 1024 * 1024,)) for letter in "cdefg"]
    with mock.patch.object(bus, "_deliver", sent.extend), mock.patch.object(bus, "connection", SimpleNamespace(in_atomic_block=False)):
        bus.send([*letters, bus.Message("other", "task", ("z",)), *large])
    assert [item[0] for message in sent if message.queue == "host" for item in message.items] == list("abcdefg")
    assert [item[0] for item in next(message.items for message in sent if message.queue == "host")][:2] == ["a", "b"]
    assert all(sum(map(len, message.items)) < 6 * 1024 * 1024 for message in sent)
