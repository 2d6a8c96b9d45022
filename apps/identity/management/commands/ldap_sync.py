"""manage.py ldap_sync"""

import time
from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.common.errors import Conflict
from apps.identity.services import directory
from apps.identity.services.directory import Report


class Command(CloudCommand):
    help = (
        "Bring users and groups of the LDAP directory here now; the ticker does so every CLOUDSITE_LDAP_SYNC_S seconds. Roles are\n"
        "given to these groups as to any (role_assign --group), before or after anybody of them has signed in."
    )
    examples = ("--dry-run", "", "--force")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--force", action="store_true", help="disable as many users, and end as many memberships, as the directory says")
        parser.add_argument("--wait", type=float, default=60, metavar="S", help="for the end of one that runs already (default: %(default)s)")

    def work(self, **options: Any) -> int:
        report = self._sync(dry_run=options["dry_run"], force=options["force"], wait_s=options["wait"])
        if self.as_json:
            self.emit({**report.counts, "problems": report.problems, "lines": report.lines})
            return DONE
        if report.lines:
            self.show(report.lines, "what", "name", "detail", nothing="")
        for problem in report.problems:
            self.say(problem, "yellow")
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in report.counts.items() if count)
        self.say(f"{'Would be: ' if options['dry_run'] else ''}{told or 'nothing to be found'}", "" if options["dry_run"] else "green")
        return DONE

    def _sync(self, *, dry_run: bool, force: bool, wait_s: float) -> Report:
        ends = time.monotonic() + wait_s
        with self.waiting("asking the directory"):
            while True:
                try:
                    return directory.sync(dry_run=dry_run, force=force)
                except Conflict:
                    if time.monotonic() > ends:
                        raise
                    time.sleep(0.5)
