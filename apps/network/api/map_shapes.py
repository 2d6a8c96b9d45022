"""Shapes of traces and of the topology."""

import dataclasses
from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Query
from apps.network.selectors.topology import DEFAULT_PORTS, MOST_PORTS
from apps.network.trace import Trace


class TraceQuery(Query):
    source = fields.Line(max_length=45, help_text="Id of a port, or an address outside.")  # type: ignore[assignment]
    target = fields.Line(max_length=45, help_text="Id of a port, an address of one, a floating IP, or an address outside.")
    protocol = fields.Line(max_length=16, required=False, help_text="icmp, tcp, udp, sctp or a number; default: ping, tcp with a port.")
    port = serializers.IntegerField(min_value=0, max_value=65535, required=False, help_text="Destination port, or ICMP type.")
    family = serializers.ChoiceField(choices=[4, 6], required=False, help_text="Default: what both have, IPv4 before IPv6.")


class HopSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    ok = serializers.BooleanField(allow_null=True, help_text="Null: the database cannot tell.")
    detail = serializers.CharField()
    fix = serializers.CharField(help_text="What to do about it; empty if nothing is wrong.")


class TraceSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(choices=["open", "closed", "unsure"])
    summary = serializers.CharField()
    hops = HopSerializer(many=True)


class TopologyQuery(Query):
    project_id = serializers.UUIDField(required=False, help_text="Another project's. For operators.")
    all_projects = serializers.BooleanField(default=False, help_text="For operators.")
    limit = serializers.IntegerField(
        min_value=1, max_value=MOST_PORTS, default=DEFAULT_PORTS, help_text="Most ports in the answer; networks and routers are all there."
    )
    after = serializers.UUIDField(required=False, help_text="Id of the last port of the page before; taken from `next`.")


class TopologySubnetSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    cidr = serializers.CharField()
    family = serializers.IntegerField()
    gateway = serializers.IPAddressField(allow_null=True)


class NodeSerializer(serializers.Serializer[Any]):
    """What a kind does not have is left out."""

    id = serializers.UUIDField()
    kind = serializers.CharField(help_text="external_network, network, router, instance or port.")
    name = serializers.CharField(help_text="Of an instance: its host name.")
    project_id = serializers.UUIDField(allow_null=True)
    network_kind = serializers.CharField(required=False)
    shared = serializers.BooleanField(required=False)
    mtu = serializers.IntegerField(required=False)
    segment = serializers.IntegerField(required=False, allow_null=True, help_text="For operators; null for others.")
    physical_network = serializers.CharField(required=False, allow_null=True, help_text="For operators; null for others.")
    subnets = TopologySubnetSerializer(many=True, required=False)
    admin_up = serializers.BooleanField(required=False)
    snat = serializers.BooleanField(required=False)
    host_id = serializers.UUIDField(required=False, help_text="For operators.")
    host_name = serializers.CharField(required=False, allow_null=True, help_text="For operators.")


class LinkSerializer(serializers.Serializer[Any]):
    """`source`: an instance, a port that nothing has, or a router; `target`: a network."""

    kind = serializers.CharField(help_text="way_out, interface or port.")
    source = serializers.UUIDField()  # type: ignore[assignment]
    target = serializers.UUIDField()
    subnet_id = serializers.UUIDField(required=False)
    port_id = serializers.UUIDField(required=False)
    mac = serializers.CharField(required=False)
    admin_up = serializers.BooleanField(required=False)
    addresses = serializers.ListField(child=serializers.IPAddressField(), required=False)
    floating_ips = serializers.ListField(child=serializers.IPAddressField(), required=False)


class TopologySerializer(serializers.Serializer[Any]):
    nodes = NodeSerializer(many=True)
    links = LinkSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField(), help_text="What is missing in this answer, in words.")
    next = serializers.URLField(allow_null=True, help_text="Address of the next page of ports; null on the last one.")


def trace(found: Trace) -> dict[str, Any]:
    return dataclasses.asdict(found)
