"""Instances say which network cards they were asked for with, and of which family each of their addresses is."""

from typing import Any

from django.db import migrations, models


def families(apps: Any, schema_editor: Any) -> None:
    """All addresses were IPv4 until now."""
    instance = apps.get_model("compute", "Instance")
    changed = []
    for row in instance.objects.exclude(addresses=[]).only("addresses").iterator(chunk_size=500):
        row.addresses = [{"family": 4, **address} for address in row.addresses]
        changed.append(row)
    instance.objects.bulk_update(changed, ["addresses"], batch_size=500)


class Migration(migrations.Migration):

    dependencies = [
        ('compute', '0002_unknown_domain'),
    ]

    operations = [
        migrations.AddField(
            model_name='instance',
            name='wanted_cards',
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.AddField(
            model_name='instance',
            name='cards_in_doubt',
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.RunPython(families, migrations.RunPython.noop),
    ]
