"""Addresses, below /api/v1/."""

from django.urls import path

from apps.network.api import groups, maps, networks, ports, provider, routers

urlpatterns = [
    path("network-trace", maps.NetworkTrace.as_view()),
    path("network-topology", maps.NetworkTopology.as_view()),
    path("networks", networks.NetworkList.as_view()),
    path("networks/whole", networks.WholeNetworks.as_view()),
    path("networks/<uuid:network_id>", networks.NetworkDetail.as_view()),
    path("subnets", networks.SubnetList.as_view()),
    path("subnets/<uuid:subnet_id>", networks.SubnetDetail.as_view()),
    path("ports", ports.PortList.as_view()),
    path("ports/<uuid:port_id>", ports.PortDetail.as_view()),
    path("routers", routers.RouterList.as_view()),
    path("routers/<uuid:router_id>", routers.RouterDetail.as_view()),
    path("routers/<uuid:router_id>/interfaces", routers.InterfaceList.as_view()),
    path("routers/<uuid:router_id>/interfaces/<uuid:subnet_id>", routers.InterfaceDetail.as_view()),
    path("floating-ips", routers.FloatingIpList.as_view()),
    path("floating-ips/<uuid:floating_ip_id>", routers.FloatingIpDetail.as_view()),
    path("security-groups", groups.SecurityGroupList.as_view()),
    path("security-groups/<uuid:security_group_id>", groups.SecurityGroupDetail.as_view()),
    path("security-group-rules", groups.RuleList.as_view()),
    path("security-group-rules/<uuid:security_group_rule_id>", groups.RuleDetail.as_view()),
    path("physical-networks", provider.WireList.as_view()),
    path("physical-networks/<uuid:wire_id>", provider.WireDetail.as_view()),
    path("network-pools", provider.PoolList.as_view()),
    path("network-pools/<uuid:pool_id>", provider.PoolDetail.as_view()),
    path("network-hosts", provider.HostNetworkList.as_view()),
    path("network-hosts/<uuid:host_id>", provider.HostNetworkDetail.as_view()),
    path("network-hosts/<uuid:host_id>/tell-again", provider.TellAgain.as_view()),
]
