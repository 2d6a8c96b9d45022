from django.db import migrations


def fill(apps, schema_editor):
    """The zones that hosts are in already, and the one that they are in unless somebody says otherwise."""
    host, zone, floor = (apps.get_model("hosts", name) for name in ("Host", "Zone", "DeltaFloor"))
    names = {"default", *host.objects.values_list("zone", flat=True).distinct()}
    zone.objects.bulk_create(zone(name=name) for name in sorted(names))
    floor.objects.get_or_create(pk=1)


class Migration(migrations.Migration):

    dependencies = [
        ('hosts', '0002_zones_aggregates_deltas'),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
