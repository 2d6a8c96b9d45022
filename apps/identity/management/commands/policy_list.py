"""manage.py policy_list"""

import fnmatch
from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands, selectors
from apps.identity.api.role_shapes import permission
from apps.identity.permissions import SCOPES


class Command(CloudCommand):
    help = "List all permissions with the roles that have them: the lowest that suffice; `-` is not asked there."
    examples = ("", "'compute.*'", "--role operator --scope system", "--overridden --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("pattern", nargs="?", default="*", metavar="PATTERN", help="only names like this")
        parser.add_argument("--role", default="", help="only what this role gives by name")
        parser.add_argument("--scope", choices=SCOPES, help="with --role: there")
        parser.add_argument("--overridden", action="store_true", help="only what CLOUDSITE_POLICY_FILE says otherwise")

    def work(self, **options: Any) -> int:
        scopes = (options["scope"],) if options["scope"] else SCOPES
        found = [
            row for row in map(permission, selectors.permissions(actor=commands.shell()))
            if fnmatch.fnmatchcase(row["name"], options["pattern"]) and (row["overridden"] or not options["overridden"])
            and (not options["role"] or any(options["role"] in (row[scope] or ()) for scope in scopes))
        ]
        if not self.as_json:
            for row in found:
                row |= {scope: _cell(row[scope]) for scope in SCOPES}
                row |= {"own": "own" if row["own"] else "", "file": "policy file" if row["overridden"] else ""}
        self.show(found, "name", *SCOPES, "own", "file", "text", nothing="There is no such permission.")
        return DONE


def _cell(roles: list[str] | None) -> str:
    if roles is None:
        return ""
    return ", ".join(roles) or "nobody"
