"""manage.py ldap_check"""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from rich.text import Text

from apps.common.commands import DONE, FAILED, CloudCommand
from apps.identity.directory import config, diagnosis
from apps.identity.services.directory_lookup import look_up

_MARKS = {"ok": ("✔", "green"), "warning": ("!", "yellow"), "fault": ("✘", "red")}


class Command(CloudCommand):
    help = "Ask the LDAP directory step by step: connect, bind, find users and groups; with --user also what would become of one. Exit code 1 if a step fails."
    examples = ("", "--user ann", "--user ann --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", default="", metavar="NAME", help="its name in the directory")

    def work(self, **options: Any) -> int:
        if not config.is_configured():
            config.load()
        steps = []
        for step in diagnosis.examine():
            steps.append(step)
            mark, style = _MARKS[step.verdict]
            line = Text(f"{mark} ", style=style).append(f"{step.name:<10} ", style="bold").append(step.what, style="default")
            self.say_line(line.append(f"  → {step.fix}", style="cyan") if step.fix else line)
        failed = any(step.verdict == "fault" for step in steps)
        found = look_up(options["user"]) if options["user"] and not failed else None
        if self.as_json:
            self.emit({"steps": [asdict(step) for step in steps], "user": found and asdict(found)})
        elif found is not None:
            self.say("")
            self.facts(asdict(found))
        return FAILED if failed else DONE

    def say_line(self, line: Text) -> None:
        if not self.as_json:
            self.console.print(line)
