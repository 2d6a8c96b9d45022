"""Register, change, take out of use and delete images."""

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from django.db import transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common import states
from apps.common.checks import CONTROL, check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Forbidden, Invalid, InvalidState, NotFound
from apps.identity import policy
from apps.images import properties as known
from apps.images import selectors, store
from apps.images.models import Image, ImageTag, Upload
from apps.images.states import LONGEST_TAG, MACHINE, MOST_TAGS, WHOLE, ImageFormat, ImageState, Visibility
from apps.operations.services import idempotency
from apps.operations.services.idempotency import Claim
from apps.quotas.services import reservations

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PARTS = (("kernel_id", ImageFormat.KERNEL), ("ramdisk_id", ImageFormat.RAMDISK))


class Changes(TypedDict, total=False):
    """What may be changed; what is given replaces all of it. `disk_format`: of queued images only."""

    name: str
    visibility: str
    protected: bool
    disk_format: str
    min_disk_gb: int
    min_memory_mb: int
    kernel_id: uuid.UUID | None
    ramdisk_id: uuid.UUID | None
    kernel_args: str
    properties: Mapping[str, str]
    tags: Sequence[str]


def register_once(*, actor: Actor, client_token: str, **wanted: Any) -> Image:
    """What `register` does, once for the same request with the same token. Raises also Conflict `client_token.reused`."""
    policy.require(actor, "images.image.create")
    return idempotency.once(
        actor=actor, token=client_token, request={"kind": "image.register", **wanted},
        make=lambda claim: register(actor=actor, claim=claim, **wanted), again=lambda ids: Image.objects.get(pk=ids[0]),
    )


def register(
    *, actor: Actor, name: str, disk_format: str, visibility: str = "private", protected: bool = False, sha256: str = "",
    properties: Mapping[str, str] | None = None, tags: Sequence[str] = (), claim: Claim = idempotency.unclaimed, **more: Any,
) -> Image:
    """A new image without data yet. `sha256`: what its data must have, in hex. `claim`: of a client token, for its id. `more`:
    min_disk_gb, min_memory_mb, kernel_id, ramdisk_id, kernel_args.

    Raises Forbidden (public ones are for operators), NotFound (kernel or ramdisk), QuotaExceeded, Invalid (`name.invalid`,
    `image.property`, `image.tags`, `image.sha256`).
    """
    policy.require(actor, "images.image.create")
    asked: dict[str, Any] = {
        **more, "name": name, "disk_format": disk_format, "visibility": visibility, "protected": protected,
        "properties": properties or {}, "tags": tags,
    }
    _check(actor, asked)
    if sha256 and not _SHA256.fullmatch(sha256):
        raise Invalid("image.sha256", "sha256: expected 64 hexadecimal digits in lower case.", field="sha256")
    words = asked.pop("tags")
    image = Image(project_id=actor.project_id, expected_sha256=sha256, **asked)
    with transaction.atomic():
        claim([image.pk])
        image.save(force_insert=True)
        _tag(image, words)
        told = {field: value for field, value in {**asked, "tags": tuple(words)}.items() if value and field != "name"}
        _record(actor, "images.image.create", image, told)
        if image.project_id is not None:
            reservations.reserve(project_id=image.project_id, amounts={"images": 1})
    return image


def update(*, actor: Actor, image_id: uuid.UUID, **wanted: Unpack[Changes]) -> Image:
    """Change what is given. Raises what `register` raises, and InvalidState `image.state`."""
    seen = owned(actor=actor, image_id=image_id, permission="images.image.update")
    asked: dict[str, Any] = {**wanted}
    _check(actor, asked)
    words = asked.pop("tags", None)
    with transaction.atomic():
        image = _locked(seen)
        changes = record.changed(image, **asked)
        if "disk_format" in changes and image.state != ImageState.QUEUED:
            text = f"This image is {image.state}; what its data are is said before they come."
            raise InvalidState("image.state", text, field="disk_format", state=image.state)
        for field, (_, value) in changes.items():
            setattr(image, field, value)
        if changes:
            image.save(update_fields=list(changes))
        if words is not None and (before := tags_of(image)) != words:
            _tag(image, words)
            changes["tags"] = [tuple(before), tuple(words)]
        if changes:
            _record(actor, "images.image.update", image, changes)
    return image


def deactivate(*, actor: Actor, image_id: uuid.UUID) -> Image:
    """Nobody boots from it or gets its content until it is reactivated. Raises NotFound, Forbidden, InvalidState."""
    return _switch(actor, image_id, ImageState.ACTIVE, ImageState.DEACTIVATED)


def reactivate(*, actor: Actor, image_id: uuid.UUID) -> Image:
    """Raises NotFound, Forbidden, InvalidState."""
    return _switch(actor, image_id, ImageState.DEACTIVATED, ImageState.ACTIVE)


