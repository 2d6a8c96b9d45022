"""manage.py policy_check"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, REFUSED, CloudCommand
from apps.identity import commands
from apps.identity.services import explain


class Command(CloudCommand):
    help = "Say whether a user may do something there, and why: exit code 0 is yes, 4 is no."
    examples = (
        "--user ann --project demo --permission compute.instance.create", "--user root --system --permission hosts.host.enrol",
        "--user acme/eve --domain acme --permission identity.user.create --json",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, metavar="NAME")
        parser.add_argument("--permission", required=True, metavar="NAME", help="see policy_list")
        commands.add_place(parser, required=True)

    def work(self, **options: Any) -> int:
        place = commands.place_of(options)
        verdict = explain.explain(
            actor=commands.shell(), user_id=commands.user_of(options["user"]).pk, permission=options["permission"],
            place_id=place.pk if place else None,
        )
        if self.as_json:
            self.emit({
                "allowed": verdict.allowed, "permission": verdict.permission, "because": verdict.because,
                "would_do": verdict.would_do, "givers": verdict.givers,
            })
            return DONE if verdict.allowed else REFUSED
        self.say("yes" if verdict.allowed else "no", "green" if verdict.allowed else "red")
        for line in verdict.because:
            self.say(f"  because: {line}")
        for line in verdict.would_do:
            self.say(f"  would do: the role {line}")
        for line in verdict.givers:
            self.say(f"  could be given by: {line}")
        return DONE if verdict.allowed else REFUSED
