"""How a floating IP comes to a port: by the router that leads there, to which of its addresses, and what is missing if it cannot."""

import ipaddress
import uuid
from collections.abc import Collection

from apps.common.errors import Conflict, Invalid, InvalidState, NotFound
from apps.network import ranges
from apps.network.models import FixedIP, FloatingIP, Network, Port, Router, RouterInterface
from apps.network.selectors.networks import COUNTED_PORTS


def port_of(project_id: uuid.UUID, port_id: uuid.UUID) -> Port:
    """One of the project's own. Raises NotFound."""
    found = Port.objects.filter(pk=port_id, project_id=project_id, device_kind__in=COUNTED_PORTS).first()
    if found is None:
        raise _no_port(port_id)
    return found


def router_to(network: Network, port: Port) -> Router:
    """The router, locked, that leads from this external network to the port's. Raises InvalidState `floating_ip.no_path`."""
    joined = Network.objects.get(pk=port.network_id)
    router = None
    if joined.router_id is not None:
        rows = Router.objects.select_for_update(of=("self",), no_key=True).select_related("external_network")
        router = rows.filter(pk=joined.router_id).first()
        # Whoever takes networks from a router holds its row.
        joined.refresh_from_db(fields=["router"])
    if router is None or joined.router_id != router.pk:
        raise _no_path(
            "router", f"the port's network {joined.name} has no router: attach its subnet to one whose way out is {network.name}"
        )
    if router.external_network is None:
        raise _no_path("external_network", f"the router {router.name} has no way out: make {network.name} its external network")
    if router.external_network_id != network.pk:
        raise _no_path(
            "external_network", f"the way out of the router {router.name} is {router.external_network.name}, "
            f"and this address is of {network.name}",
        )
    return router


def fixed_ip_for(row: FloatingIP, port: Port, router: Router, fixed_address: str) -> FixedIP:
    """What the floating IP is to stand for; its port is locked. Raises NotFound, Invalid, Conflict, InvalidState."""
    if Port.objects.select_for_update(no_key=True).filter(pk=port.pk).first() is None:
        raise _no_port(port.pk)
    family = ipaddress.ip_address(row.address).version
    served = set(RouterInterface.objects.filter(router=router).values_list("subnet_id", flat=True))
    found = _chosen(list(FixedIP.objects.select_related("subnet").filter(port=port).order_by("pk")), family, fixed_address, served)
    if found.subnet_id not in served:
        raise _no_path("interface", f"{found.subnet.cidr}, where {found.address} is, is not attached to the router {router.name}")
    other = FloatingIP.objects.filter(fixed_ip=found).exclude(pk=row.pk).first()
    if other is not None:
        raise Conflict(
            "floating_ip.fixed_taken", f"The floating IP {other.address} stands for {found.address} already.", field="fixed_address",
            floating_ip_id=str(other.pk),
        )
    return found


def _chosen(has: Collection[FixedIP], family: int, fixed_address: str, served: Collection[uuid.UUID]) -> FixedIP:
    """The named one, or the only one; of several the only one whose subnet the router serves. Raises Invalid."""
    fitting = [each for each in has if each.subnet.family == family]
    if fixed_address:
        wanted = str(ranges.parse_address(fixed_address, field="fixed_address", code="floating_ip.fixed_address"))
        chosen = [each for each in fitting if each.address == wanted]
    else:
        chosen = fitting if len(fitting) == 1 else [each for each in fitting if each.subnet_id in served]
    if len(chosen) == 1:
        return chosen[0]
    shown = ", ".join(str(each.address) for each in fitting) or "none"
    if chosen or (fitting and not fixed_address):
        text = f"fixed_address: the port has several IPv{family} addresses ({shown}): name one."
    else:
        text = f"fixed_address: expected an IPv{family} address of the port; it has {shown}."
    raise Invalid("floating_ip.fixed_address", text, field="fixed_address")


def _no_path(missing: str, what: str) -> InvalidState:
    return InvalidState("floating_ip.no_path", f"Nothing leads from this address to the port: {what}.", field="port_id", missing=missing)


def _no_port(port_id: uuid.UUID) -> NotFound:
    return NotFound("port.not_found", f"There is no port {port_id} in this project.", field="port_id")
