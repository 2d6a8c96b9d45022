"""Leases: a periodic duty is done by one process at a time, and by another one if that dies."""

from django.db import IntegrityError, transaction

from apps.common import clock
from apps.operations.models import Lease


def acquire(*, name: str, holder: str, seconds: float) -> bool:
    """Take or renew the lease. False while another holder has it."""
    now = clock.now()
    free = Lease.objects.filter(name=name)
    until = clock.after(seconds)
    if free.filter(holder=holder).update(until=until) or free.filter(until__lt=now).update(holder=holder, until=until):
        return True
    if free.exists():
        return False
    try:
        with transaction.atomic():
            Lease.objects.create(name=name, holder=holder, until=until)
    except IntegrityError:
        return False
    return True
