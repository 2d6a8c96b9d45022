"""manage.py role_list_assignments"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.identity import commands, selectors
from apps.identity.api.role_shapes import assignment, effective
from apps.identity.selectors import Wanted
from apps.identity.services import assignments


class Command(CloudCommand):
    help = "List who has which role where: as it was given, or with --effective as it follows, and why."
    examples = ("--user ann --effective", "--project demo --effective", "--system", "--domain acme --below --json")

    def options(self, parser: ArgumentParser) -> None:
        holder = parser.add_mutually_exclusive_group()
        holder.add_argument("--user", default="", metavar="NAME")
        holder.add_argument("--group", default="", metavar="NAME")
        parser.add_argument("--role", default="", metavar="NAME")
        commands.add_place(parser, required=False)
        parser.add_argument("--below", action="store_true", help="also in all projects below")
        parser.add_argument("--effective", action="store_true", help="groups, inheritance and implied roles taken apart")
        parser.add_argument("--limit", type=whole(1, 100_000), default=1000, help="default: %(default)s")

    def work(self, **options: Any) -> int:
        place = commands.place_of(options)
        wanted = Wanted(
            user_id=commands.user_of(options["user"]).pk if options["user"] else None,
            group_id=commands.group_of(options["group"]).pk if options["group"] else None,
            role_id=assignments.role_named(options["role"]) if options["role"] else None,
            place_id=place.pk if place else None, system=options["system"] or None, include_subtree=options["below"],
        )
        if options["effective"]:
            found = [effective(each) for each in selectors.effective(actor=commands.shell(), wanted=wanted)[: options["limit"]]]
        else:
            rows = selectors.assignments(actor=commands.shell(), wanted=wanted).order_by("role__name", "pk")
            found = [assignment(row) for row in rows[: options["limit"]]]
        for each in found:
            each |= {
                "role": each["role_name"], "user": each["username"], "group": each["group_name"],
                "where": "the system" if each["system"] else each["project_name"],
            }
        columns = ("role", "user", "where", "why") if options["effective"] else ("role", "user", "group", "where", "inherited")
        self.show(found, *columns, nothing="Nobody has such a role.")
        return DONE
