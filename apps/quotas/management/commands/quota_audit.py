"""manage.py quota_audit"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, FAILED, CloudCommand
from apps.identity.commands import shell
from apps.quotas.services import audit


class Command(CloudCommand):
    help = (
        "Count what projects have and compare it with what they are said to use. Exit code 1 if something differs (with --fix:\n"
        "if something still does). Right at any time, also while everything runs. `audit` looks at this too."
    )
    examples = ("", "--fix", "--json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--fix", action="store_true", help="what was counted becomes what is used; then look again")

    def work(self, **options: Any) -> int:
        found = left = audit.drifts()
        if options["fix"] and found:
            audit.repair(actor=shell(), project_ids=sorted({drift.project_id for drift in found}))
            left = audit.drifts()
        if self.as_json:
            self.emit({"findings": [vars(each) for each in found], "left": [vars(each) for each in left]})
        elif not found:
            self.say("Every project uses what it is said to use.", "green")
        else:
            for each in found:
                self.say(f"{'✘' if each in left or not options['fix'] else '✔'} project {each.project_id}: {each}")
            self.say(f"{len(found)} found, {len(left)} left." if options["fix"] else f"{len(found)} found. --fix counts again.", "yellow")
        return FAILED if left else DONE
