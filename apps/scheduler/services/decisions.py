"""The end of decisions: they are kept for a while, and then forgotten."""

from datetime import timedelta

from django.conf import settings

from apps.common import clock
from apps.scheduler.models import Decision

# A statement for so many, so that nobody waits long for its locks, and SQLite's only writer comes free in between.
_AT_ONCE = 2000


def prune() -> int:
    """Delete what is older than `CLOUDSITE_SCHEDULER_DECISION_DAYS`, the oldest first; returns how many."""
    old = clock.now() - timedelta(days=settings.ENV.scheduler_decision_days)
    count = 0
    while True:
        ids = list(Decision.objects.filter(at__lt=old).order_by("at").values_list("pk", flat=True)[:_AT_ONCE])
        count += Decision.objects.filter(pk__in=ids).delete()[0] if ids else 0
        if len(ids) < _AT_ONCE:
            return count
