"""Which queues the control plane reads, and how the transport is set: host queues are named in contracts.topics."""

from typing import Any

from celery import Task
from celery.app.amqp import AMQP
from celery.worker.request import Request
from kombu import Exchange, Queue

from contracts import topics

# The anonymous exchange: a message goes to the queue that its routing key names, without any binding in the broker.
_ANONYMOUS = Exchange("", type="direct")

ANONYMOUS_QUEUES = [
    Queue(name, _ANONYMOUS, routing_key=name, durable=True) for name in (topics.SCHEDULER, topics.CONDUCTOR, topics.IMAGES)
]

TRANSPORT_OPTIONS = {
    # One list per queue, so that a BRPOP over hundreds of queues stays one key each; agents set the same.
    "priority_steps": [0],
    "socket_connect_timeout": 2,
    "socket_timeout": 20,
    "socket_keepalive": True,
    "health_check_interval": 10,
    # Whoever sends while the broker is away has somebody waiting: tried again at once, and then left to the sweep.
    "max_retries": 1,
    "interval_start": 0,
}


class Unacknowledged(AMQP):
    """Celery's queues, read without acknowledgements.

    A message is a hint about a row that the sweep sends again until it is answered, so acknowledging buys nothing and costs
    two trips to the broker per message (docs/decisions).
    """

    def TaskConsumer(self, channel: Any, queues: Any = None, accept: Any = None, **options: Any) -> Any:
        return super().TaskConsumer(channel, queues, accept, no_ack=True, **options)


class HintRequest(Request):
    """A message that the broker does not wait for: Celery would acknowledge it all the same."""

    def acknowledge(self) -> None:
        self.acknowledged = True


class Hint(Task):
    """The base of all control-plane tasks."""

    Request = HintRequest
