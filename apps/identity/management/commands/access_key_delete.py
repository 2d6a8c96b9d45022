"""manage.py access_key_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.identity.services import access_keys


class Command(CloudCommand):
    help = "Delete an access key: whatever is signed with it is refused at once."
    examples = ("AK0123456789ABCDEFGH",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("access", metavar="ACCESS_KEY_ID")

    def work(self, **options: Any) -> int:
        access_keys.delete(actor=shell(), access=options["access"])
        self.say(f"{options['access']} is deleted.")
        return DONE
