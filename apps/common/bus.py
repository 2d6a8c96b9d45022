"""The message bus: the only module that knows behind which broker a queue is, and the only one that sends.

A message is a hint. Whoever sends one has committed the row that it is about, with a time at which the sweep sends it
again; so a broker that is down costs time and loses nothing, and `send` says so by its answer instead of raising.
"""

import logging
import threading
import uuid
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from celery import Celery
from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)
# Brokers have a largest message (RabbitMQ: 16 MiB), and what is put into one grows by half on the way.
_MOST_BYTES = 4 * 1024 * 1024
_outgoing: "deque[Message]" = deque()
_sending = threading.Lock()


@dataclass(frozen=True)
class Message:
    """`items` is the task's only argument: sealed envelopes, or ids."""

    queue: str
    task: str
    items: tuple[str, ...]


def send(messages: Iterable[Message]) -> None:
    """Hand messages to the broker; what it does not take now is sent by the sweep.

    While one thread is sending, the messages of others are left to it, and those for one queue and task go as one unless they
    are large: under load many requests share a message. Raises RuntimeError inside a transaction: what is not committed must not be told.
    """
    batch = list(messages)
    if not batch:
        return
    if connection.in_atomic_block:
        raise RuntimeError("bus.send inside a transaction; use bus.send_after_commit")
    _outgoing.extend(batch)
    # Not waited for: whoever has the lock looks at the queue once more after it has let go.
    while _outgoing and _sending.acquire(blocking=False):
        try:
            _send_all()
        finally:
            _sending.release()


def _send_all() -> None:
    taken: dict[tuple[str, str, int], list[str]] = {}
    sizes: Counter[tuple[str, str]] = Counter()
    while _outgoing:
        message = _outgoing.popleft()
        sizes[message.queue, message.task] += sum(map(len, message.items))
        nth = sizes[message.queue, message.task] // _MOST_BYTES
        taken.setdefault((message.queue, message.task, nth), []).extend(message.items)
    merged = [Message(queue, task, tuple(items)) for (queue, task, _), items in taken.items()]
    try:
        _deliver(merged)
    except (OperationalError, ConnectionError, OSError, TimeoutError) as error:
        log.warning("the broker did not take %d message(s), the sweep will resend: %s", len(merged), error)


def send_after_commit(messages: Iterable[Message]) -> None:
    """`send` once the surrounding transaction has committed; nothing if it rolls back."""
    batch = list(messages)
    if batch:
        transaction.on_commit(lambda: send(batch))


def queue_length(queue: str) -> int | None:
    """How many messages wait in `queue`; None if the broker does not tell."""
    try:
        with _app().connection_for_read() as broker:
            channel: Any = broker.default_channel
            return int(channel.queue_declare(queue, passive=True).message_count)
    except Exception as error:  # each transport has its own way of saying that there is no such queue
        log.debug("no length of queue %s: %s", queue, error)
        return None


def _app() -> Celery:
    """The project's Celery app; by name, since nothing here may import the project."""
    app: Celery = import_string(settings.CELERY_APP)
    return app


def _deliver(batch: list[Message]) -> None:
    app = _app()
    with app.producer_pool.acquire(block=True, timeout=5) as producer:
        try:
            for message in batch:
                _publish(app, producer, message)
        except producer.connection.connection_errors as error:
            # Of a connection that broke while nobody used it, in the transport's own words.
            raise OperationalError(str(error)) from error


def _publish(app: Celery, producer: Any, message: Message) -> None:
    task = app.amqp.as_task_v2(
        str(uuid.uuid4()), message.task, args=[list(message.items)], argsrepr="", kwargsrepr="", ignore_result=True
    )
    # The anonymous exchange routes by queue name and needs no binding table in the broker, so a broker that was wiped
    # routes as well as before. (`send_task` would add the default queue and go there.)
    producer.publish(
        task.body, exchange="", routing_key=message.queue, serializer="json", headers=task.headers,
        delivery_mode=2, retry=False, **task.properties,
    )
