"""Users and groups."""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models

from apps.common.ids import new_id
from apps.identity.builtin import DEFAULT_DOMAIN_ID, Role
from apps.identity.models.projects import Project

SOURCES = ("database", "ldap")
# Why the directory keeps a user out; empty: it does not.
DIRECTORY_STATES = ("disabled", "locked", "expired", "gone")


class Users(BaseUserManager["User"]):
    """Django's own ways to make and find users; they know the default domain only."""

    def create_user(self, username: str, password: str | None = None, **more: Any) -> "User":
        more.setdefault("domain_id", DEFAULT_DOMAIN_ID)
        user = self.model(username=username, **more)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username=username, domain_id=DEFAULT_DOMAIN_ID)


class User(AbstractBaseUser):
    """A person or a program, of one domain. What it may do follows from its roles and from nothing else."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    domain = models.ForeignKey(Project, models.PROTECT, related_name="users")
    username = models.CharField(max_length=255)
    email = models.CharField(max_length=254, blank=True)
    description = models.TextField(blank=True)
    is_active = models.BooleanField(default=True)
    default_project_id = models.UUIDField(null=True, blank=True)
    source = models.CharField(max_length=16, choices=[(s, s) for s in SOURCES], default="database")
    external_id = models.CharField(max_length=512, blank=True, help_text="What stays the same in the directory: UUID, or name (DN).")
    # Set: the directory has disabled it, and only the directory enables it again. Empty with a disabled user: it was disabled here.
    directory_state = models.CharField(max_length=16, blank=True, default="")
    options = models.JSONField(default=dict)
    password_changed_at = models.DateTimeField(null=True)
    password_expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[Users] = Users()
    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["domain", "username"], name="%(app_label)s_%(class)s_name_once"),
            models.UniqueConstraint(
                fields=["domain", "external_id"], condition=~models.Q(external_id=""),
                name="%(app_label)s_%(class)s_external_once",
            ),
            models.CheckConstraint(condition=models.Q(source__in=SOURCES), name="%(app_label)s_%(class)s_known_source"),
            models.CheckConstraint(
                condition=models.Q(directory_state="")
                | models.Q(directory_state__in=DIRECTORY_STATES, source="ldap", is_active=False),
                name="%(app_label)s_%(class)s_known_directory_state",
            ),
        ]

    def __str__(self) -> str:
        return self.username

    @property
    def system_roles(self) -> frozenset[uuid.UUID]:
        """Ids of its roles on the system, own and by groups, without implied ones. Asked once per instance."""
        if not hasattr(self, "_system_roles"):
            from apps.identity.models.roles import Assignment

            mine = models.Q(user=self) | models.Q(group__members__user=self)
            self._system_roles = frozenset(Assignment.objects.filter(mine, system=True).values_list("role_id", flat=True))
        return self._system_roles

    # What Django's admin asks for. Its pages show; what they do goes through services, which ask the policy.
    @property
    def is_staff(self) -> bool:
        """May open the admin site: has any role on the system."""
        return self.is_active and bool(self.system_roles)

    @property
    def is_superuser(self) -> bool:
        """Administers the whole installation."""
        from apps.identity.builtin import ROLE_IDS

        return self.is_active and ROLE_IDS[Role.ADMIN] in self.system_roles

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        return self.is_superuser or (self.is_staff and ".view_" in perm)

    def has_perms(self, perms: Any, obj: Any = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perms)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_staff


class Group(models.Model):
    """Users of one domain who get their roles together."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    domain = models.ForeignKey(Project, models.PROTECT, related_name="groups")
    name = models.CharField(max_length=64)
    description = models.TextField(blank=True)
    source = models.CharField(max_length=16, choices=[(s, s) for s in SOURCES], default="database")
    external_id = models.CharField(max_length=512, blank=True, help_text="What stays the same in the directory: UUID, or name (DN).")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["domain", "name"], name="%(app_label)s_%(class)s_name_once"),
            models.UniqueConstraint(
                fields=["domain", "external_id"], condition=~models.Q(external_id=""),
                name="%(app_label)s_%(class)s_external_once",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class GroupMember(models.Model):
    """Who is in which group."""

    group = models.ForeignKey(Group, models.CASCADE, related_name="members")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "group"], name="%(app_label)s_%(class)s_once")]
