"""The control plane's Celery app: workers `scheduler`, `conductor` and `images`, and the sending side of `common.bus`."""

import os

import django
from celery import Celery, signals
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudsite.settings")
django.setup()

from cloudsite import transport  # noqa: E402
from cloudsite.routing import ANONYMOUS_QUEUES, TRANSPORT_OPTIONS  # noqa: E402  (needs settings)

transport.install()
# No Django fix-up: it closes the database connection after every task, which costs more than the task (docs/decisions/0004).
app = Celery(
    "cloudsite",
    broker=settings.ENV.broker_url,
    fixups=[],
    amqp="cloudsite.routing:Unacknowledged",
    task_cls="cloudsite.routing:Hint",
    set_as_current=True,
)
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_track_started=False,
    task_queues=ANONYMOUS_QUEUES,
    task_default_queue="conductor",
    worker_send_task_events=False,
    worker_enable_remote_control=True,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_connection_timeout=4,
    broker_transport_options=TRANSPORT_OPTIONS,
    broker_pool_limit=32,
    imports=("apps.compute.tasks", "apps.images.tasks", "apps.network.tasks", "apps.operations.tasks"),
)


@signals.setup_logging.connect
def _keep_django_logging(**_: object) -> None:
    """Celery would replace the log set-up; Django's JSON lines stay."""
