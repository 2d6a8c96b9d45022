"""The number by which all processes know that roles, or what they imply, were changed."""

import secrets

from apps.identity.models import PolicyVersion


def bump() -> None:
    """In the transaction of the change: whoever reads the new number reads the new roles. Also makes those who change roles
    go one after the other, since it locks the row."""
    # Never one that was before, as a restored backup would count again: processes keep roles by this number.
    PolicyVersion.objects.filter(pk=1).update(version=secrets.randbelow(2**62))
