"""manage.py doctor"""

from argparse import ArgumentParser
from typing import Any

from rich.text import Text

from apps.common.commands import DONE, FAILED, CloudCommand
from cloudsite import doctor

_MARKS = {"ok": ("✔", "green"), "warning": ("!", "yellow"), "fault": ("✘", "red")}


class Command(CloudCommand):
    help = "Say what is wrong with this installation, and what to do about it. Exit code 1 if there is a fault."
    examples = ("", "--strict", "--json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--strict", action="store_true", help="exit code 1 for warnings too")

    def work(self, **options: Any) -> int:
        findings = []
        for finding in doctor.examine():
            findings.append(finding)
            if not self.as_json:
                mark, style = _MARKS[finding.verdict]
                line = Text(f"{mark} ", style=style).append(f"{finding.check:<11} ", style="bold").append(finding.what, style="default")
                self.console.print(line.append(f"  → {finding.fix}", style="cyan") if finding.fix else line)
        if self.as_json:
            self.emit([finding.as_dict() for finding in findings])
        bad = {"fault", "warning"} if options["strict"] else {"fault"}
        return FAILED if any(finding.verdict in bad for finding in findings) else DONE