def delete(*, actor: Actor, image_id: uuid.UUID) -> None:
    """Delete an image; its content goes when no other image has it.

    Raises NotFound, Forbidden, InvalidState `image.protected`, Conflict `image.in_use`.
    """
    seen = owned(actor=actor, image_id=image_id, permission="images.image.delete")
    if Image.objects.filter(Q(kernel_id=seen.pk) | Q(ramdisk_id=seen.pk), state__in=WHOLE).exists():
        raise Conflict("image.in_use", "Another image boots with this kernel or ramdisk; delete that one first.")
    with transaction.atomic():
        image = _locked(seen)
        if image.protected:
            raise InvalidState("image.protected", "This image is protected: change that first.", field="protected")
        states.move(Image.objects.filter(pk=image.pk), MACHINE, ImageState.DELETED)
        uploads = list(Upload.objects.filter(image=image).values_list("pk", flat=True))
        Upload.objects.filter(pk__in=uploads).delete()
        _record(actor, "images.image.delete", image, {"state": [image.state, ImageState.DELETED]})
        if image.project_id is not None:
            reservations.release(project_id=image.project_id, amounts={"images": 1, "image_bytes": image.size_bytes or 0})
    for upload_id in uploads:
        store.discard(upload_id)
    if image.sha256:
        # What cannot be removed now is left to the sweep.
        transaction.on_commit(lambda: forget_content(image.sha256), robust=True)


def forget_content(sha256: str) -> None:
    """Delete content unless an image has it (again). Never within a transaction."""
    with store.exclusively():
        if not Image.objects.filter(sha256=sha256).exclude(state=ImageState.DELETED).exists():
            store.remove(sha256)


def owned(*, actor: Actor, image_id: uuid.UUID, permission: str) -> Image:
    """An image to which this actor may do that. Raises NotFound, Forbidden."""
    image = selectors.shown(actor=actor, image_id=image_id, permission=permission)
    if image.project_id == actor.project_id:
        return image
    if image.visibility == Visibility.PUBLIC:
        policy.require(actor, "images.image.publish")
    elif not policy.everywhere(actor, permission):
        raise Forbidden("image.not_yours", "This image is of another project, and only that one changes it.")
    return image


def tags_of(image: Image) -> list[str]:
    """Sorted."""
    return sorted(image.tags.values_list("name", flat=True))


def _locked(seen: Image) -> Image:
    image = Image.objects.select_for_update().filter(pk=seen.pk).exclude(state=ImageState.DELETED).first()
    if image is None:
        raise NotFound("image.not_found", "This image was deleted a moment ago.")
    return image


def _switch(actor: Actor, image_id: uuid.UUID, source: ImageState, target: ImageState) -> Image:
    permission = "images.image.deactivate"
    seen = owned(actor=actor, image_id=image_id, permission=permission)
    with transaction.atomic():
        rows = Image.objects.filter(pk=seen.pk)
        if not states.move(rows.filter(state=source), MACHINE, target):
            text = f"This image is {seen.state}; expected {source.value}."
            raise InvalidState("image.state", text, state=seen.state)
        _record(actor, permission, seen, {"state": [source, target]})
    return rows.get()


def _check(actor: Actor, asked: dict[str, Any]) -> None:
    """Puts what is known into the form in which it is kept."""
    if "name" in asked:
        check_name(asked["name"])
    for field, kind in (("visibility", Visibility), ("disk_format", ImageFormat)):
        if field in asked:
            asked[field] = _one_of(kind, asked[field], field)
    if asked.get("visibility") == Visibility.PUBLIC:
        policy.require(actor, "images.image.publish")
    if "properties" in asked:
        asked["properties"] = known.checked(asked["properties"])
    if "tags" in asked:
        asked["tags"] = _checked_tags(asked["tags"])
    for field, wanted in _PARTS:
        image_id = asked.get(field)
        if image_id is not None and not selectors.usable(actor=actor, image_id=image_id, formats=[wanted]):
            raise NotFound("image.not_found", f"There is no active {wanted.value} image {image_id}.", field=field)


def _one_of(kind: Any, text: str, field: str) -> str:
    values = [each.value for each in kind]
    if text not in values:
        raise Invalid(f"image.{field}", f"{field}: expected one of {', '.join(values)}.", field=field)
    return str(text)


def _checked_tags(given: Sequence[str]) -> list[str]:
    words = sorted(set(given))
    if len(words) > MOST_TAGS or any(not word.strip() or len(word) > LONGEST_TAG or CONTROL.search(word) for word in words):
        text = f"tags: at most {MOST_TAGS}, each of 1 to {LONGEST_TAG} characters, none of them a control character."
        raise Invalid("image.tags", text, field="tags")
    return words


def _tag(image: Image, words: Sequence[str]) -> None:
    """These tags and no others, of an image that is locked or new."""
    image.tags.exclude(name__in=words).delete()
    ImageTag.objects.bulk_create([ImageTag(image=image, name=word) for word in words], ignore_conflicts=True)


def _record(actor: Actor, action: str, image: Image, changes: dict[str, Any]) -> None:
    record.write(actor, action, "image", image.pk, project_id=image.project_id, name=image.name, changes=changes)
