"""Decisions: which hosts were looked at, why each was refused, which was chosen."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id


class Decision(models.Model):
    """One scheduling decision. `verdicts`: reason → host names (`passed` among them), as JSON text; `best`: the first few by weight."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    instance_id = models.UUIDField()
    operation_id = models.UUIDField(null=True)
    at = models.DateTimeField(auto_now_add=True)
    request = models.JSONField(default=dict)
    verdicts = models.TextField(default="{}")
    best = models.JSONField(default=list)
    lost_races = models.JSONField(default=list)
    host_id = models.UUIDField(null=True)
    host_name = models.CharField(max_length=63, blank=True)
    summary = models.TextField(blank=True)
    took_ms = models.FloatField(default=0.0)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["instance_id", "id"], name="scheduler_by_instance")]

    def __str__(self) -> str:
        return f"{self.instance_id} → {self.host_name or 'no host'}"
