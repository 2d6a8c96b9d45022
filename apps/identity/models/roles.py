"""Roles, what they imply, and who has them where."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id
from apps.identity.models.projects import Project
from apps.identity.models.users import Group, User


class Role(models.Model):
    """A built-in role (its permissions are the policy's), or one of the operator's own: a set of permission names.

    With a domain it is given in that domain only. `permissions` may hold patterns such as `compute.*`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    domain = models.ForeignKey(Project, models.CASCADE, related_name="roles", null=True)
    name = models.CharField(max_length=255)
    description = models.TextField(blank=True)
    permissions = models.JSONField(default=list)
    builtin = models.BooleanField(default=False)
    options = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(domain__isnull=True), name="%(app_label)s_%(class)s_name_once"
            ),
            models.UniqueConstraint(fields=["domain", "name"], name="%(app_label)s_%(class)s_domain_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class ImpliedRole(models.Model):
    """Whoever has `prior` also has `implied`."""

    prior = models.ForeignKey(Role, models.CASCADE, related_name="implies")
    implied = models.ForeignKey(Role, models.CASCADE, related_name="implied_by")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["prior", "implied"], name="%(app_label)s_%(class)s_once"),
            models.CheckConstraint(condition=~models.Q(prior=models.F("implied")), name="%(app_label)s_%(class)s_not_itself"),
        ]


class PolicyVersion(models.Model):
    """One row: a number that is another one after every change of roles and implications, so that processes read anew."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.PositiveBigIntegerField(default=1)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(id=1), name="%(app_label)s_%(class)s_one_row")]


def _once(holder: str, place: str) -> "list[models.UniqueConstraint]":
    condition = models.Q(**{f"{holder}__isnull": False, f"{place}__isnull": False} if place == "project" else
                         {f"{holder}__isnull": False, "system": True})
    fields = [holder, "project", "role", "inherited"] if place == "project" else [holder, "role"]
    return [models.UniqueConstraint(fields=fields, condition=condition, name=f"%(app_label)s_%(class)s_{holder}_{place}_once")]


class Assignment(models.Model):
    """A role that a user or a group has: in a project, in a domain (a Project with `is_domain`), or on the system.

    `inherited`: not there itself, but in all projects below.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    role = models.ForeignKey(Role, models.CASCADE, related_name="assignments")
    user = models.ForeignKey(User, models.CASCADE, related_name="assignments", null=True)
    group = models.ForeignKey(Group, models.CASCADE, related_name="assignments", null=True)
    project = models.ForeignKey(Project, models.CASCADE, related_name="assignments", null=True)
    system = models.BooleanField(default=False)
    inherited = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            *_once("user", "project"), *_once("user", "system"), *_once("group", "project"), *_once("group", "system"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=False, group__isnull=True) | models.Q(user__isnull=True, group__isnull=False),
                name="%(app_label)s_%(class)s_one_holder",
            ),
            models.CheckConstraint(
                condition=models.Q(project__isnull=False, system=False)
                | models.Q(project__isnull=True, system=True, inherited=False),
                name="%(app_label)s_%(class)s_one_place",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} of {self.user or self.group} on {'the system' if self.system else self.project}"
