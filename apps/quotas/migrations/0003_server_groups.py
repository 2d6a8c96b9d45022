from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('quotas', '0002_count_what_is_there'),
    ]

    operations = [
        migrations.AddField(
            model_name='usage',
            name='server_groups',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='usage',
            name='server_group_members',
            field=models.PositiveBigIntegerField(default=0),
        ),
    ]
