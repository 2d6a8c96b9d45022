"""Query parameters, and the rows that they ask for."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import PageQuery
from apps.common.context import Actor
from apps.identity import policy
from apps.network import plug_inputs, selectors
from apps.network.models import FixedIP, FloatingIP, Network, Port, Router, Rule, SecurityGroup, Subnet
from apps.network.states import Direction, NetworkKind

M = TypeVar("M", bound=Model)
_APART = ("limit", "after", "all_projects")


class ProjectQuery(PageQuery):
    """Of every list of what projects have."""

    project_id = serializers.UUIDField(required=False, help_text="Another project's. For operators.")
    all_projects = serializers.BooleanField(default=False, help_text="For operators.")


class NetworkQuery(ProjectQuery):
    name = serializers.CharField(max_length=64, required=False)
    kind = fields.Choice(choices=[kind.value for kind in NetworkKind], required=False)
    shared = serializers.BooleanField(required=False)
    external = serializers.BooleanField(required=False)
    is_default = serializers.BooleanField(required=False)
    router_id = serializers.UUIDField(required=False)


class SubnetQuery(ProjectQuery):
    name = serializers.CharField(max_length=64, required=False)
    network_id = serializers.UUIDField(required=False)
    family = serializers.IntegerField(min_value=4, max_value=6, required=False)
    cidr = serializers.CharField(max_length=43, required=False)


class PortQuery(ProjectQuery):
    name = serializers.CharField(max_length=64, required=False)
    network_id = serializers.UUIDField(required=False)
    subnet_id = serializers.UUIDField(required=False)
    device_id = serializers.UUIDField(required=False, help_text="The instance that has it.")
    security_group_id = serializers.UUIDField(required=False)
    mac = serializers.CharField(max_length=17, required=False)
    address = serializers.IPAddressField(required=False)


class RouterQuery(ProjectQuery):
    name = serializers.CharField(max_length=64, required=False)
    external_network_id = serializers.UUIDField(required=False)
    subnet_id = serializers.UUIDField(required=False)


class FloatingIpQuery(ProjectQuery):
    address = serializers.IPAddressField(required=False)
    network_id = serializers.UUIDField(required=False)
    router_id = serializers.UUIDField(required=False)
    port_id = serializers.UUIDField(required=False)


class SecurityGroupQuery(ProjectQuery):
    name = serializers.CharField(max_length=64, required=False)
    is_default = serializers.BooleanField(required=False)


class RuleQuery(ProjectQuery):
    security_group_id = serializers.UUIDField(required=False)
    remote_group_id = serializers.UUIDField(required=False)
    direction = fields.Choice(choices=[direction.value for direction in Direction], required=False)
    family = serializers.IntegerField(min_value=4, max_value=6, required=False)


class PoolQuery(PageQuery):
    kind = fields.Choice(choices=[NetworkKind.VLAN.value, NetworkKind.VXLAN.value], required=False)
    physical_network = serializers.CharField(max_length=64, required=False, help_text="The wire's name.")
    for_tenants = serializers.BooleanField(required=False)


class WireQuery(PageQuery):
    name = serializers.CharField(max_length=64, required=False)


class HostNetworkQuery(PageQuery):
    host_name = serializers.CharField(max_length=63, required=False)


def networks(actor: Actor, query: Mapping[str, Any]) -> "QuerySet[Network]":
    """What a checked NetworkQuery asks for. Raises Forbidden for what only operators may ask; so do the others."""
    rows = selectors.networks(actor=actor, all_projects=_all(actor, "network.network.list", query))
    return _filtered(rows, query)


def subnets(actor: Actor, query: Mapping[str, Any]) -> "QuerySet[Subnet]":
    return _filtered(selectors.subnets(actor=actor, all_projects=_all(actor, "network.subnet.list", query)), query)


def ports(actor: Actor, query: Mapping[str, Any]) -> "QuerySet[Port]":
    rows = selectors.ports(actor=actor, all_projects=_all(actor, "network.port.list", query))
    wanted = dict(query)
    if "mac" in wanted:
        wanted["mac"] = plug_inputs.parse_mac(wanted["mac"])
    if having := {name: wanted.pop(name) for name in ("address", "subnet_id") if name in wanted}:
        rows = rows.filter(pk__in=FixedIP.objects.filter(**having).values("port_id"))
    return _filtered(rows, wanted, security_group_id="memberships__group_id")


def routers(actor: Actor, query: Mapping[str, Any]) -> "QuerySet[Router]":
    rows = selectors.routers(actor=actor, all_projects=_all(actor, "network.router.list", query))
    return _filtered(rows, query, subnet_id="interfaces__subnet_id")


def floating_ips(actor: Actor, query: Mapping[str, Any]) -> "QuerySet[FloatingIP]":
    rows = selectors.floating_ips(actor=actor, all_projects=_all(actor, "network.floating_ip.list", query))
    return _filtered(rows, query, port_id="fixed_ip__port_id")


def security_groups(actor: Actor, query: Mapping[str, Any]) -> "QuerySet[SecurityGroup]":
    return _filtered(selectors.groups(actor=actor, all_projects=_all(actor, "network.security_group.list", query)), query)


def rules(actor: Actor, query: Mapping[str, Any]) -> "QuerySet[Rule]":
    rows = selectors.rules(actor=actor, all_projects=_all(actor, "network.security_group.list", query))
    return _filtered(rows, query, security_group_id="group_id", project_id="group__project_id")


def asked(query: Mapping[str, Any]) -> dict[str, Any]:
    """What of a query says which rows are wanted."""
    return {name: value for name, value in query.items() if name not in _APART}


def _all(actor: Actor, permission: str, query: Mapping[str, Any]) -> bool:
    """Whether rows of all projects are looked at."""
    beyond = query["all_projects"] or query.get("project_id", actor.project_id) != actor.project_id
    if beyond:
        policy.require_everywhere(actor, permission)
    return bool(beyond)


def _filtered(rows: "QuerySet[M]", query: Mapping[str, Any], **names: str) -> "QuerySet[M]":
    """`names`: parameter → where it is to be looked for, if it is not the column of that name."""
    return rows.filter(**{names.get(name, name): value for name, value in asked(query).items()})
