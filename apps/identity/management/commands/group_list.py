"""manage.py group_list"""

from argparse import ArgumentParser
from typing import Any

from django.db.models import Count

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands, selectors
from apps.identity.api.people_shapes import group


class Command(CloudCommand):
    help = "List groups."
    examples = ("", "--domain acme", "--user ann --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_domain(parser, "only of this domain")
        parser.add_argument("--user", default="", metavar="NAME", help="only those that this user is in")

    def work(self, **options: Any) -> int:
        actor = commands.shell()
        if options["user"]:
            rows = selectors.groups_of_user(actor=actor, user_id=commands.user_of(options["user"]).pk)
        else:
            rows = selectors.groups(actor=actor)
        if (domain_id := commands.domain_id_of(options)) is not None:
            rows = rows.filter(domain_id=domain_id)
        rows = rows.select_related("domain").order_by("domain__name", "name")
        found = [
            {**group(row), "domain": row.domain.name, "members": row.members_count}
            for row in rows.annotate(members_count=Count("members"))
        ]
        self.show(found, "id", "name", "domain", "members", "source", "description", nothing="There is no group.")
        return DONE
