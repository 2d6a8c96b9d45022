"""manage.py user_unlock"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell, user_of
from apps.identity.services import unlocking


class Command(CloudCommand):
    help = "Let a user sign in again who is locked after too many wrong passwords or codes; it would end by itself."
    examples = ("ann", "sales/ann")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER", help="domain/name for users of another domain than the default one")
        parser.add_argument("--totp", action="store_true", help="also take away the second factor, of who has lost the phone")

    def work(self, **options: Any) -> int:
        done = unlocking.unlock(actor=shell(), user_id=user_of(options["user"]).pk, with_second_factor=options["totp"])
        self.say(f"{options['user']}: {done.failures} failures are forgotten{', and the second factor is off' if done.had_second_factor else ''}.")
        if self.as_json:
            self.emit({"failures": done.failures, "second_factor_removed": done.had_second_factor})
        return DONE
