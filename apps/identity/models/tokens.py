"""Bearer tokens."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id
from apps.identity.models.credentials import ApplicationCredential, Trust
from apps.identity.models.projects import Project
from apps.identity.models.users import User


class Token(models.Model):
    """A bearer token of one user: for a project, a domain (a Project with `is_domain`), the system, or nothing yet.

    Only its SHA-256 is kept; `prefix` lets people tell theirs apart. `methods`: how its owner proved to be the owner.
    `audit_ids`: its own id for audits and that of the first of the chain of tokens that it came from.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    project = models.ForeignKey(Project, models.CASCADE, related_name="tokens", null=True)
    system = models.BooleanField(default=False)
    trust = models.ForeignKey(Trust, models.CASCADE, related_name="tokens", null=True)
    application_credential = models.ForeignKey(ApplicationCredential, models.CASCADE, related_name="tokens", null=True)
    methods = models.JSONField(default=list)
    audit_ids = models.JSONField(default=list)
    name = models.CharField(max_length=64, blank=True)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["digest"], name="%(app_label)s_%(class)s_digest_once"),
            models.CheckConstraint(
                condition=models.Q(system=False) | models.Q(project__isnull=True), name="%(app_label)s_%(class)s_one_scope"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["expires_at"], name="identity_token_expiry")]

    def __str__(self) -> str:
        return f"{self.prefix}…"
