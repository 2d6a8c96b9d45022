"""manage.py group_members"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands, selectors
from apps.identity.api.people_shapes import user
from apps.identity.services import groups


class Command(CloudCommand):
    help = "Show who is in a group; put users in, take users out. They gain and lose its roles with their next request."
    examples = ("ops", "ops --add ann bob", "ops --remove acme/eve")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("group", metavar="GROUP")
        parser.add_argument("--add", nargs="+", default=[], metavar="USER")
        parser.add_argument("--remove", nargs="+", default=[], metavar="USER")

    def work(self, **options: Any) -> int:
        actor, group = commands.shell(), commands.group_of(options["group"])
        added = [commands.user_of(name) for name in options["add"]]
        removed = [commands.user_of(name) for name in options["remove"]]
        for row in added:
            groups.add_member(actor=actor, group_id=group.pk, user_id=row.pk)
        for row in removed:
            groups.remove_member(actor=actor, group_id=group.pk, user_id=row.pk)
        rows = selectors.members(actor=actor, group_id=group.pk).select_related("domain").order_by("username")
        found = [{**user(row), "name": row.username, "domain": row.domain.name} for row in rows]
        self.show(found, "id", "name", "domain", "enabled", nothing=f"Nobody is in {group.name}.")
        return DONE
