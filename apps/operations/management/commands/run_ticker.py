"""`manage.py run_ticker`: the process of the periodic duties."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from apps.operations.services import ticker


class Command(BaseCommand):
    # They import the pages, which the ticker does not have: 20 MB. Whoever starts it has checked (`make up`, `doctor`).
    requires_system_checks = ()
    help = "Runs the periodic duties (resend, deadlines, silent hosts, pruning) until it is told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        ticker.run(stop)
