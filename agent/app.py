"""The Celery application of an agent: one task per command topic, reading only the queues of its own hosts."""

import warnings
from collections.abc import Callable
from typing import Any, Final

from celery import Celery, Task, signals
from celery.app.amqp import AMQP
from celery.exceptions import CPendingDeprecationWarning
from celery.worker import request
from kombu import Exchange

from agent import broker, transport
from agent.config import Config
from contracts import topics

# Threads beyond those that change something: for questions, repeats, and commands that wait for a lock or a lane.
SPARE_THREADS: Final = 24

OBEYED: Final = (*topics.COMMANDS, *topics.STATES)

Run = Callable[[str, list[str]], None]


class Unacknowledged(AMQP):
    """Celery's queues, read without acknowledgements: two trips to the broker less per message.

    What a killed agent had in hand is sent again by the control plane as soon as the next life says hello.
    """

    def TaskConsumer(self, channel: Any, queues: Any = None, accept: Any = None, **options: Any) -> Any:
        return super().TaskConsumer(channel, queues, accept, no_ack=True, **options)


class Hint(Task):
    """A task whose message the broker does not wait for: Celery would acknowledge it all the same."""

    class Request(request.Request):
        def acknowledge(self) -> None:
            self.acknowledged = True


def create_app(config: Config, run: Run) -> Celery:
    """Build the application. `run(topic, wires)` carries out one message and never raises."""
    transport.install()
    # Without fixups: Celery would import Django if DJANGO_SETTINGS_MODULE happened to be set.
    app = Celery("agent", broker=config.broker_url, fixups=(), amqp=Unacknowledged, task_cls=Hint, set_as_current=False)
    app.conf.update(_settings(config))
    for topic in OBEYED:
        app.task(_task(topic, run), name=topic, shared=False)
    app.finalize()
    # Celery puts its default exchange in place of the anonymous one, and would then bind to it in the broker.
    for queue in app.amqp.queues.values():
        queue.exchange = Exchange("")
    # Celery's own tasks (chords, groups, maps) would let whoever reaches the queue run things unsigned.
    for name in [name for name in app.tasks if name not in OBEYED]:
        app.tasks.unregister(name)
    return app


def create_worker(app: Celery, config: Config) -> Any:
    """The worker of this process; `start()` blocks until SIGTERM."""
    # Its advice about user ids and about settings of releases to come is not for operators.
    warnings.filterwarnings("ignore", module="celery")
    # Logging was configured by us before, see `agent.logs`.
    signals.setup_logging.connect(_leave_logging_alone, weak=False)
    worker = app.Worker(
        hostname=f"agent@{config.hosts[0].name}",
        concurrency=config.threads + SPARE_THREADS,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    # Celery has just asked to see all of these.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
    return worker


def _settings(config: Config) -> dict[str, Any]:
    return {
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "result_backend": None,
        "task_track_started": False,
        "task_queues": broker.queues(config),
        "task_create_missing_queues": False,
        "worker_pool": "threads",
        "worker_prefetch_multiplier": 1,
        "worker_consumer": "agent.consumer:Consumer",
        # Remote control is neither signed nor needed: whoever reached the broker could shut agents down.
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "task_send_sent_event": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_disable_rate_limits": True,
        "worker_enable_prefetch_count_reduction": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": broker.CONNECT_TIMEOUT_S,
        "broker_transport_options": broker.transport_options(config),
        "broker_use_ssl": broker.broker_ssl(config),
        "broker_heartbeat": 30,
        "enable_utc": True,
    }


def _task(topic: str, run: Run) -> Callable[[list[str]], None]:
    def command(wires: list[str]) -> None:
        run(topic, wires)

    command.__name__ = command.__qualname__ = topic.replace(".", "_")
    return command


def _leave_logging_alone(**_: object) -> None:
    return None
