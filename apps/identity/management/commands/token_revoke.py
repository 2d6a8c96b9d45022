"""manage.py token_revoke"""

import uuid
from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, USAGE, CloudCommand
from apps.identity.commands import acting_as, shell
from apps.identity.services import tokens


class Command(CloudCommand):
    help = "Revoke a bearer token, or all of a user's: they stop working at once."
    examples = ("01998c5e-…", "--user ann")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("token", nargs="?", type=uuid.UUID, metavar="ID", help="as `manage.py token_list` shows it")
        parser.add_argument("--user", default="", metavar="USER", help="all tokens of this user")

    def work(self, **options: Any) -> int:
        if bool(options["token"]) == bool(options["user"]):
            self.stderr.write("Give the id of a token, or --user, and not both.")
            return USAGE
        if options["user"]:
            self.say(f"{tokens.revoke_all(actor=acting_as(options['user']))} tokens are void.")
        else:
            tokens.revoke(actor=shell(), token_id=options["token"])
            self.say("The token is void.")
        return DONE
