"""Admin pages of images: made, uploaded, shared, taken out of use, deleted."""

import dataclasses
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString

from apps.common.admin import access, drawing, references
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.images import selectors
from apps.images.admin import caches, forms, workers
from apps.images.models import Image, Member
from apps.images.services import images, members, uploads
from apps.images.states import ImageState, MemberStatus, Visibility

TONES = {
    ImageState.QUEUED: "off", ImageState.SAVING: "busy", ImageState.IMPORTING: "busy", ImageState.ACTIVE: "good",
    ImageState.DEACTIVATED: "off", ImageState.DELETED: "bad",
}
_STATUS_TONES = {MemberStatus.PENDING: "busy", MemberStatus.ACCEPTED: "good", MemberStatus.REJECTED: "bad"}
_WAITING = (ImageState.QUEUED, ImageState.SAVING)


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Image.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("image", model="images_image", names=_names)


def _owner(actor: Actor, image: Image) -> Actor:
    """Images are found within a project: an operator steps into the one that owns this."""
    return dataclasses.replace(actor, project_id=image.project_id)


def _create(actor: Actor, values: Mapping[str, Any]) -> Image:
    project = values["project"]
    actor = dataclasses.replace(actor, project_id=project.pk if project else None)
    return images.register(actor=actor, **forms.values_of(dict(values)))


