"""manage.py pool_delete"""

import uuid
from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.network.services import pools


class Command(CloudCommand):
    help = "Take pools of segments away that no network has segments of; a refusal names those that do."
    examples = ("0190…",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("pool", metavar="ID", nargs="+", type=uuid.UUID, help="see pool_list")

    def work(self, **options: Any) -> int:
        for pool_id in options["pool"]:
            pools.remove(actor=shell(), pool_id=pool_id)
            self.say(f"The pool {pool_id} is deleted.", "green")
        if self.as_json:
            self.emit({"deleted": options["pool"]})
        return DONE
