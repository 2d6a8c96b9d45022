"""manage.py image_cache"""

import uuid
from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE
from apps.common.context import SYSTEM
from apps.common.errors import Invalid
from apps.identity.commands import actor_of, add_project
from apps.images import selectors
from apps.images.api import caches as shapes
from apps.images.services import caches
from apps.operations.api import serializers
from apps.operations.commands import OperationCommand


class Command(OperationCommand):
    help = "List which images hosts have in their caches, or have hosts fetch one before anybody boots from it."
    examples = ("", "--image debian-12 --project demo", "--host node-1 --json", "--seed --image debian-12 --zone room-2 --wait")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--image", metavar="ID", help="its id, or its name if it is the only one that --project may use")
        parser.add_argument("--host", action="append", default=[], metavar="NAME", help="name or id; may be repeated with --seed")
        parser.add_argument("--seed", action="store_true", help="have these hosts fetch the image, with its kernel and ramdisk")
        parser.add_argument("--zone", default="", help="with --seed: hosts of this zone that are up")
        parser.add_argument("--aggregate", default="", metavar="NAME", help="with --seed: hosts of this aggregate that are up; name or id")
        add_project(parser)
        self.add_waiting(parser)

    def work(self, **options: Any) -> int:
        image_id = _image(options) if options["image"] else None
        if options["seed"]:
            return self._seed(image_id, options)
        if len(options["host"]) > 1:
            raise Invalid("image.cache", "Give one host to list, or none for all.", field="host")
        rows = shapes.described(list(caches.cached(actor=SYSTEM, image_id=image_id, host="".join(options["host"]))))
        if not self.as_json:
            rows = [{**row, "image": ", ".join(each["name"] for each in row["images"]) or row["sha256"][:12], "size": _size(row)} for row in rows]
        self.show(rows, "host_name", "image", "size", "in_use", "last_used_at", "seen_at", nothing="No host has any image.")
        return DONE

    def _seed(self, image_id: uuid.UUID | None, options: dict[str, Any]) -> int:
        if image_id is None:
            raise Invalid("image.seed", "Say which image is to be fetched: --image.", field="image")
        seeded = caches.seed(
            actor=SYSTEM, image_id=image_id, hosts=options["host"], zone=options["zone"], aggregate=options["aggregate"]
        )
        found = seeded.operations
        if options["wait"]:
            found = self.wait_for(found, timeout=options["timeout"], text="fetching")
        if self.as_json:
            shown = serializers.operations(SYSTEM, serializers.rows_of(found))
            self.emit({"operations": shown, "skipped": seeded.skipped})
        else:
            for operation in found:
                self.say(f"{operation.host_name}: {operation.state} (operation {operation.pk})")
            for name, why in sorted(seeded.skipped.items()):
                self.say(f"{name}: passed over: {why}", "yellow")
        return self.verdict(found) if options["wait"] else DONE


def _image(options: dict[str, Any]) -> uuid.UUID:
    try:
        return uuid.UUID(options["image"])
    except ValueError:
        return selectors.image_named(actor=actor_of(options), name=options["image"]).pk


def _size(row: dict[str, Any]) -> str:
    count = row["size_bytes"]
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.1f} MiB"
