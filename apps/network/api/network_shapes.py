"""Shapes of networks and subnets."""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.common.context import Actor
from apps.identity import policy
from apps.network.api.fields import Address, Cidr, WantedRoute, WantedSpan, dns, pairs_of
from apps.network.models import Network, Router, Subnet
from apps.network.selectors.networks import PROVIDE
from apps.network.states import Ipv6Mode, NetworkKind

KINDS = [kind.value for kind in NetworkKind]
_MODES = [Ipv6Mode.DHCPV6.value, Ipv6Mode.SLAAC.value]


class CreateNetwork(Input):
    """A network; with `cidr` also its first subnet. What makes a network, subnets and a router at once: `/networks/whole`."""

    name = fields.Name(max_length=64)
    cidr = Cidr(required=False, allow_blank=True, help_text="Of a first subnet; none without it.")
    dns = dns()
    mtu = fields.Whole(required=False, help_text="Bytes; default: all that the kind of network carries.")
    dns_domain = fields.Line(max_length=128, required=False, allow_blank=True)
    port_security = fields.Flag(required=False, help_text="What new ports get; default: true.")
    is_default = fields.Flag(required=False, help_text="What instances get that name none; of external ones: every router's way out.")
    kind = fields.Choice(choices=KINDS, required=False, help_text="For operators; default: of the first pool that has a segment.")
    physical_network = fields.Line(max_length=64, required=False, allow_blank=True, help_text="The wire's name. For operators.")
    segment = fields.Whole(required=False, allow_null=True, help_text="VLAN id or VNI, of one of the pools. For operators.")
    shared = fields.Flag(required=False, help_text="Every project may plug in. For operators.")
    external = fields.Flag(required=False, help_text="A way out for routers. For operators.")


class CreateWhole(Input):
    """A network that works at once: with subnets and a router."""

    name = fields.Name(max_length=64)
    cidr = Cidr(required=False, allow_blank=True, help_text="IPv4; default: the operator's, 10.64.0.0/20 unless set.")
    cidr6 = Cidr(
        required=False, allow_blank=True, allow_null=True, help_text="IPv6; default: a private range of its own; null: no IPv6."
    )
    dns = dns()
    router_id = fields.Id(required=False, allow_null=True, help_text="A router of the project; default: a new one.")
    external = fields.Flag(required=False, help_text="A new router gets the default way out; default: true.")
    is_default = fields.Flag(required=False)


class UpdateNetwork(Input):
    name = fields.Name(max_length=64, required=False)
    mtu = fields.Whole(required=False, help_text="Bytes; told to guests when they next ask.")
    dns_domain = fields.Line(max_length=128, required=False, allow_blank=True)
    port_security = fields.Flag(required=False, help_text="What new ports get.")
    is_default = fields.Flag(required=False)
    shared = fields.Flag(required=False, help_text="For operators.")
    external = fields.Flag(required=False, help_text="For operators.")


class _SubnetFields(Input):
    """What can be said of a subnet at any time."""

    name = fields.Line(max_length=64, required=False, allow_blank=True)
    pools = WantedSpan(many=True, required=False, help_text="What addresses are given from; default: all but the gateway.")
    dns = dns()
    routes = WantedRoute(many=True, required=False, help_text="Told to guests beside their gateway.")
    dhcp = fields.Flag(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {**attrs, "pools": pairs_of(attrs["pools"])} if "pools" in attrs else attrs


class CreateSubnet(_SubnetFields):
    network_id = fields.Id()
    cidr = Cidr()
    gateway = Address(required=False, allow_null=True, help_text="Default: the first address; null: none.")
    ipv6_mode = fields.Choice(choices=_MODES, required=False, help_text="How guests get IPv6 addresses; default: dhcpv6.")


class UpdateSubnet(_SubnetFields):
    gateway = Address(required=False, allow_null=True, help_text="Null takes it away.")


class SpanSerializer(serializers.Serializer[Any]):
    first = serializers.IPAddressField()
    last = serializers.IPAddressField()


class RouteSerializer(serializers.Serializer[Any]):
    destination = serializers.CharField()
    nexthop = serializers.IPAddressField()


class SubnetSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    network_id = serializers.UUIDField()
    project_id = serializers.UUIDField(allow_null=True)
    name = serializers.CharField()
    family = serializers.IntegerField()
    cidr = serializers.CharField()
    gateway = serializers.IPAddressField(allow_null=True)
    pools = SpanSerializer(many=True)
    dns = serializers.ListField(child=serializers.IPAddressField())
    routes = RouteSerializer(many=True)
    dhcp = serializers.BooleanField()
    ipv6_mode = serializers.CharField(help_text="dhcpv6 or slaac; empty for IPv4.")
    created_at = serializers.DateTimeField()


class NetworkSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    project_id = serializers.UUIDField(allow_null=True, help_text="Null: the operators'.")
    kind = serializers.CharField()
    physical_network = serializers.CharField(allow_null=True, help_text="The wire. For operators; null for others.")
    segment = serializers.IntegerField(allow_null=True, help_text="VLAN id or VNI. For operators; null for others.")
    mtu = serializers.IntegerField()
    shared = serializers.BooleanField()
    external = serializers.BooleanField()
    is_default = serializers.BooleanField()
    port_security = serializers.BooleanField()
    dns_domain = serializers.CharField()
    router_id = serializers.UUIDField(allow_null=True)
    subnets = SubnetSerializer(many=True)
    created_at = serializers.DateTimeField()


class WholeSerializer(serializers.Serializer[Any]):
    """What was made, or, of the router, taken."""

    network = NetworkSerializer()
    router_id = serializers.UUIDField()


def subnet(row: Subnet) -> dict[str, Any]:
    return {
        "id": row.pk, "network_id": row.network_id, "project_id": row.project_id, "name": row.name, "family": row.family,
        "cidr": row.cidr, "gateway": row.gateway, "pools": [{"first": first, "last": last} for first, last in row.pools],
        "dns": row.dns, "routes": row.routes, "dhcp": row.dhcp, "ipv6_mode": row.ipv6_mode, "created_at": row.created_at,
    }


def network(actor: Actor, row: Network) -> dict[str, Any]:
    return network_for(actor)(row)


def network_for(actor: Actor) -> Callable[[Network], dict[str, Any]]:
    """How networks are shown to this actor: which wire and segment carries them is the installation's business."""
    sees = policy.everywhere(actor, "network.network.list") or policy.everywhere(actor, PROVIDE)

    def render(row: Network) -> dict[str, Any]:
        wire = row.physical_network if sees else None
        return {
            "id": row.pk, "name": row.name, "project_id": row.project_id, "kind": row.kind,
            "physical_network": None if wire is None else wire.name, "segment": row.segment if sees else None, "mtu": row.mtu,
            "shared": row.shared, "external": row.external, "is_default": row.is_default, "port_security": row.port_security,
            "dns_domain": row.dns_domain, "router_id": row.router_id,
            "subnets": [subnet(each) for each in row.subnets.all()], "created_at": row.created_at,
        }

    return render


def whole(actor: Actor, made: Network, router: Router) -> dict[str, Any]:
    return {"network": network(actor, made), "router_id": router.pk}
