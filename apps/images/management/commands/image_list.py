"""manage.py image_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.common.context import SYSTEM
from apps.identity.commands import actor_of, add_project
from apps.images import selectors
from apps.images.api.serializers import image


class Command(CloudCommand):
    help = "List the images that a project may use: its own, and public ones."
    examples = ("", "--project demo --json", "--all")

    def options(self, parser: ArgumentParser) -> None:
        add_project(parser)
        parser.add_argument("--all", action="store_true", help="images of all projects")

    def work(self, **options: Any) -> int:
        rows = selectors.all_images() if options["all"] else selectors.images(actor=actor_of(options))
        found = [image(SYSTEM, row) for row in rows.order_by("-pk")]
        if not self.as_json:
            found = [{**row, "size": _size(row["size_bytes"]), "format": row["disk_format"]} for row in found]
        self.show(found, "id", "name", "state", "format", "visibility", "size", "created_at", nothing="There is no image.")
        return DONE


def _size(count: int | None) -> str:
    if count is None:
        return ""
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.1f} MiB"
