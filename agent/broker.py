"""Everything that is said to the message broker in its own words: options, queues, one publishing connection.

The transport options are half of an agreement: the control plane must publish with the same `priority_steps`, or its
messages end up under keys that no agent reads.
"""

import ssl
import threading
import uuid
from typing import Any, Final

from celery import Celery
from kombu import Connection, Exchange, Producer, Queue
from kombu.exceptions import ChannelError as KombuChannelError
from kombu.exceptions import OperationalError

from agent.config import Config
from contracts import topics

# One Redis key per queue instead of four, named like the queue: BRPOP over hundreds of queues stays cheap.
PRIORITY_STEPS: Final = [0]
# How seldom kombu looks for messages to deliver again: there are none.
VISIBILITY_TIMEOUT_S: Final = 4 * 3600
CONNECT_TIMEOUT_S: Final = 2.0
PUBLISH_TIMEOUT_S: Final = 3.0
HEALTH_CHECK_S: Final = 10
# With more hosts than this in one process (simulated ones) volume queues are not read.
FEW_HOSTS: Final = 8


class BrokerDown(Exception):
    """The broker did not take a message."""


def transport_options(config: Config) -> dict[str, Any]:
    """Options of the consuming connection (Redis; others ignore what they do not know).

    Nothing is acknowledged, but kombu looks into its book of unacknowledged messages all the same: with a book of its own an
    agent needs access to no key but its own.
    """
    book = f"agent.{config.hosts[0].name}.unacked"
    return {
        "priority_steps": PRIORITY_STEPS,
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "health_check_interval": HEALTH_CHECK_S,
        "socket_keepalive": True,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "unacked_key": book,
        "unacked_index_key": f"{book}_index",
        "unacked_mutex_key": f"{book}_mutex",
        "max_connections": 64,
    }


def broker_ssl(config: Config) -> dict[str, Any] | None:
    """TLS settings for `rediss:` and `amqps:` URLs, checked against `ca_file`; None for plain ones."""
    if config.broker_url.startswith("rediss:"):
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": config.ca_file or None}
    if config.broker_url.startswith("amqps:"):
        return {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": config.ca_file or None}
    return None


def queues(config: Config) -> list[Queue]:
    """What this agent reads. Without an exchange, so that nothing depends on bindings kept in the broker."""
    if len(config.hosts) > FEW_HOSTS:
        names = [name for host in config.hosts for name in topics.host_queues(host.name)[:2]]
    else:
        names = [name for host in config.hosts for name in topics.host_queues(host.name)]
    return [Queue(name, Exchange(""), routing_key=name, durable=True) for name in names]


class Publisher:
    """One connection to publish on and to look into queues; callers take turns."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._producer: Producer | None = None

    def publish(self, topic: str, wires: list[str]) -> None:
        """Send one task message to the conductor. Raises BrokerDown, at the latest after some seconds."""
        with self._lock:
            if self._producer is not None:
                try:
                    self._publish(topic, wires)
                    return
                except BrokerDown:
                    pass  # most likely the connection went stale while it was idle: once more on a new one
            self._connect()
            self._publish(topic, wires)

    def waiting(self, queue: str) -> int:
        """How many messages lie in a queue. Raises BrokerDown."""
        with self._lock:
            if self._connection is None:
                self._connect()
            connection = self._connection
            assert connection is not None
            try:
                return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
            except (KombuChannelError, *connection.channel_errors):
                return 0  # Redis knows no empty queues
            except _errors(connection) as error:
                self.close()
                raise BrokerDown(str(error)) from error

    def close(self) -> None:
        with self._lock:
            connection, self._connection, self._producer = self._connection, None, None
            if connection is not None:
                try:
                    connection.release()
                except _errors(connection):
                    pass

    def _connect(self) -> None:
        self.close()
        options = {**self._app.conf.broker_transport_options, "socket_timeout": PUBLISH_TIMEOUT_S}
        connection = self._app.connection_for_write(transport_options=options, connect_timeout=CONNECT_TIMEOUT_S)
        try:
            # No retries here: the reporter's background thread is the one that tries again.
            connection.ensure_connection(max_retries=0)
            if connection.transport.driver_type != "redis":
                # What is sent to a queue that does not exist is dropped, and the hello that we may be about to send
                # invites commands; the worker itself may take some seconds more. Redis makes queues when they are used.
                for queue in self._app.amqp.queues.values():
                    queue.bind(connection.default_channel).declare()
            self._producer = connection.Producer(auto_declare=False)
        except _errors(connection) as error:
            raise BrokerDown(str(error)) from error
        self._connection = connection

    def _publish(self, topic: str, wires: list[str]) -> None:
        producer, connection = self._producer, self._connection
        assert producer is not None and connection is not None
        message = self._app.amqp.as_task_v2(
            uuid.uuid4().hex, topic, args=[wires], argsrepr="", kwargsrepr="", ignore_result=True
        )
        try:
            producer.publish(
                message.body,
                exchange="",
                routing_key=topics.CONDUCTOR,
                serializer="json",
                headers=message.headers,
                retry=False,
                timeout=PUBLISH_TIMEOUT_S,
                **message.properties,
            )
        except _errors(connection) as error:
            self.close()
            raise BrokerDown(str(error)) from error


def _errors(connection: Connection) -> tuple[type[BaseException], ...]:
    errors: tuple[type[BaseException], ...] = connection.connection_errors + connection.channel_errors
    return (*errors, OperationalError)
