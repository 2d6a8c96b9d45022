"""Where the services are: what OpenStack clients read from the catalog, and documents that they may keep here."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id


class Region(models.Model):
    """A named place of endpoints; its id is its name."""

    id = models.CharField(primary_key=True, max_length=255)
    description = models.TextField(blank=True)
    parent = models.ForeignKey("self", models.PROTECT, related_name="children", null=True)

    def __str__(self) -> str:
        return self.id


class Service(models.Model):
    """A kind of API, such as `compute`. Without endpoints it is not in the catalog."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    type = models.CharField(max_length=255)
    name = models.CharField(max_length=255, blank=True)
    description = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.type


class Endpoint(models.Model):
    """An address of a service. `url` may hold `%(public_url)s` and `%(project_id)s`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    service = models.ForeignKey(Service, models.CASCADE, related_name="endpoints")
    interface = models.CharField(max_length=8, choices=[(i, i) for i in ("public", "internal", "admin")])
    region = models.ForeignKey(Region, models.PROTECT, related_name="endpoints", null=True)
    url = models.TextField()
    name = models.CharField(max_length=255, blank=True)
    description = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(interface__in=["public", "internal", "admin"]), name="%(app_label)s_%(class)s_known_interface"
            )
        ]

    def __str__(self) -> str:
        return f"{self.interface} {self.url}"


class StoredPolicy(models.Model):
    """A document that a client keeps here under Identity v3's `policies`. It decides nothing in Cloudsite."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    type = models.CharField(max_length=255)
    blob = models.TextField()
