"""Users, projects, memberships and tokens: global tables."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models

from apps.common.ids import new_id
from apps.identity.roles import Role


class User(AbstractUser):
    """A person or a program. `is_superuser` makes an operator of the whole installation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)

    class Meta(AbstractUser.Meta):
        pass


class Project(models.Model):
    """The owner of everything that tenants have."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=64)
    description = models.CharField(max_length=255, blank=True)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    users: "models.ManyToManyField[User, Membership]" = models.ManyToManyField(User, through="Membership", related_name="projects")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["name"], name="%(app_label)s_%(class)s_name_once")]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """The one role of a user in a project."""

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=[(role.value, role.value) for role in Role], default=Role.MEMBER.value)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "project"], name="%(app_label)s_%(class)s_once"),
            models.CheckConstraint(
                condition=models.Q(role__in=[role.value for role in Role]), name="%(app_label)s_%(class)s_known_role"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} in {self.project}"


class Token(models.Model):
    """A bearer token of one user in one project. Only its SHA-256 is kept; `prefix` lets people tell theirs apart."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    project = models.ForeignKey(Project, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=64, blank=True)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["digest"], name="%(app_label)s_%(class)s_digest_once")]

    def __str__(self) -> str:
        return f"{self.prefix}…"
