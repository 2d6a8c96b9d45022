"""What networks of the first release had, and what holds now that none of it is left."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('network', '0003_old_networks'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='subnet',
            name='pool_end',
        ),
        migrations.RemoveField(
            model_name='subnet',
            name='pool_start',
        ),
        migrations.AddConstraint(
            model_name='network',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'vxlan'), ('physical_network__isnull', True), ('segment__isnull', False)), models.Q(('kind', 'vlan'), ('physical_network__isnull', False), ('segment__isnull', False)), models.Q(('kind', 'flat'), ('physical_network__isnull', False), ('segment__isnull', True)), models.Q(('external', True), ('kind', 'host'), ('physical_network__isnull', True), ('segment__isnull', True)), _connector='OR'), name='network_network_segment_of_kind'),
        ),
    ]
