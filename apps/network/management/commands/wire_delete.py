"""manage.py wire_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.common.errors import NotFound
from apps.identity.commands import shell
from apps.network import selectors
from apps.network.services import pools


class Command(CloudCommand):
    help = "Take a wire away that no network and no pool is on; a refusal names those that are."
    examples = ("blue",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")

    def work(self, **options: Any) -> int:
        wire = selectors.wires(actor=shell()).filter(name=options["name"]).first()
        if wire is None:
            raise NotFound("wire.not_found", f"There is no wire named {options['name']!r}.", field="name")
        pools.remove_wire(actor=shell(), wire_id=wire.pk)
        if self.as_json:
            self.emit({"deleted": [wire.pk]})
        else:
            self.say(f"The wire {wire.name} is deleted.", "green")
        return DONE
