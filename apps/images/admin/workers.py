"""Buttons that have image workers do something: fetch the data of an image, or make another one of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from django import forms

from apps.common.admin.buttons import Button
from apps.common.context import Actor
from apps.common.errors import Invalid
from apps.images import conversion
from apps.images.models import Image
from apps.images.services import convert, imports
from apps.images.states import ImageState


class ImportForm(forms.Form):
    """Where the data are."""

    url = forms.CharField(required=False, max_length=2048, label="URL", help_text="http:// or https://, at a public address.")
    bucket = forms.CharField(required=False, max_length=63, help_text="In the place of a URL: an object of the object store.")
    key = forms.CharField(required=False, max_length=1024, strip=False, help_text="Of the object, in that bucket.")
    sha256 = forms.RegexField(r"[0-9a-fA-F]{64}", required=False, label="SHA-256", help_text="What comes is refused if it has another one.")


class ConvertForm(forms.Form):
    """What is to be made of it."""

    disk_format = forms.ChoiceField(choices=[(each, each) for each in conversion.FORMATS], help_text="Hosts take qcow2 and raw.")
    name = forms.CharField(required=False, max_length=255, help_text="Empty: this image's name with the format behind it.")


def _owner(actor: Actor, image: Image) -> Actor:
    return dataclasses.replace(actor, project_id=image.project_id)


def _import(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    url, bucket, key = values["url"], values["bucket"], values["key"]
    if bool(url) == bool(bucket and key) or (url and (bucket or key)):
        raise Invalid("image.source", "Give a URL, or a bucket and a key.", field="url")
    sha256 = values["sha256"]
    source = imports.FromUrl(url=url, sha256=sha256) if url else imports.FromObject(bucket=bucket, key=key, sha256=sha256)
    imports.start(actor=_owner(actor, image), image_id=image.pk, source=source)
    return f"The data of {image} are on their way; this page says how far they are."


def _convert(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    made, _ = convert.start(actor=_owner(actor, image), image_id=image.pk, disk_format=values["disk_format"], name=values["name"])
    return f"{image} is being converted; the new image is {made}."


IMPORT = Button(
    name="import", label="Import", permission="images.image.update", run=_import, form=ImportForm, bulk=False,
    offered=lambda image: image.state == ImageState.QUEUED,
    warning="An image worker fetches the data. They are inspected before the image becomes active.",
)
CONVERT = Button(
    name="convert", label="Convert", permission="images.image.create", run=_convert, form=ConvertForm, bulk=False,
    offered=lambda image: image.state == ImageState.ACTIVE and image.disk_format in conversion.FORMATS,
    warning="This image stays as it is: the other format is a new image of the same project.",
)
