"""manage.py bucket_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.objects.selectors import buckets as reads
from apps.objects.services import buckets


class Command(CloudCommand):
    help = "Delete empty buckets, with the uploads in parts that are under way there. Objects, and old versions of them, are in the way."
    examples = ("backups site", "backups --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("bucket", metavar="NAME", nargs="+")

    def work(self, **options: Any) -> int:
        actor = shell()
        # All are looked up before the first one goes: a typing error deletes nothing.
        found = [reads.named(name) for name in dict.fromkeys(options["bucket"])]
        for each in found:
            buckets.delete(actor=actor, name=each.name)
            self.say(f"The bucket {each.name} is deleted.", "green")
        if self.as_json:
            self.emit({"deleted": [each.name for each in found]})
        return DONE
