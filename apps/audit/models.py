"""Records: a global table that takes rows and never lets go of them (see triggers.py)."""

from typing import ClassVar

from django.db import models

from apps.audit.states import Decision
from apps.common.ids import new_id


class Record(models.Model):
    """One act, or one refusal.

    `actor_project_id` is the project (or domain) that the actor worked in; `project_id` the one whose trail this belongs to:
    that of the resource, for a refusal the actor's, none for what is the installation's. `action` is the name of the permission
    where there is one. `changes`: field → [before, after].
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    at = models.DateTimeField()
    decision = models.CharField(max_length=8, choices=[(each.value, each.value) for each in Decision])
    action = models.CharField(max_length=64)
    resource_type = models.CharField(max_length=32, blank=True)
    resource_id = models.CharField(max_length=255, blank=True)
    name = models.CharField(max_length=255, blank=True)
    project_id = models.UUIDField(null=True)
    user_id = models.UUIDField(null=True)
    user_name = models.CharField(max_length=255, blank=True)
    actor_project_id = models.UUIDField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=64, blank=True)
    method = models.CharField(max_length=8, blank=True)
    path = models.CharField(max_length=255, blank=True)
    code = models.CharField(max_length=64, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    changes = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(decision__in=[each.value for each in Decision]), name="%(app_label)s_%(class)s_known_decision"
            ),
        ]
        # Ids rise with time, so each of these also answers "since when", and a page of any search is read in order.
        indexes: ClassVar = [
            models.Index(fields=["project_id", "id"], name="audit_by_project"),
            models.Index(fields=["user_id", "id"], name="audit_by_user"),
            models.Index(fields=["resource_id", "id"], name="audit_by_resource"),
            # The class of operators lets PostgreSQL use it for beginnings of actions, whatever its collation.
            models.Index(fields=["action", "id"], opclasses=["varchar_pattern_ops", "uuid_ops"], name="audit_by_action"),
            models.Index(fields=["id"], condition=models.Q(decision=Decision.REFUSED.value), name="audit_refused"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.name or self.resource_id}".rstrip()
