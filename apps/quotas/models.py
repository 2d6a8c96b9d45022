"""Limits, in the form in which OpenStack's Identity API shows them too, and usage: global tables."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id
from apps.quotas.resources import UNLIMITED


class RegisteredLimit(models.Model):
    """How much of a resource a project may have if it has no limit of its own. Without a row the built-in default goes.

    Names that we do not know, and services that are not ours, are kept for the programs that ask for them; they have no
    effect here. `default_limit`: -1 is unlimited. `region_id`: empty for all regions.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    service_id = models.UUIDField()
    region_id = models.CharField(max_length=255, blank=True)
    resource_name = models.CharField(max_length=255)
    default_limit = models.BigIntegerField()
    description = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["service_id", "region_id", "resource_name"], name="%(app_label)s_%(class)s_once"
            ),
            models.CheckConstraint(
                condition=models.Q(default_limit__gte=UNLIMITED), name="%(app_label)s_%(class)s_from_minus_one"
            ),
        ]

    def __str__(self) -> str:
        return self.resource_name


class Limit(models.Model):
    """How much of it one project may have, or all projects of one domain together. -1 is unlimited."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    registered = models.ForeignKey(RegisteredLimit, models.PROTECT, related_name="limits")
    project_id = models.UUIDField(null=True)
    domain_id = models.UUIDField(null=True)
    resource_limit = models.BigIntegerField()
    description = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project_id", "registered"], name="%(app_label)s_%(class)s_project_once"),
            models.UniqueConstraint(fields=["domain_id", "registered"], name="%(app_label)s_%(class)s_domain_once"),
            models.CheckConstraint(
                condition=models.Q(project_id__isnull=False, domain_id__isnull=True)
                | models.Q(project_id__isnull=True, domain_id__isnull=False),
                name="%(app_label)s_%(class)s_of_one",
            ),
            models.CheckConstraint(
                condition=models.Q(resource_limit__gte=UNLIMITED), name="%(app_label)s_%(class)s_from_minus_one"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.registered} of {self.project_id or self.domain_id}"


class Usage(models.Model):
    """What one project has, all in one row, so that a reservation is one statement and one lock.

    Made on first use, gone with its project. The database refuses less than nothing.
    """

    project_id = models.UUIDField(primary_key=True)
    domain_id = models.UUIDField(db_index=True)
    instances = models.PositiveBigIntegerField(default=0)
    vcpus = models.PositiveBigIntegerField(default=0)
    memory_mb = models.PositiveBigIntegerField(default=0)
    disk_gb = models.PositiveBigIntegerField(default=0)
    server_groups = models.PositiveBigIntegerField(default=0)
    server_group_members = models.PositiveBigIntegerField(default=0)
    ports = models.PositiveBigIntegerField(default=0)
    networks = models.PositiveBigIntegerField(default=0)
    floating_ips = models.PositiveBigIntegerField(default=0)
    security_groups = models.PositiveBigIntegerField(default=0)
    volumes = models.PositiveBigIntegerField(default=0)
    volume_gb = models.PositiveBigIntegerField(default=0)
    images = models.PositiveBigIntegerField(default=0)
    image_bytes = models.PositiveBigIntegerField(default=0)
    buckets = models.PositiveBigIntegerField(default=0)
    object_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = "quota"

    def __str__(self) -> str:
        return str(self.project_id)
