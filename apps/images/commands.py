"""For commands about images: finding them by id or name, and what they show."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from apps.common import ids
from apps.common.context import Actor
from apps.common.errors import Conflict, NotFound
from apps.images import selectors
from apps.images.models import Image


def add_image(parser: ArgumentParser) -> None:
    """The argument that names an image."""
    parser.add_argument("image", metavar="IMAGE", help="id, or name where only one image has it")


def image_of(actor: Actor, text: str) -> Image:
    """By id, or by name: the project's own before those of others. Raises NotFound, Conflict."""
    key = ids.parse(text)
    if key is not None:
        return selectors.shown(actor=actor, image_id=key)
    rows = list(selectors.images(actor=actor).filter(name=text).order_by("-pk")[:50])
    own = [row for row in rows if row.project_id == actor.project_id] or rows
    if not own:
        raise NotFound("image.not_found", f"There is no image {text!r} in this project, nor a public one.", field="image")
    if len(own) > 1:
        raise Conflict("image.ambiguous", f"{len(own)} images are named {text!r}: give an id.", field="image")
    return own[0]


def pair(text: str) -> tuple[str, str]:
    """A type for arguments: `NAME=VALUE`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def add_facts(parser: ArgumentParser) -> None:
    """What may be said of an image, new or not."""
    parser.add_argument("--property", type=pair, action="append", default=[], metavar="NAME=VALUE", help="once for each")
    parser.add_argument("--tag", action="append", default=[], metavar="WORD", help="once for each")


def size(count: int | None) -> str:
    """For people."""
    if count is None:
        return ""
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.1f} MiB"


def columns(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a table of images."""
    return {**row, "size": size(row["size_bytes"]), "format": row["disk_format"]}
