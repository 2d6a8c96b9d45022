"""manage.py image_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.common.context import SYSTEM
from apps.identity.commands import actor_of, add_project, shell
from apps.images import selectors
from apps.images.api.serializers import FORMATS, STATUSES, VISIBILITIES, image
from apps.images.commands import columns
from apps.images.states import ImageState

_FILTERS = ("name", "state", "visibility", "member_status", "disk_format", "tag", "architecture")


class Command(CloudCommand):
    help = "List the images that a project may use: its own, accepted ones of others, and public ones."
    examples = ("", "--project demo --json", "--all --state saving", "--member-status pending")

    def options(self, parser: ArgumentParser) -> None:
        add_project(parser)
        parser.add_argument("--all", action="store_true", help="images of all projects")
        parser.add_argument("--name")
        parser.add_argument("--state", choices=[each.value for each in ImageState if each is not ImageState.DELETED])
        parser.add_argument("--visibility", choices=VISIBILITIES)
        parser.add_argument("--member-status", choices=[*STATUSES, "all"], help="those that others share with the project")
        parser.add_argument("--format", dest="disk_format", choices=FORMATS)
        parser.add_argument("--tag", metavar="WORD")
        parser.add_argument("--architecture", metavar="NAME")
        parser.add_argument("--limit", type=whole(1, 100_000), default=1000, help="default: %(default)s")

    def work(self, **options: Any) -> int:
        actor = shell() if options["all"] else actor_of(options)
        wanted: Any = {name: options[name] for name in _FILTERS if options[name]}
        rows = selectors.found(actor=actor, all_projects=options["all"], **wanted).prefetch_related("tags")
        found = [image(SYSTEM, row) for row in rows.order_by("-pk")[: options["limit"]]]
        if not self.as_json:
            found = [columns(row) for row in found]
        self.show(found, "id", "name", "state", "format", "visibility", "size", "created_at", nothing="There is no image.")
        return DONE
