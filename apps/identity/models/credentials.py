"""What lets programs act for a user: application credentials, trusts, access keys and other kept secrets."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id
from apps.identity.models.projects import Project
from apps.identity.models.roles import Role
from apps.identity.models.users import User


class AccessRule(models.Model):
    """One kind of request that an application credential may make: service type, method, path with `*`, `**`, `{name}`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="access_rules")
    service = models.CharField(max_length=64)
    method = models.CharField(max_length=16)
    path = models.CharField(max_length=128)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "service", "method", "path"], name="%(app_label)s_%(class)s_once")
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path} of {self.service}"


class ApplicationCredential(models.Model):
    """A password for a program, for one project, with at most the roles and permissions that its owner gave it.

    `secret` is hashed like a password. `permissions`: null is all that the roles give. `unrestricted`: may make further
    credentials. A role that its owner loses is lost to it as well.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="application_credentials")
    project = models.ForeignKey(Project, models.CASCADE, related_name="application_credentials")
    name = models.CharField(max_length=255)
    description = models.TextField(blank=True)
    secret = models.CharField(max_length=128)
    roles = models.ManyToManyField(Role, related_name="application_credentials")
    permissions = models.JSONField(null=True)
    unrestricted = models.BooleanField(default=False)
    access_rules = models.ManyToManyField(AccessRule, related_name="application_credentials")
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "name"], name="%(app_label)s_%(class)s_name_once")]

    def __str__(self) -> str:
        return self.name


class Trust(models.Model):
    """The trustor lets the trustee act in a project with some of the trustor's roles, and may end it at any time.

    `remaining_uses`: null is without limit. `deleted_at`: ended, kept for the record.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    trustor = models.ForeignKey(User, models.CASCADE, related_name="trusts_given")
    trustee = models.ForeignKey(User, models.CASCADE, related_name="trusts_taken")
    project = models.ForeignKey(Project, models.CASCADE, related_name="trusts", null=True)
    roles = models.ManyToManyField(Role, related_name="trusts")
    impersonation = models.BooleanField()
    expires_at = models.DateTimeField(null=True)
    remaining_uses = models.PositiveIntegerField(null=True)
    allow_redelegation = models.BooleanField(default=False)
    redelegation_count = models.PositiveIntegerField(default=0)
    redelegated_from = models.ForeignKey("self", models.CASCADE, related_name="redelegations", null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.trustor} to {self.trustee}"


class Credential(models.Model):
    """A secret that must be readable to be used, so sealed and not hashed: access keys (`ec2`), `totp` seeds, others.

    `blob` is sealed by `common.vault`. An access key's `access` is its public half, for EC2 and S3. `last_step`: the
    newest TOTP step that was used, since each counts once. `verified`: the owner has shown to have the TOTP seed.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="credentials")
    project = models.ForeignKey(Project, models.CASCADE, related_name="credentials", null=True)
    trust = models.ForeignKey(Trust, models.CASCADE, related_name="credentials", null=True)
    application_credential = models.ForeignKey(ApplicationCredential, models.CASCADE, related_name="credentials", null=True)
    type = models.CharField(max_length=255)
    name = models.CharField(max_length=64, blank=True)
    access = models.CharField(max_length=128, null=True)  # noqa: DJ001  (null: it has none, and only some must differ)
    blob = models.TextField()
    verified = models.BooleanField(default=True)
    last_step = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["access"], name="%(app_label)s_%(class)s_access_once"),
            models.CheckConstraint(
                condition=~models.Q(type="ec2") | models.Q(access__isnull=False, project__isnull=False),
                name="%(app_label)s_%(class)s_ec2_whole",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["user", "type"], name="identity_credential_of")]

    def __str__(self) -> str:
        return self.access or f"{self.type} {self.pk}"
