"""Wires, pools of segments, routers, security groups, floating IPs, IPv6, and what hosts are told. What is old fits in later."""

import apps.common.ids
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('network', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='AddressSpan',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('first', models.BigIntegerField()),
                ('last', models.BigIntegerField()),
                ('rests_until', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Change',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('port', 'port'), ('group', 'group'), ('domain', 'domain'), ('floating_ip', 'floating_ip'), ('host', 'host')], max_length=16)),
                ('ref', models.UUIDField()),
                ('domain', models.UUIDField(null=True)),
                ('host_id', models.UUIDField(null=True)),
                ('groups', models.JSONField(default=list)),
                ('at', models.DateTimeField()),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='FloatingIP',
            fields=[
                ('id', models.UUIDField(default=apps.common.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('project_id', models.UUIDField()),
                ('address', models.GenericIPAddressField()),
                ('description', models.CharField(blank=True, max_length=255)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'verbose_name': 'floating IP',
            },
        ),
        migrations.CreateModel(
            name='HostNetwork',
            fields=[
                ('host_id', models.UUIDField(primary_key=True, serialize=False)),
                ('host_name', models.CharField(max_length=63)),
                ('tunnel_address', models.GenericIPAddressField(blank=True, null=True)),
                ('physical_networks', models.JSONField(blank=True, default=list)),
                ('speaks', models.BooleanField(default=False, help_text='Its agent understands network commands.')),
                ('generation', models.BigIntegerField(default=0)),
                ('applied', models.BigIntegerField(default=0)),
                ('applied_at', models.DateTimeField(blank=True, null=True)),
                ('took_ms', models.FloatField(blank=True, null=True)),
                ('told', models.JSONField(blank=True, default=dict)),
                ('full_due', models.BooleanField(default=True)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('full_at', models.DateTimeField(blank=True, null=True)),
                ('full_generation', models.BigIntegerField(default=0)),
                ('problems', models.JSONField(blank=True, default=list)),
                ('mended', models.JSONField(blank=True, default=list)),
                ('lacking', models.JSONField(blank=True, default=list)),
            ],
            options={
                'verbose_name': 'host networking',
                'verbose_name_plural': 'host networking',
                'indexes': [
                    models.Index(condition=models.Q(('full_due', True)), fields=['full_at'], name='network_hosts_due'),
                    models.Index(fields=['full_at'], name='network_hosts_by_full_at'),
                ],
            },
        ),
        migrations.CreateModel(
            name='PhysicalNetwork',
            fields=[
                ('id', models.UUIDField(default=apps.common.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=64)),
                ('mtu', models.PositiveIntegerField(default=1500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='PortGroup',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
            ],
        ),
        migrations.CreateModel(
            name='Router',
            fields=[
                ('id', models.UUIDField(default=apps.common.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('project_id', models.UUIDField()),
                ('name', models.CharField(max_length=64)),
                ('snat', models.BooleanField(default=True)),
                ('admin_up', models.BooleanField(default=True)),
                ('is_default', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='RouterInterface',
            fields=[
                ('id', models.UUIDField(default=apps.common.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='Rule',
            fields=[
                ('id', models.UUIDField(default=apps.common.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('direction', models.CharField(choices=[('ingress', 'ingress'), ('egress', 'egress')], max_length=8)),
                ('family', models.PositiveSmallIntegerField(choices=[(4, 'IPv4'), (6, 'IPv6')])),
                ('protocol', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('first', models.PositiveIntegerField(blank=True, null=True)),
                ('last', models.PositiveIntegerField(blank=True, null=True)),
                ('cidr', models.CharField(blank=True, max_length=43)),
                ('description', models.CharField(blank=True, max_length=255)),
                ('fingerprint', models.CharField(editable=False, max_length=128)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='SecurityGroup',
            fields=[
                ('id', models.UUIDField(default=apps.common.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('project_id', models.UUIDField()),
                ('name', models.CharField(max_length=64)),
                ('description', models.CharField(blank=True, max_length=255)),
                ('is_default', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='SegmentPool',
            fields=[
                ('id', models.UUIDField(default=apps.common.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('vlan', 'vlan'), ('vxlan', 'vxlan')], max_length=16)),
                ('first', models.PositiveIntegerField()),
                ('last', models.PositiveIntegerField()),
                ('position', models.PositiveIntegerField(default=100)),
                ('for_tenants', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.AddField(
            model_name='network',
            name='dns_domain',
            field=models.CharField(blank=True, max_length=128),
        ),
        migrations.AddField(
            model_name='network',
            name='external',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='network',
            name='port_security',
            field=models.BooleanField(default=True, help_text='What new ports get.'),
        ),
        migrations.AddField(
            model_name='network',
            name='shared',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='port',
            name='admin_up',
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name='port',
            name='created_at',
            field=models.DateTimeField(auto_now_add=True, default=django.utils.timezone.now),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='port',
            name='device_kind',
            field=models.CharField(blank=True, choices=[('', ''), ('instance', 'instance'), ('router', 'router'), ('floating_ip', 'floating_ip'), ('host_gateway', 'host_gateway')], default='instance', max_length=16),
        ),
        migrations.AddField(
            model_name='port',
            name='dns_name',
            field=models.CharField(blank=True, max_length=63),
        ),
        migrations.AddField(
            model_name='port',
            name='host_id',
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='port',
            name='keep',
            field=models.BooleanField(default=False, help_text='Made by itself, so it outlives the instance that it is attached to.'),
        ),
        migrations.AddField(
            model_name='port',
            name='name',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name='port',
            name='pairs',
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.AddField(
            model_name='port',
            name='port_security',
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name='subnet',
            name='created_at',
            field=models.DateTimeField(auto_now_add=True, default=django.utils.timezone.now),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='subnet',
            name='dhcp',
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name='subnet',
            name='family',
            field=models.PositiveSmallIntegerField(choices=[(4, 'IPv4'), (6, 'IPv6')], default=4),
        ),
        migrations.AddField(
            model_name='subnet',
            name='ipv6_mode',
            field=models.CharField(blank=True, choices=[('', ''), ('dhcpv6', 'dhcpv6'), ('slaac', 'slaac')], default='', max_length=16),
        ),
        migrations.AddField(
            model_name='subnet',
            name='name',
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name='subnet',
            name='pools',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='subnet',
            name='project_id',
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='subnet',
            name='routes',
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.AlterField(
            model_name='network',
            name='is_default',
            field=models.BooleanField(default=False, help_text="The project's first choice; of external ones: every router's."),
        ),
        migrations.AlterField(
            model_name='network',
            name='kind',
            field=models.CharField(choices=[('flat', 'flat'), ('vlan', 'vlan'), ('vxlan', 'vxlan'), ('host', 'host')], default='vxlan', max_length=16),
        ),
        migrations.AlterField(
            model_name='network',
            name='project_id',
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='port',
            name='device_id',
            field=models.UUIDField(blank=True, db_index=True, null=True),
        ),
        migrations.AlterField(
            model_name='port',
            name='project_id',
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='subnet',
            name='gateway',
            field=models.GenericIPAddressField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name='port',
            index=models.Index(condition=models.Q(('host_id__isnull', False)), fields=['host_id'], name='network_ports_by_host'),
        ),
        migrations.AddIndex(
            model_name='port',
            index=models.Index(fields=['project_id', 'id'], name='network_ports_by_project'),
        ),
        migrations.AddConstraint(
            model_name='port',
            constraint=models.UniqueConstraint(condition=models.Q(('device_kind', 'host_gateway')), fields=('network', 'device_id'), name='network_port_one_gateway_per_host'),
        ),
        migrations.AddConstraint(
            model_name='port',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('device_id__isnull', True), ('device_kind', '')), models.Q(models.Q(('device_kind', ''), _negated=True), ('device_id__isnull', False)), _connector='OR'), name='network_port_device_has_kind'),
        ),
        migrations.AddConstraint(
            model_name='subnet',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('family', 4), ('ipv6_mode', '')), models.Q(('family', 6), models.Q(('ipv6_mode', ''), _negated=True)), _connector='OR'), name='network_subnet_mode_of_family'),
        ),
        migrations.AddField(
            model_name='addressspan',
            name='subnet',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='spans', to='network.subnet'),
        ),
        migrations.AddField(
            model_name='floatingip',
            name='fixed_ip',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='floating_ips', to='network.fixedip'),
        ),
        migrations.AddField(
            model_name='floatingip',
            name='network',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='floating_ips', to='network.network'),
        ),
        migrations.AddField(
            model_name='floatingip',
            name='port',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='floating_ip', to='network.port'),
        ),
        migrations.AddConstraint(
            model_name='physicalnetwork',
            constraint=models.UniqueConstraint(fields=('name',), name='network_physicalnetwork_name_once'),
        ),
        migrations.AddField(
            model_name='network',
            name='physical_network',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='networks', to='network.physicalnetwork'),
        ),
        migrations.AddField(
            model_name='portgroup',
            name='port',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='network.port'),
        ),
        migrations.AddField(
            model_name='router',
            name='external_network',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='routers_out', to='network.network'),
        ),
        migrations.AddField(
            model_name='floatingip',
            name='router',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='floating_ips', to='network.router'),
        ),
        migrations.AddField(
            model_name='network',
            name='router',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='networks', to='network.router'),
        ),
        migrations.AddConstraint(
            model_name='network',
            constraint=models.UniqueConstraint(condition=models.Q(('project_id__isnull', True)), fields=('name',), name='network_network_operators_name_once'),
        ),
        migrations.AddConstraint(
            model_name='network',
            constraint=models.UniqueConstraint(condition=models.Q(('external', True), ('is_default', True)), fields=('external',), name='network_network_one_way_out'),
        ),
        migrations.AddConstraint(
            model_name='network',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'vxlan')), fields=('segment',), name='network_network_vni_once'),
        ),
        migrations.AddConstraint(
            model_name='network',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'vlan')), fields=('physical_network', 'segment'), name='network_network_vlan_once'),
        ),
        migrations.AddConstraint(
            model_name='network',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'flat')), fields=('physical_network',), name='network_network_flat_once'),
        ),
        migrations.AddField(
            model_name='routerinterface',
            name='router',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='interfaces', to='network.router'),
        ),
        migrations.AddField(
            model_name='routerinterface',
            name='subnet',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='interface', to='network.subnet'),
        ),
        migrations.AddConstraint(
            model_name='securitygroup',
            constraint=models.UniqueConstraint(fields=('project_id', 'name'), name='network_securitygroup_name_once'),
        ),
        migrations.AddConstraint(
            model_name='securitygroup',
            constraint=models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('project_id',), name='network_securitygroup_one_default'),
        ),
        migrations.AddField(
            model_name='rule',
            name='group',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rules', to='network.securitygroup'),
        ),
        migrations.AddField(
            model_name='rule',
            name='remote_group',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='named_by', to='network.securitygroup'),
        ),
        migrations.AddField(
            model_name='portgroup',
            name='group',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='memberships', to='network.securitygroup'),
        ),
        migrations.AddField(
            model_name='segmentpool',
            name='physical_network',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='pools', to='network.physicalnetwork'),
        ),
        migrations.AddIndex(
            model_name='addressspan',
            index=models.Index(fields=['subnet', 'rests_until', 'id'], name='network_spans_to_take'),
        ),
        migrations.AddConstraint(
            model_name='addressspan',
            constraint=models.UniqueConstraint(fields=('subnet', 'first'), name='network_addressspan_first_once'),
        ),
        migrations.AddConstraint(
            model_name='addressspan',
            constraint=models.UniqueConstraint(fields=('subnet', 'last'), name='network_addressspan_last_once'),
        ),
        migrations.AddConstraint(
            model_name='addressspan',
            constraint=models.CheckConstraint(condition=models.Q(('first__gte', 0), ('last__gte', models.F('first'))), name='network_addressspan_range'),
        ),
        migrations.AddConstraint(
            model_name='router',
            constraint=models.UniqueConstraint(fields=('project_id', 'name'), name='network_router_name_once'),
        ),
        migrations.AddConstraint(
            model_name='router',
            constraint=models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('project_id',), name='network_router_one_default'),
        ),
        migrations.AddConstraint(
            model_name='floatingip',
            constraint=models.UniqueConstraint(fields=('network', 'address'), name='network_floatingip_address_once'),
        ),
        migrations.AddConstraint(
            model_name='floatingip',
            constraint=models.UniqueConstraint(fields=('fixed_ip',), name='network_floatingip_one_to_one'),
        ),
        migrations.AddConstraint(
            model_name='floatingip',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('fixed_ip__isnull', True), ('router__isnull', True)), models.Q(('fixed_ip__isnull', False), ('router__isnull', False)), _connector='OR'), name='network_floatingip_router_leads_there'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.UniqueConstraint(fields=('group', 'fingerprint'), name='network_rule_once'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(('cidr', ''), ('remote_group__isnull', True), _connector='OR'), name='network_rule_one_other_side'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(('protocol__in', [1, 58]), models.Q(('first__isnull', True), ('last__isnull', True)), ('last__gte', models.F('first')), _connector='OR'), name='network_rule_range'),
        ),
        migrations.AddConstraint(
            model_name='portgroup',
            constraint=models.UniqueConstraint(fields=('port', 'group'), name='network_portgroup_once'),
        ),
        migrations.AddConstraint(
            model_name='segmentpool',
            constraint=models.CheckConstraint(condition=models.Q(('first__gte', 1), ('last__gte', models.F('first'))), name='network_segmentpool_range'),
        ),
        migrations.AddConstraint(
            model_name='segmentpool',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'vlan'), ('physical_network__isnull', False)), models.Q(('kind', 'vxlan'), ('physical_network__isnull', True)), _connector='OR'), name='network_segmentpool_wire'),
        ),
    ]
