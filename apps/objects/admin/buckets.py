"""Admin pages of buckets."""

import dataclasses
import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.identity.admin.forms import ProjectChoice
from apps.objects.access.acl import CANNED
from apps.objects.access.asking import canonical
from apps.objects.access.exposure import Exposure
from apps.objects.admin.grants import grants
from apps.objects.models import Bucket, Upload, Version
from apps.objects.selectors.gate import exposed
from apps.objects.selectors.sizes import Size, sizes
from apps.objects.services import buckets
from apps.objects.states import Versioning

# So far a list of 50 buckets is counted.
_MOST_IN_LIST = 10_000
_VERSIONING = {Versioning.NEVER: ("never", "off"), Versioning.ENABLED: ("enabled", "good"), Versioning.SUSPENDED: ("suspended", "warn")}
_EXPOSED = {
    Exposure.NOBODY: ("its project", "off"), Exposure.SOME: ("some others", "busy"), Exposure.READ: ("all to read", "warn"),
    Exposure.WRITE: ("all to write", "bad"),
}
_OPERATORS = "The project's own members can do this with any client of S3."


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Bucket.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("bucket", model="objects_bucket", names=_names)


class NewBucketForm(forms.Form):
    """A bucket of a project."""

    name = forms.CharField(max_length=63, help_text="3 to 63 lower-case letters, digits, dots and hyphens; unique in the installation.")
    project = ProjectChoice()
    acl = forms.ChoiceField(choices=[(name, name) for name in sorted(CANNED)], initial="private", label="Access list")


class VersioningForm(forms.Form):
    """Once enabled, it can only be suspended."""

    versioning = forms.ChoiceField(choices=[(each.value, each.value) for each in (Versioning.ENABLED, Versioning.SUSPENDED)])


def _create(actor: Actor, values: Mapping[str, Any]) -> Bucket:
    actor = dataclasses.replace(actor, project_id=values["project"].pk)
    return buckets.create(actor=actor, name=values["name"], acl={"canned": values["acl"]} if values["acl"] != "private" else None)


def _delete(actor: Actor, bucket: Bucket, values: Mapping[str, Any]) -> str:
    buckets.delete(actor=actor, name=bucket.name)
    return f"The bucket {bucket} is deleted."


def _set_versioning(actor: Actor, bucket: Bucket, values: Mapping[str, Any]) -> str:
    buckets.put_versioning(actor=actor, name=bucket.name, versioning=Versioning(values["versioning"]))
    return f"Versioning of {bucket} is {values['versioning']}."


def _drop_policy(actor: Actor, bucket: Bucket, values: Mapping[str, Any]) -> str:
    buckets.put_policy(actor=actor, name=bucket.name, policy=None)
    return f"The bucket {bucket} has no policy any more."


