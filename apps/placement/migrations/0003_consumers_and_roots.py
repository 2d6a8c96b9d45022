from django.db import migrations


def fill(apps, schema_editor):
    """Every provider is the root of its own tree and a host's, as all that it has; who holds allocations is an instance of ours."""
    provider, allocation, consumer = (apps.get_model("placement", name) for name in ("ResourceProvider", "Allocation", "Consumer"))
    apps.get_model("placement", "Inventory").objects.update(reported=True)
    for row in provider.objects.iterator():
        provider.objects.filter(pk=row.pk).update(root_id=row.pk)
    seen = {}
    for consumer_id, project_id in allocation.objects.values_list("consumer_id", "project_id").iterator():
        seen[consumer_id] = consumer(pk=consumer_id, project_id=str(project_id or ""), type="INSTANCE", managed=True)
    consumer.objects.bulk_create(seen.values(), batch_size=500)


class Migration(migrations.Migration):

    dependencies = [
        ('placement', '0002_whole'),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
