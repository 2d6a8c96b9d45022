import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('placement', '0003_consumers_and_roots'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='allocation',
            name='placement_allocation_once',
        ),
        migrations.RenameField('allocation', 'consumer_id', 'consumer'),
        migrations.AlterField(
            model_name='allocation',
            name='consumer',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='allocations', to='placement.consumer'),
        ),
        migrations.AlterField(
            model_name='resourceprovider',
            name='root_id',
            field=models.UUIDField(db_index=True),
        ),
        migrations.RemoveField(
            model_name='allocation',
            name='project_id',
        ),
        migrations.AddConstraint(
            model_name='resourceprovider',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('parent__isnull', True), ('root_id', models.F('id'))), models.Q(('parent__isnull', False), models.Q(('root_id', models.F('id')), _negated=True)), _connector='OR'), name='placement_resourceprovider_root'),
        ),
        migrations.AddConstraint(
            model_name='allocation',
            constraint=models.UniqueConstraint(fields=('consumer', 'provider', 'resource_class'), name='placement_allocation_once'),
        ),
    ]
