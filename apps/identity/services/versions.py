"""The number by which all processes know that roles, or what they imply, were changed."""

from django.db.models import F

from apps.identity.models import PolicyVersion


def bump() -> None:
    """In the transaction of the change: whoever reads the new number reads the new roles. Also makes those who change roles
    go one after the other, since it locks the row."""
    PolicyVersion.objects.filter(pk=1).update(version=F("version") + 1)
