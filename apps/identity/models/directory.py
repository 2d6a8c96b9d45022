"""How the synchronisation with the LDAP directory goes."""

from typing import ClassVar

from django.db import models


class DirectorySync(models.Model):
    """One row. `holder` runs one now and has it until `until`, which it extends as it goes; whoever writes users or groups of
    the directory locks the row. `good_at`: the last one that came to its end; `error`: why the one after that did not."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    holder = models.CharField(max_length=64, blank=True)
    until = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    good_at = models.DateTimeField(null=True)
    took_ms = models.PositiveIntegerField(null=True)
    result = models.JSONField(default=dict)
    error = models.JSONField(null=True)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(id=1), name="%(app_label)s_%(class)s_one_row")]
