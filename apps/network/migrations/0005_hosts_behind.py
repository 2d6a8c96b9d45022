"""Since when a host has brought about nothing of what it was told."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('network', '0004_nothing_old'),
    ]

    operations = [
        migrations.AddField(
            model_name='hostnetwork',
            name='behind_since',
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
