"""Projects, and domains, which are the roots of their trees."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id


class Project(models.Model):
    """The owner of everything that tenants have; with `is_domain`: a domain, the owner of users, groups and projects.

    A project has a domain and a parent (the domain itself at the top), both for life. A domain has neither.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    domain = models.ForeignKey("self", models.PROTECT, related_name="projects", null=True)
    parent = models.ForeignKey("self", models.PROTECT, related_name="children", null=True)
    is_domain = models.BooleanField(default=False)
    name = models.CharField(max_length=64)
    description = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)
    options = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["domain", "name"], condition=models.Q(is_domain=False), name="%(app_label)s_%(class)s_name_once"
            ),
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(is_domain=True), name="%(app_label)s_%(class)s_domain_name_once"
            ),
            models.CheckConstraint(
                condition=models.Q(is_domain=True, domain__isnull=True, parent__isnull=True)
                | models.Q(is_domain=False, domain__isnull=False, parent__isnull=False),
                name="%(app_label)s_%(class)s_in_a_tree",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ProjectAncestor(models.Model):
    """Who stands above whom: one row per project and ancestor, itself included with `depth` 0.

    Written once with the project, since parents never change; so inherited roles are found without recursion.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="ancestry")
    ancestor = models.ForeignKey(Project, models.CASCADE, related_name="descent")
    depth = models.PositiveSmallIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "ancestor"], name="%(app_label)s_%(class)s_once")
        ]


class ProjectTag(models.Model):
    """A word on a project, to find it by."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="tags")
    name = models.CharField(max_length=255)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["project", "name"], name="%(app_label)s_%(class)s_once")]
