"""manage.py bucket_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.admin import drawing
from apps.common.commands import DONE, CloudCommand, whole
from apps.identity.commands import actor_of, add_project, shell
from apps.identity.selectors import places
from apps.objects.api import shapes
from apps.objects.selectors import buckets
from apps.objects.selectors.sizes import sizes

_AT_ONCE = 100


class Command(CloudCommand):
    help = "List buckets of a project, or of all projects, with how much is in them."
    examples = ("", "--all", "--project shop --json")

    def options(self, parser: ArgumentParser) -> None:
        add_project(parser)
        parser.add_argument("--all", action="store_true", help="buckets of all projects")
        parser.add_argument("--limit", type=whole(1, 100_000), default=1000, help="default: %(default)s")

    def work(self, **options: Any) -> int:
        actor = shell() if options["all"] else actor_of(options)
        rows = list(buckets.buckets(actor=actor, all_projects=options["all"])[: options["limit"]])
        found = []
        for first in range(0, len(rows), _AT_ONCE):
            some = rows[first : first + _AT_ONCE]
            known = sizes([row.pk for row in some])
            found += [{**shapes.bucket(row), **shapes.usage(known[row.pk])} for row in some]
        if not self.as_json:
            found = _for_people(found)
        self.show(
            found, "name", "project", "objects", "versions", "size", "uploads", "versioning", "has_policy", "created_at", nothing="There is no bucket."
        )
        return DONE


def _for_people(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With names of projects, and a word where there is more than was counted."""
    owners = places.projects(actor=shell()).filter(pk__in={row["project_id"] for row in rows})
    names = dict(owners.values_list("pk", "name"))

    def counted(row: dict[str, Any], value: str) -> str:
        return value if row["is_exact"] else f"over {value}"

    return [
        {
            **row, "project": names.get(row["project_id"], row["project_id"]), "objects": counted(row, str(row["objects"])),
            "versions": counted(row, str(row["versions"])), "size": counted(row, drawing.size(row["size_bytes"])),
        }
        for row in rows
    ]
