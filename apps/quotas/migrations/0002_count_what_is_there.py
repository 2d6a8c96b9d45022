"""Installations that are older than quotas: what their projects have is counted once."""

from collections import Counter
from typing import Any

from django.db import migrations
from django.db.models import Count, Sum


def count(apps: Any, schema_editor: Any) -> None:
    found: dict[Any, Counter[str]] = {}

    def add(model: tuple[str, str], names: tuple[str, ...], *sums: str) -> None:
        rows = apps.get_model(*model).objects.exclude(project_id=None)
        if model[1] in ("Instance", "Image"):
            rows = rows.exclude(state__in=["DELETED", "deleted"])
        for project_id, *amounts in rows.values_list("project_id").annotate(Count("pk"), *map(Sum, sums)).order_by():
            found.setdefault(project_id, Counter()).update({n: a or 0 for n, a in zip(names, amounts, strict=True)})

    add(("compute", "Instance"), ("instances", "vcpus", "memory_mb", "disk_gb"), "vcpus", "memory_mb", "disk_gb")
    add(("network", "Network"), ("networks",))
    add(("network", "Port"), ("ports",))
    add(("images", "Image"), ("images", "image_bytes"), "size_bytes")
    domains = dict(apps.get_model("identity", "Project").objects.filter(is_domain=False).values_list("pk", "domain_id"))
    usage = apps.get_model("quotas", "Usage")
    usage.objects.bulk_create(
        usage(project_id=project_id, domain_id=domains[project_id], **amounts)
        for project_id, amounts in found.items()
        if project_id in domains
    )


class Migration(migrations.Migration):

    dependencies = [
        ("quotas", "0001_initial"),
        ("identity", "0003_people_move_in"),
        ("compute", "0002_unknown_domain"),
        ("network", "0001_initial"),
        ("images", "0001_initial"),
    ]

    operations = [migrations.RunPython(count, migrations.RunPython.noop)]
