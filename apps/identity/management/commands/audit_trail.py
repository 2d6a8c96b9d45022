"""manage.py audit_trail"""

import re
import uuid
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.audit import selectors
from apps.audit.api import lines, serializers
from apps.audit.selectors import Search
from apps.audit.states import Decision
from apps.common import clock
from apps.common.commands import DONE, CloudCommand, whole
from apps.common.context import SYSTEM
from apps.identity import trail
from apps.identity.selectors import project_named

_AGE = re.compile(r"(\d{1,6})(s|min|h|d)")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}


class Command(CloudCommand):
    help = (
        "Search the audit trail: who did what to what, from where, and what was refused. Newest first; as an export (--jsonl)\n"
        "oldest first, as many as there are. What leaks is another thing, `manage.py audit`."
    )
    examples = (
        "--since 2h", "--refused --user ann", "--resource 0190… --json", "--action compute.instance.delete --project demo --since 7d",
        "--until 2027-01-01 --jsonl > 2026.jsonl", "--after ID --jsonl >> 2026.jsonl",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", default="", metavar="NAME|ID", help="who did it; `shell`: whoever was at the shell of the control plane")
        parser.add_argument("--project", metavar="NAME|ID", help="whose trail it is in")
        parser.add_argument("--action", default="", metavar="BEGINNING", help="such as compute.instance")
        parser.add_argument("--resource-type", default="", metavar="TYPE", help="such as instance")
        parser.add_argument("--resource", dest="resource_id", default="", metavar="ID")
        parser.add_argument("--decision", default="", choices=[each.value for each in Decision])
        parser.add_argument("--refused", dest="decision", action="store_const", const=Decision.REFUSED.value, help="only what was refused")
        parser.add_argument("--request", dest="request_id", default="", metavar="ID")
        parser.add_argument("--address", default="", metavar="ADDRESS", help="where it came from")
        parser.add_argument("--since", type=moment, metavar="TIME", help="2026-11-20, 2026-11-20T12:00, or an age: 90s, 30min, 2h, 7d")
        parser.add_argument("--until", type=moment, metavar="TIME", help="before this moment; UTC where no zone is said")
        parser.add_argument("--limit", type=whole(1, 10_000_000), metavar="N", help="default: 50; with --jsonl all")
        parser.add_argument("--jsonl", action="store_true", help="JSON lines, oldest first, written while they are read")
        parser.add_argument("--after", type=uuid.UUID, metavar="ID", help="with --jsonl: go on behind this record")

    def work(self, **options: Any) -> int:
        names = ("user", "action", "resource_type", "resource_id", "decision", "request_id", "address", "since", "until")
        search = Search(project_id=_project(options["project"]), **{name: options[name] for name in names})
        rows = trail.records(actor=SYSTEM, search=search).rows
        if options["jsonl"]:
            pieces = selectors.oldest_first(rows, after=options["after"], most=options["limit"])
            for piece in lines.encoded(pieces, serializers.whole):
                self.stdout.write(piece.decode(), ending="")
            return DONE
        found = list(rows.order_by("-pk").values(*selectors.COLUMNS)[: options["limit"] or 50])
        if self.as_json:
            self.emit(found)
        else:
            self.show([_line(row) for row in found], "at", "who", "from", "action", "what", "how", nothing="There is no such record.")
        return DONE


def moment(text: str) -> datetime:
    """A type for arguments: a time, or how long ago."""
    if age := _AGE.fullmatch(text):
        return clock.now() - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"expected a time such as 2026-11-20T12:00 or an age such as 2h, got {text!r}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _project(given: str | None) -> uuid.UUID | None:
    """By id also one that is gone."""
    if not given:
        return None
    try:
        return uuid.UUID(given)
    except ValueError:
        return project_named(given).pk


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    refused = row["decision"] == Decision.REFUSED
    return {
        "at": f"{row['at']:%Y-%m-%d %H:%M:%S}", "who": row["user_name"], "from": row["address"], "action": row["action"],
        "what": f"{row['resource_type']} {row['name'] or row['resource_id']}".strip(),
        "how": f"refused: {row['reason']}" if refused else _told(row["changes"]),
    }


def _told(changes: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{field} {after}" if before is None else f"{field} {before} → {after}" for field, (before, after) in changes.items()
    )
