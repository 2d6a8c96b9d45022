"""manage.py instance_console"""

import time
from argparse import ArgumentParser
from typing import Any

import msgspec

from apps.common.commands import DONE, whole
from apps.common.context import SYSTEM
from apps.compute import commands
from apps.compute.services import console
from apps.identity.commands import actor_of, add_project
from apps.operations.commands import OperationCommand

_LONGEST = 1024 * 1024


class Command(OperationCommand):
    help = "Print the end of an instance's serial console log."
    examples = ("web-1", "web-1 --follow", "0190… --max-bytes 2000 --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_instance(parser)
        add_project(parser)
        parser.add_argument("--max-bytes", type=whole(1, _LONGEST), default=65536, help="default: %(default)s")
        parser.add_argument("--follow", action="store_true", help="go on printing what comes, until Ctrl-C")

    def work(self, **options: Any) -> int:
        instance = commands.find(lambda: actor_of(options), options["id"])
        with self.waiting(f"asking the host of {instance.name}"):
            output = console.read(actor=SYSTEM, instance_id=instance.pk, max_bytes=options["max_bytes"])
        if self.as_json:
            self.emit(msgspec.structs.asdict(output))
            return DONE
        self.stdout.write(output.text, ending="")
        seen = output.text
        try:
            while options["follow"]:
                time.sleep(1)
                fresh = console.read(actor=SYSTEM, instance_id=instance.pk, max_bytes=_LONGEST).text
                self.stdout.write(_new_part(seen, fresh), ending="")
                self.stdout.flush()
                seen = fresh
        except KeyboardInterrupt:
            pass
        return DONE


def _new_part(seen: str, fresh: str) -> str:
    """What `fresh` says after what was seen; all of it if the log began anew."""
    tail = seen[-2000:]
    at = fresh.rfind(tail)
    return fresh[at + len(tail) :] if at >= 0 else fresh
