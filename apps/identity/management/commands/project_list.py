"""manage.py project_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.identity import commands, selectors
from apps.identity.api.place_shapes import project


class Command(CloudCommand):
    help = "List projects: all, those of a domain, or those that a user may enter."
    examples = ("", "--domain acme", "--user ann --json", "--tag paid")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_domain(parser, "only of this domain")
        parser.add_argument("--user", default="", metavar="NAME", help="only those that this user may enter")
        parser.add_argument("--tag", default="", help="only those with this tag")
        parser.add_argument("--limit", type=whole(1, 100_000), default=1000, help="default: %(default)s")

    def work(self, **options: Any) -> int:
        actor = commands.shell()
        if options["user"]:
            rows = selectors.projects_of_user(actor=actor, user_id=commands.user_of(options["user"]).pk)
        else:
            rows = selectors.projects(actor=actor)
        if (domain_id := commands.domain_id_of(options)) is not None:
            rows = rows.filter(domain_id=domain_id)
        if options["tag"]:
            rows = rows.filter(tags__name=options["tag"])
        rows = rows.select_related("domain", "parent").prefetch_related("tags").order_by("domain__name", "name")
        found = [
            {**project(row), "domain": row.domain.name if row.domain else "", "parent": row.parent.name if row.parent else ""}
            for row in rows[: options["limit"]]
        ]
        self.show(found, "id", "name", "domain", "parent", "enabled", "tags", "created_at", nothing="There is no project.")
        return DONE
