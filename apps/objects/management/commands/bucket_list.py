"""manage.py bucket_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.identity.commands import actor_of, add_project, shell
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
            found += [{**shapes.bucket(row), **shapes.usage(known[row.pk])} for row in some if row.pk in known]
        self.show(
            found, "name", "project_id", "objects", "versions", "size_bytes", "uploads", "is_exact", "versioning", "has_policy", "created_at",
            nothing="There is no bucket.",
        )
        return DONE
