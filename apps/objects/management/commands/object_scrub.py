"""manage.py object_scrub"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, FAILED, CloudCommand, whole
from apps.identity.commands import shell
from apps.objects.services import scrub
from apps.objects.services.scrub import Report

_MIB = 1024**2


class Command(CloudCommand):
    help = "Check that every object has its content, unchanged, and that all content has its object. Ends with 1 if something is left wrong."
    examples = ("", "--quick", "--fix", "--rate 0 --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--quick", action="store_true", help="look whether the content is there, and how long it is; do not read it")
        parser.add_argument("--rate", type=whole(0, 100_000), metavar="MIB", help="read at most so much in a second; 0: as it goes (default: the setting object_scrub_mb_s)")
        parser.add_argument(
            "--fix", action="store_true",
            help="remove content without an object, and delete versions whose content is missing; damaged ones are left to you",
        )

    def work(self, **options: Any) -> int:
        with self.waiting("scrubbing") as status:
            def told(report: Report) -> None:
                if status is not None:
                    status.update(f"{report.checked} checked, {report.read_bytes // _MIB} MiB read, {len(report.findings)} wrong")

            report = scrub.scrub(actor=shell(), fix=options["fix"], read=not options["quick"], most_mb_s=options["rate"], told=told)
        self._tell(report)
        return FAILED if len(report.findings) > report.fixed else DONE

    def _tell(self, report: Report) -> None:
        found = [{"code": each.code, "where": each.where, "blob_id": each.blob_id, "detail": each.detail} for each in report.findings]
        if self.as_json:
            self.emit({"checked": report.checked, "read_bytes": report.read_bytes, "fixed": report.fixed, "findings": found})
            return
        for each in report.findings:
            self.say(f"{each.code}: {each}", "red")
        self.say(
            f"{report.checked} checked, {report.read_bytes // _MIB} MiB read; {len(found)} wrong, {report.fixed} of them mended.",
            "green" if len(found) == report.fixed else "",
        )
