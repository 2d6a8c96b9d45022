"""manage.py object_scrub"""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich import progress as bars
from rich.console import Console

from apps.common.admin import drawing
from apps.common.commands import DONE, FAILED, CloudCommand, whole
from apps.identity.commands import shell
from apps.objects.services import scrub
from apps.objects.services.scrub import Report

_STOPPED = 130


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
        self._last: Report | None = None
        try:
            with self._progress(read=not options["quick"]) as told:
                report = scrub.scrub(actor=shell(), fix=options["fix"], read=not options["quick"], most_mb_s=options["rate"], told=told)
        except BaseException as error:
            # Hours may be in it: what was found until now is told, whatever ended it.
            if self._last is not None and not self.as_json:
                self._tell(self._last)
            if not isinstance(error, KeyboardInterrupt):
                raise
            self.stderr.write("Stopped before it had looked at everything.")
            return _STOPPED
        self._tell(report)
        return FAILED if len(report.findings) > report.fixed else DONE

    @contextmanager
    def _progress(self, *, read: bool) -> Iterator[Callable[[Report], None]]:
        """A bar on standard error, where somebody can see it: of bytes, or of blobs if they are not read."""
        console = Console(stderr=True)
        counted = (bars.DownloadColumn(binary_units=True), bars.TransferSpeedColumn()) if read else (bars.MofNCompleteColumn(),)
        words = bars.TextColumn("{task.description}"), bars.TextColumn("[red]{task.fields[wrong]}")
        columns = (words[0], bars.BarColumn(), *counted, bars.TimeRemainingColumn(), words[1])
        with bars.Progress(*columns, console=console, transient=True, disable=self.as_json or not console.is_terminal) as progress:
            bar = progress.add_task("counting", total=None, wrong="")

            def told(report: Report) -> None:
                self._last = report
                done, of = (report.read_bytes, report.expected_bytes) if read else (report.checked, report.expected)
                doing = "looking for content without an object" if report.listed else "reading" if read else "looking"
                wrong = f"{len(report.findings)} wrong" if report.findings else ""
                progress.update(bar, description=doing, completed=done, total=of, wrong=wrong)

            yield told

    def _tell(self, report: Report) -> None:
        found = [{"code": each.code, "where": each.where, "blob_id": each.blob_id, "detail": each.detail} for each in report.findings]
        if self.as_json:
            self.emit({"checked": report.checked, "read_bytes": report.read_bytes, "listed": report.listed, "fixed": report.fixed, "findings": found})
            return
        for each in report.findings:
            self.say(f"{each.code}: {each}", "red")
        wrong = f"{len(found)} wrong, {report.fixed} of them mended" if found else "nothing is wrong"
        self.say(f"{report.checked} checked, {drawing.size(report.read_bytes)} read: {wrong}.", "green" if len(found) == report.fixed else "")
