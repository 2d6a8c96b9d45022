"""manage.py role_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands, selectors
from apps.identity.api.role_shapes import role


class Command(CloudCommand):
    help = "List roles and what they imply."
    examples = ("", "--domain acme --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_domain(parser, "only roles of this domain's own")

    def work(self, **options: Any) -> int:
        actor = commands.shell()
        rows = selectors.roles(actor=actor).select_related("domain").order_by("domain__name", "name")
        if (domain_id := commands.domain_id_of(options)) is not None:
            rows = rows.filter(domain_id=domain_id)
        implied: dict[Any, list[str]] = {}
        for each in selectors.implied_roles(actor=actor):
            implied.setdefault(each.prior_id, []).append(each.implied.name)
        found = [
            {**role(row), "domain": row.domain.name if row.domain else "", "implies": implied.get(row.pk, [])} for row in rows
        ]
        self.show(found, "id", "name", "domain", "builtin", "implies", "permissions", "description", nothing="There is no role.")
        return DONE
