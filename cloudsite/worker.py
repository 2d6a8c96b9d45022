"""`python -m cloudsite.worker scheduler|conductor|images`: a control-plane Celery worker.

Started here and not by the `celery` command, which would import every plug-in (Flower and its web server among them) into
each worker: 25 MB and half a second more.
"""

import argparse
import socket
import sys

from django.conf import settings

from cloudsite.celery import app
from contracts import topics

QUEUES = (topics.SCHEDULER, topics.CONDUCTOR, topics.IMAGES)


def main() -> int:
    """Run until SIGTERM; what is being worked on is finished first."""
    parser = argparse.ArgumentParser(prog="cloudsite.worker", description=__doc__.splitlines()[0])
    parser.add_argument("queue", choices=QUEUES, help="the queue to read")
    queue = parser.parse_args().queue
    worker = app.Worker(
        hostname=f"{queue}@{socket.gethostname()}",
        queues=[queue],
        # A task only puts its items into a batch (apps.common.batching) or wakes a thread, so no pool is needed; and with a pool, Celery's
        # loop sleeps on when a thread has acknowledged and the prefetch is free again.
        pool="solo",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel=settings.ENV.log_level,
    )
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
