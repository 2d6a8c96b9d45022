"""What every installation has from now on; and networks of the first release become what new ones are.

They were kept apart by nothing but the host, so they get VXLAN; each had a gateway and a way out, so each gets a router; and
whoever was in one could be reached by all in it, which the default security group of their project goes on allowing.
"""

import ipaddress
import re
from collections import defaultdict
from datetime import timedelta
from typing import Any

from django.db import migrations
from django.utils import timezone

from apps.common.ids import new_id
from apps.network import builtin

_SPANS = 64


def begin(apps: Any, schema_editor: Any) -> None:
    apps.get_model("network", "SegmentPool").objects.create(
        pk=builtin.VXLAN_POOL_ID, kind="vxlan", first=builtin.VXLAN_POOL[0], last=builtin.VXLAN_POOL[1], position=1000
    )
    apps.get_model("network", "Network").objects.create(
        pk=builtin.OUTSIDE_ID, name=builtin.OUTSIDE_NAME, kind="host", mtu=1500, external=True, shared=True, is_default=True
    )


def networks(apps: Any, schema_editor: Any) -> None:
    old = apps.get_model("network", "Network").objects.exclude(pk=builtin.OUTSIDE_ID).order_by("pk")
    for number, network in enumerate(old):
        network.kind, network.segment = "vxlan", builtin.VXLAN_POOL[0] + number
        network.save()
    for subnet in apps.get_model("network", "Subnet").objects.select_related("network"):
        subnet.project_id = subnet.network.project_id
        subnet.pools = [[subnet.pool_start, subnet.pool_end]]
        subnet.save()
        _free(apps, subnet)


def routers(apps: Any, schema_editor: Any) -> None:
    router_model, interface_model = apps.get_model("network", "Router"), apps.get_model("network", "RouterInterface")
    names: set[tuple[Any, str]] = set()
    # Default networks first: theirs are the routers called `default`.
    for network in apps.get_model("network", "Network").objects.exclude(project_id=None).order_by("-is_default", "pk"):
        name = builtin.DEFAULT_NAME if network.is_default else network.name
        if (network.project_id, name) in names:
            name = f"{name[:57]}-{network.pk.hex[-6:]}"
        names.add((network.project_id, name))
        network.router = router_model.objects.create(
            project_id=network.project_id, name=name, external_network_id=builtin.OUTSIDE_ID, is_default=network.is_default
        )
        network.save()
        interface_model.objects.bulk_create(interface_model(router=network.router, subnet=each) for each in network.subnets.all())


def groups(apps: Any, schema_editor: Any) -> None:
    port_model, membership = apps.get_model("network", "Port"), apps.get_model("network", "PortGroup")
    in_project = defaultdict(list)
    for port_id, project_id in port_model.objects.values_list("pk", "project_id"):
        in_project[project_id].append(port_id)
    projects = set(apps.get_model("network", "Network").objects.exclude(project_id=None).values_list("project_id", flat=True))
    for project_id in sorted(projects | set(in_project)):
        group = apps.get_model("network", "SecurityGroup").objects.create(
            project_id=project_id, name=builtin.DEFAULT_NAME, is_default=True, description="For ports for which no group was named."
        )
        _rules(apps, group)
        membership.objects.bulk_create((membership(port_id=port_id, group=group) for port_id in in_project[project_id]), batch_size=500)


def ports(apps: Any, schema_editor: Any) -> None:
    """Where they are, and what their guests are called."""
    instances = {
        row.pk: row for row in apps.get_model("compute", "Instance").objects.exclude(state="DELETED").only("pk", "name", "host_id")
    }
    changed = []
    for port in apps.get_model("network", "Port").objects.all():
        instance = instances.get(port.device_id)
        if instance is not None:
            port.host_id = instance.host_id
            port.dns_name = re.sub("[^a-z0-9]+", "-", instance.name.lower()).strip("-")[:63].strip("-")
            changed.append(port)
    apps.get_model("network", "Port").objects.bulk_update(changed, ["host_id", "dns_name"], batch_size=500)


def _free(apps: Any, subnet: Any) -> None:
    """What of its pool nobody has, in pieces, so that several can take from it at once."""
    span, fixed_ip = apps.get_model("network", "AddressSpan"), apps.get_model("network", "FixedIP")
    base = int(ipaddress.ip_network(subnet.cidr)[0])
    first, last = (int(ipaddress.ip_address(text)) - base for text in (subnet.pool_start, subnet.pool_end))
    taken = {int(ipaddress.ip_address(text)) - base for text in fixed_ip.objects.filter(subnet=subnet).values_list("address", flat=True)}
    since = timezone.now() - timedelta(minutes=1)
    longest = -(-(last - first + 1) // _SPANS)
    runs: list[tuple[int, int]] = []
    begins = first
    for held in [*sorted(each for each in taken if first <= each <= last), last + 1]:
        runs += [(start, min(start + longest, held) - 1) for start in range(begins, held, longest)]
        begins = held + 1
    span.objects.bulk_create((span(subnet=subnet, first=low, last=high, rests_until=since) for low, high in runs), batch_size=500)


def _rules(apps: Any, group: Any) -> None:
    rule = apps.get_model("network", "Rule")
    for family in (4, 6):
        rule.objects.create(pk=new_id(), group=group, direction="egress", family=family, fingerprint=f"egress {family} any any")
        rule.objects.create(
            pk=new_id(), group=group, direction="ingress", family=family, remote_group=group,
            fingerprint=f"ingress {family} any {group.pk}",
        )


class Migration(migrations.Migration):

    dependencies = [
        ("network", "0002_whole_networks"),
        ("compute", "0002_unknown_domain"),
        ("quotas", "0002_count_what_is_there"),
    ]

    operations = [
        migrations.RunPython(begin, migrations.RunPython.noop),
        migrations.RunPython(networks, migrations.RunPython.noop),
        migrations.RunPython(routers, migrations.RunPython.noop),
        migrations.RunPython(groups, migrations.RunPython.noop),
        migrations.RunPython(ports, migrations.RunPython.noop),
    ]