def _change(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    changed: Any = forms.values_of(dict(values))
    return f"The image {images.update(actor=_owner(actor, image), image_id=image.pk, **changed)} is changed."


def _delete(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    images.delete(actor=_owner(actor, image), image_id=image.pk)
    return f"The image {image} is deleted."


def _give_up(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    uploads.cancel(actor=_owner(actor, image), image_id=image.pk)
    return f"The image {image} waits for its data again."


def _deactivate(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    return f"The image {images.deactivate(actor=actor, image_id=image.pk)} is out of use."


def _reactivate(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    return f"The image {images.reactivate(actor=actor, image_id=image.pk)} is in use again."


def _share(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    members.add(actor=_owner(actor, image), image_id=image.pk, project_id=values["member"].pk)
    return f"The image {image} is shared with {values['member']}, which has not accepted it yet."


def _unshare(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    members.remove(actor=_owner(actor, image), image_id=image.pk, project_id=values["member"])
    return f"The image {image} is not shared with {values['member']} any more."


def _answer(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    said = members.answer(actor=actor, image_id=image.pk, project_id=values["member"], status=values["status"])
    return f"For {said.project_id} the image {image} is {said.status}."


def _shared(image: Image) -> bool:
    return image.visibility == Visibility.SHARED and image.state != ImageState.DELETED


def _is_member(image: Image) -> bool:
    return _shared(image) and forms.is_member(image)


@admin.register(Image)
class ImageAdmin(RecordAdmin):
    """What instances boot from."""

    permission = "images.image.list"
    list_display = ("name", "state_shown", "disk_format", "visibility_shown", "size", "project", "created")
    list_filter = ("state", "disk_format", "visibility", "protected")
    search_fields = ("name", "=sha256", "=tags__name")
    search_ids = ("pk", "project_id")
    references = {"project_id": "project"}
    project = reference("project_id", "project", "project")
    kernel = reference("kernel_id", "image", "kernel")
    ramdisk = reference("ramdisk_id", "image", "ramdisk")
    facts = (
        (
            "Facts",
            (
                "disk_format", "visibility_shown", "protected", "size", "virtual_size", "project", "tags_shown", "created", "hash", "md5_shown",
                "id_shown",
            ),
        ),
        ("Needs", ("least_disk", "least_memory", "kernel", "ramdisk", "kernel_args")),
    )
    pictures = (("Properties", "properties_shown"), ("Upload", "upload_shown"), ("Members", "members_shown"))
    creation = Creation(
        permission="images.image.create", form=forms.NewImage, run=_create, warning="Its data come on the next page, or by API and commands.",
    )
    buttons = (
        Button(
            name="change", label="Change", permission="images.image.update", run=_change, form=forms.AboutImage, initial=forms.initial,
            offered=lambda image: image.state != ImageState.DELETED, bulk=False,
            warning="Instances that are there keep what they were built with.",
        ),
        Button(
            name="share", label="Share", permission="images.image.share", run=_share, form=forms.ShareForm, offered=_shared, bulk=False,
            warning="The project is asked to accept it, and then has it in its list.",
        ),
        Button(
            name="answer", label="Answer for a member", permission="images.image.accept", run=_answer, form=forms.AnswerForm, offered=_is_member,
            bulk=False, warning="This is what the project itself says to an image that is shared with it.",
        ),
        Button(
            name="unshare", label="Stop sharing", permission="images.image.share", run=_unshare, form=forms.MemberForm, offered=_is_member,
            bulk=False, warning="The project does not see it any more. Instances that it has built stay.",
        ),
        workers.IMPORT,
        workers.CONVERT,
        caches.SEED,
        Button(
            name="deactivate", label="Deactivate", permission="images.image.deactivate", run=_deactivate,
            offered=lambda image: image.state == ImageState.ACTIVE,
            warning="Nobody boots from it or gets its content until it is reactivated. Instances that run stay.",
        ),
        Button(
            name="reactivate", label="Reactivate", permission="images.image.deactivate", run=_reactivate,
            offered=lambda image: image.state == ImageState.DEACTIVATED, warning="It is as it was before.",
        ),
        Button(
            name="give_up", label="Give the upload up", permission="images.image.update", run=_give_up, dangerous=True, bulk=False,
            offered=lambda image: image.state == ImageState.SAVING, warning="What has come goes, and the image waits for its data again.",
        ),
        Button(
            name="delete", label="Delete", permission="images.image.delete", run=_delete, dangerous=True,
            offered=lambda image: image.state != ImageState.DELETED,
            warning="No new instance can boot from it. Instances that run keep their disks. "
            "The content goes when no other image has it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Image]":
        return super().get_queryset(request).prefetch_related("tags")

    def get_urls(self) -> list[Any]:
        upload = path("<path:object_id>/upload/", self.admin_site.admin_view(self.upload_view), name="images_image_upload")
        return [upload, *super().get_urls()]

    def upload_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A file of the operator's own machine, sent in pieces by the page itself; see upload.js."""
        image = self._found(request, object_id)
        if image is None:
            return self._missing(request, object_id)
        access.require(request, "images.image.update")
        context = {
            **self.context(request), "title": f"Upload to {image}", "original": image, "page": self.page_of(image), "label": "Upload",
            "content": f"/api/v1/images/{image.pk}/content", "waiting": image.state in _WAITING, "state": image.state,
        }
        return TemplateResponse(request, "admin/cloudsite/upload.html", context)

    def links(self, request: HttpRequest, row: Image) -> list[tuple[str, str]]:
        if row.state not in _WAITING or not access.may(request, "images.image.update"):
            return []
        return [("Upload", reverse("admin:images_image_upload", args=[row.pk]))]

    def headline(self, row: Image) -> SafeString:
        return self.state_shown(row)

    def is_live(self, row: Image) -> bool:
        return row.state in (ImageState.SAVING, ImageState.IMPORTING)

    @admin.display(description="state")
    def state_shown(self, image: Image) -> SafeString:
        return drawing.badge(image.state, TONES[ImageState(image.state)], busy=self.is_live(image))

    @admin.display(description="visibility")
    def visibility_shown(self, image: Image) -> SafeString:
        return drawing.badge(image.visibility, "off" if image.visibility == Visibility.PRIVATE else "busy")

    @admin.display(description="size")
    def size(self, image: Image) -> str:
        return drawing.size(image.size_bytes)

    @admin.display(description="virtual size")
    def virtual_size(self, image: Image) -> str:
        return drawing.size(image.virtual_size_bytes)

    @admin.display(description="tags")
    def tags_shown(self, image: Image) -> SafeString:
        return drawing.tags(sorted(tag.name for tag in image.tags.all()))

    @admin.display(description="made")
    def created(self, image: Image) -> SafeString:
        return drawing.ago(image.created_at)

    @admin.display(description="SHA-256")
    def hash(self, image: Image) -> SafeString:
        return drawing.code(image.sha256)

    @admin.display(description="MD5")
    def md5_shown(self, image: Image) -> SafeString:
        return drawing.code(image.md5)

    @admin.display(description="least disk, GiB")
    def least_disk(self, image: Image) -> int:
        return image.min_disk_gb

    @admin.display(description="least memory, MiB")
    def least_memory(self, image: Image) -> int:
        return image.min_memory_mb

    @admin.display(description="id")
    def id_shown(self, image: Image) -> SafeString:
        return drawing.code(image.pk)

    def properties_shown(self, image: Image) -> SafeString:
        return drawing.facts(sorted(image.properties.items())) if image.properties else drawing.EMPTY

    def upload_shown(self, image: Image) -> SafeString:
        found = selectors.under_way(image)
        if found is None:
            return drawing.EMPTY
        so_far, whole = drawing.size(found.received_bytes), found.size_bytes
        if not whole:
            return drawing.quiet(f"{so_far} so far; nobody has said how much there will be.")
        return drawing.meter("uploaded", found.received_bytes, whole, text=f"{so_far} of {drawing.size(whole)}")

    def members_shown(self, image: Image) -> SafeString:
        rows = list(Member.objects.filter(image=image).order_by("pk"))
        if not rows:
            return drawing.EMPTY
        names = references.names("project", {row.project_id for row in rows})
        return drawing.table(
            ("project", "id", "says", "since"),
            (
                (
                    references.link("project", row.project_id, names.get(row.project_id, "")), drawing.code(row.project_id),
                    drawing.badge(row.status, _STATUS_TONES[MemberStatus(row.status)]), drawing.ago(row.updated_at),
                )
                for row in rows
            ),
        )
