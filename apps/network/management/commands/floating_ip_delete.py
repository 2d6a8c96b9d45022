"""manage.py floating_ip_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.services import floating


class Command(CloudCommand):
    help = "Delete floating IPs that nothing uses; a refusal names what does."
    examples = ("192.0.2.7", "0190… --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("address", metavar="NAME", nargs="+", help="address or id")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        # All are looked up before the first one goes: a typing error deletes nothing.
        found = [commands.floating_ip_of(actor, text) for text in options["address"]]
        for each in found:
            floating.delete(actor=actor, floating_ip_id=each.pk)
            self.say(f"{each} ({each.pk}) is deleted.", "green")
        if self.as_json:
            self.emit({"deleted": [each.pk for each in found]})
        return DONE
