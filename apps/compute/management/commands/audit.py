"""manage.py audit"""

import time
from argparse import ArgumentParser
from typing import Any

from rich.text import Text

from apps.common.commands import DONE, FAILED, CloudCommand
from apps.compute.services import audit
from apps.identity.commands import shell


class Command(CloudCommand):
    help = (
        "Prove from the database, the image store and the hosts' last observations that nothing leaks: capacity, addresses,\n"
        "files, machines on hosts, work that nobody does. Exit code 1 if something is found (with --fix: if something is left).\n"
        "Who did what to what is another thing, `manage.py audit_trail`."
    )
    examples = ("", "--fix", "--fix --wait 30 --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--fix", action="store_true", help="repair by the ordinary ways, then look again")
        parser.add_argument(
            "--wait", type=float, default=0, metavar="S", help="with --fix: give hosts so many seconds to do their part"
        )

    def work(self, **options: Any) -> int:
        found = left = audit.run()
        if options["fix"] and found:
            audit.repair(found, actor=shell())
            left = self._look_again(options["wait"])
        if self.as_json:
            self.emit({"findings": [each.as_dict() for each in found], "left": [each.as_dict() for each in left]})
        else:
            self._tell(found, left, fixed=options["fix"])
        return FAILED if left else DONE

    def _look_again(self, seconds: float) -> list[audit.Finding]:
        ends = time.monotonic() + seconds
        with self.waiting("looking again"):
            while (left := audit.run()) and time.monotonic() < ends:
                time.sleep(0.5)
        return left

    def _tell(self, found: list[audit.Finding], left: list[audit.Finding], *, fixed: bool) -> None:
        if not found:
            self.say("Nothing leaks.", "green")
            return
        for each in found:
            mended = fixed and each not in left
            mark = Text("✔ " if mended else "✘ ", style="green" if mended else "red")
            mark.append(f"{each.code:<22} ", style="bold")
            self.console.print(mark.append(each.what).append(f"  → {each.fix}", style="bright_black"))
        for each in left:
            if each not in found:
                self.say(f"✘ {each.code:<22} {each.what}", "red")
        if fixed:
            self.say(f"{len(found)} found, {len(left)} left.", "yellow" if left else "green")
        else:
            self.say(f"{len(found)} found. --fix repairs what can be repaired from here.", "red")
