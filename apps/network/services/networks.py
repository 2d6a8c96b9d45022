"""Networks and their subnets."""

import ipaddress
import uuid

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, InvalidState
from apps.common.sql import SAMPLE, Compiled
from apps.identity import policy
from apps.network import selectors
from apps.network.models import Network, Subnet
from apps.quotas.services import reservations


def create(*, actor: Actor, name: str, cidr: str = "", dns: list[str] | None = None, is_default: bool = False) -> Network:
    """A network with one IPv4 subnet; the first address is the gateway, the last ones of the range stay free.

    Raises Forbidden, Invalid (cidr), Conflict (name), QuotaExceeded.
    """
    policy.require(actor, "network.network.create")
    check_name(name, most=64)
    try:
        with transaction.atomic():
            network = Network.objects.create(project_id=policy.in_project(actor), name=name, is_default=is_default)
            _add_subnet(network, _parse(cidr or settings.ENV.network_cidr), dns or [])
            record.write(
                actor, "network.network.create", "network", network.pk, project_id=network.project_id, name=name,
                changes={"cidr": cidr or settings.ENV.network_cidr, "dns": tuple(dns) if dns else None, "is_default": is_default},
            )
            reservations.reserve(project_id=network.project_id, amounts={"networks": 1})
    except IntegrityError:
        raise Conflict("network.exists", f"This project has a network named {name!r}, or a default one, already.", field="name") from None
    return network


_DEFAULT = Compiled(lambda project_id: Network.objects.filter(project_id=project_id, is_default=True), SAMPLE)


def default_of(*, actor: Actor) -> Network:
    """The project's default network; made on first use. Raises Conflict if another one has taken its name."""
    network = _DEFAULT.first(policy.in_project(actor))
    if network is not None:
        return network
    try:
        return create(actor=actor, name="default", is_default=True)
    except Conflict:
        network = _DEFAULT.first(policy.in_project(actor))
        if network is None:
            raise Conflict(
                "network.no_default", "The project has no default network, and another one is named `default`: name the one to use.",
                field="network_id",
            ) from None
        return network  # a twin was first


@transaction.atomic
def delete(*, actor: Actor, network_id: uuid.UUID) -> None:
    """Raises NotFound, Forbidden, InvalidState while ports exist."""
    network = selectors.shown(actor=actor, network_id=network_id, permission="network.network.delete", lock=True)
    count = network.ports.count()
    if count:
        raise InvalidState("network.in_use", f"{count} port(s) of this network are in use; delete their instances first.", ports=count)
    record.write(actor, "network.network.delete", "network", network.pk, project_id=network.project_id, name=network.name)
    network.delete()
    reservations.release(project_id=network.project_id, amounts={"networks": 1})


def _parse(cidr: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise Invalid("network.cidr", f"cidr: expected an IPv4 network such as 10.64.0.0/20 ({error}).", field="cidr") from None
    if not 8 <= network.prefixlen <= 28 or not network.is_private:
        raise Invalid("network.cidr", "cidr: expected a private range with a prefix length from 8 to 28.", field="cidr")
    return network


def _add_subnet(network: Network, cidr: ipaddress.IPv4Network, dns: list[str]) -> None:
    Subnet.objects.create(
        network=network, cidr=str(cidr), gateway=str(cidr[1]), pool_start=str(cidr[2]), pool_end=str(cidr[-2]), dns=dns
    )
