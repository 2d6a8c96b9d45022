"""Placement is in the catalog of installations that were there before it."""

from django.db import migrations

from apps.identity import builtin


def add(apps, schema_editor):
    Service, Endpoint = apps.get_model("identity", "Service"), apps.get_model("identity", "Endpoint")
    if not Endpoint.objects.filter(id=builtin.ENDPOINT_IDS["identity"]).exists():
        return  # an emptied database: `bootstrap` makes everything
    service, _ = Service.objects.get_or_create(
        id=builtin.SERVICE_IDS["placement"], defaults={"type": "placement", "name": builtin.SERVICES["placement"]}
    )
    Endpoint.objects.get_or_create(
        id=builtin.ENDPOINT_IDS["placement"],
        defaults={
            "service": service, "interface": "public", "region_id": builtin.REGION_ID, "url": builtin.ENDPOINTS["placement"],
        },
    )


class Migration(migrations.Migration):
    dependencies = [("identity", "0005_ldap")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
