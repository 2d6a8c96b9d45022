"""manage.py user_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.identity import commands, selectors
from apps.identity.api.people_shapes import user


class Command(CloudCommand):
    help = "List users."
    examples = ("", "--domain acme", "--disabled --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_domain(parser, "only of this domain")
        parser.add_argument("--disabled", action="store_true", help="only disabled ones")
        parser.add_argument("--limit", type=whole(1, 100_000), default=1000, help="default: %(default)s")

    def work(self, **options: Any) -> int:
        rows = selectors.users(actor=commands.shell()).select_related("domain").order_by("domain__name", "username")
        if (domain_id := commands.domain_id_of(options)) is not None:
            rows = rows.filter(domain_id=domain_id)
        if options["disabled"]:
            rows = rows.filter(is_active=False)
        found = [{**user(row), "name": row.username, "domain": row.domain.name} for row in rows[: options["limit"]]]
        self.show(found, "id", "name", "domain", "enabled", "source", "email", "last_login", nothing="There is no user.")
        return DONE
