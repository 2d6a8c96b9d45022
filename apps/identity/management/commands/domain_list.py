"""manage.py domain_list"""

from typing import Any

from django.db.models import Count, Q

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands, selectors
from apps.identity.api.place_shapes import domain


class Command(CloudCommand):
    help = "List domains, with how many users and projects they have."
    examples = ("", "--json")

    def work(self, **options: Any) -> int:
        rows = selectors.domains(actor=commands.shell()).prefetch_related("tags").order_by("name")
        counted = rows.annotate(
            users_count=Count("users", distinct=True),
            projects_count=Count("projects", filter=Q(projects__is_domain=False), distinct=True),
        )
        found = [{**domain(row), "users": row.users_count, "projects": row.projects_count} for row in counted]
        self.show(found, "id", "name", "enabled", "users", "projects", "description", nothing="There is no domain.")
        return DONE