@admin.register(Bucket)
class BucketAdmin(RecordAdmin):
    """Buckets, and how much is in them as far as that is quickly counted."""

    permission = "objects.bucket.list"
    list_display = ("name", "project", "objects_shown", "size_shown", "versioning_shown", "exposed_shown", "created")
    list_filter = ("versioning",)
    search_fields = ("name",)
    search_ids = ("pk", "project_id", "user_id")
    references = {"project_id": "project", "user_id": "user"}
    project = reference("project_id", "project", "project")
    user = reference("user_id", "user", "made by")
    facts = (
        ("Facts", ("project", "user", "size_shown", "exposed_shown", "versioning_shown", "tags_shown", "created", "id_shown")),
    )
    pictures = (("Content", "content_shown"), ("Access list", "acl_shown"), ("Policy", "policy_shown"), ("CORS", "cors_shown"))
    creation = Creation(permission="objects.bucket.create", form=NewBucketForm, run=_create, warning="Members of the project have it at once.")
    buttons = (
        Button(
            name="versioning", label="Set versioning", question="Set versioning of {rows}", permission="objects.bucket.update", run=_set_versioning,
            form=VersioningForm, bulk=False, warning=f"Enabled: what is replaced and deleted is kept, and counts in the quota. {_OPERATORS}",
        ),
        Button(
            name="drop_policy", label="Take the policy away", question="Take the policy of {rows} away", permission="objects.bucket.unlock",
            run=_drop_policy, offered=lambda bucket: bucket.policy is not None, dangerous=True,
            warning="What it allows is not allowed any more, and what it denies is not denied.",
        ),
        Button(
            name="delete", label="Delete", permission="objects.bucket.delete", run=_delete, dangerous=True, gone=True,
            warning="Refused while there are objects in it, or old versions of them. Uploads in parts that are under way end.",
        ),
    )

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        super().prepare(request, rows)
        found = sizes([row.pk for row in rows], most=_MOST_IN_LIST)
        for row in rows:
            row.size_known = found.get(row.pk)

    def headline(self, row: Any) -> SafeString:
        size = _size(row)
        return drawing.badge("empty", "off") if size == Size() else drawing.EMPTY

    def links(self, request: HttpRequest, row: Any) -> list[tuple[str, str]]:
        pages = (("Versions", Version), ("Uploads", Upload))
        return [
            (label, f"{reverse(f'admin:objects_{model._meta.model_name}_changelist')}?bucket={row.pk}") for label, model in pages
        ]

    @admin.display(description="objects")
    def objects_shown(self, bucket: Bucket) -> str:
        found = _size(bucket)
        return _at_least(found, drawing.number(found.objects))

    @admin.display(description="size")
    def size_shown(self, bucket: Bucket) -> str:
        """All that counts in the quota."""
        found = _size(bucket)
        return _at_least(found, drawing.size(found.size_bytes + found.upload_bytes))

    @admin.display(description="versioning")
    def versioning_shown(self, bucket: Bucket) -> SafeString:
        return drawing.badge(*_VERSIONING[Versioning(bucket.versioning)])

    @admin.display(description="open to")
    def exposed_shown(self, bucket: Bucket) -> SafeString:
        return drawing.badge(*_EXPOSED[exposed(bucket)], title="By its access list and its policy. Objects can have access lists of their own.")

    def content_shown(self, bucket: Bucket) -> SafeString:
        """What takes how much of the quota: objects, what versioning keeps of them, and what is on its way."""
        found = _size(bucket)
        total = found.size_bytes + found.upload_bytes
        kinds = (
            ("objects", found.objects, found.object_bytes, "good"),
            ("older versions", found.versions - found.objects, found.size_bytes - found.object_bytes, "warn"),
            ("uploads", found.uploads, found.upload_bytes, "busy"),
        )
        lines = []
        for name, count, size, tone in kinds:
            told = f"{drawing.size(size)} in {drawing.number(count)}"
            lines.append((name, drawing.bar(size / total if total else 0, tone, label=f"{name}: {told}"), told if count else "none"))
        return drawing.stack(drawing.beside(*line) for line in lines)

    @admin.display(description="tags")
    def tags_shown(self, bucket: Bucket) -> SafeString:
        return drawing.tags(f"{name}={value}" for name, value in bucket.tags.items())

    def acl_shown(self, bucket: Bucket) -> SafeString:
        owner = canonical(bucket.user_id)
        return grants(bucket.acl, owner, owner)

    def policy_shown(self, bucket: Bucket) -> SafeString:
        return drawing.EMPTY if bucket.policy is None else drawing.terminal(json.dumps(bucket.policy, indent=2))

    def cors_shown(self, bucket: Bucket) -> SafeString:
        return drawing.terminal(json.dumps(bucket.cors, indent=2)) if bucket.cors else drawing.EMPTY

    @admin.display(description="made")
    def created(self, bucket: Bucket) -> SafeString:
        return drawing.ago(bucket.created_at)

    @admin.display(description="id")
    def id_shown(self, bucket: Bucket) -> SafeString:
        return drawing.code(bucket.pk)


def _at_least(found: Size, text: str) -> str:
    return text if found.is_exact else f"over {text}"


def _size(bucket: Any) -> Size:
    """Of a row of a list, or of the one that a page is about; the same for all its facts."""
    if getattr(bucket, "size_known", None) is None:
        bucket.size_known = sizes([bucket.pk])[bucket.pk]
    found: Size = bucket.size_known
    return found
