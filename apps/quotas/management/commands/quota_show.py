"""manage.py quota_show"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.quotas.commands import add_owner, shown
from apps.quotas.resources import UNLIMITED


class Command(CloudCommand):
    help = "Show what a project, or all projects of a domain together, may have and have; or the default limits."
    examples = ("--project demo", "--domain Default --json", "--default")

    def options(self, parser: ArgumentParser) -> None:
        add_owner(parser, "the limits of projects that have none of their own")

    def work(self, **options: Any) -> int:
        found = shown(shell(), options)
        if self.as_json:
            self.emit(found)
            return DONE
        columns = ["resource", "used", "limit", "unit", "left"]
        if options["default"]:
            columns = ["resource", "limit", "built_in", "unit", "text"]
        elif options["project"]:
            columns += ["source", "domain_used", "domain_limit", "bounded_by"]
        rows = found["defaults"] if options["default"] else found["quotas"]
        self.show([{name: _readable(row[name]) for name in columns} for row in rows], *columns, nothing="")
        return DONE


def _readable(value: Any) -> Any:
    return "unlimited" if value == UNLIMITED else value
