"""Which queues the control plane reads, and how the transport is set: host queues are named in contracts.topics."""

from kombu import Exchange, Queue

from contracts import topics

# The anonymous exchange: a message goes to the queue that its routing key names, without any binding in the broker.
_ANONYMOUS = Exchange("", type="direct")

ANONYMOUS_QUEUES = [
    Queue(name, _ANONYMOUS, routing_key=name, durable=True) for name in (topics.SCHEDULER, topics.CONDUCTOR)
]

TRANSPORT_OPTIONS = {
    # One list per queue, so that a BRPOP over hundreds of queues stays one key each; agents set the same.
    "priority_steps": [0],
    # The sweep resends by the database's clock; the broker's own redelivery only has to be late enough not to matter.
    "visibility_timeout": 3600,
    "socket_connect_timeout": 2,
    "socket_timeout": 20,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "max_retries": 1,
}
