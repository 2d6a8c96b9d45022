"""What a host does for its guests beside passing on frames: DHCP, router advertisements, DHCPv6, names and metadata.

DHCP and its kin are answered by this process (see `responder`), as every answer follows from the desired state; names
by one dnsmasq per routing domain, which outlives it.
"""

import socket
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.drivers.base import DriverError, Outcome
from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.services import nameserver, plan, responder
from agent.drivers.openvswitch.services.inside import identity, inside
from agent.drivers.openvswitch.services.nameserver import NameServer
from agent.drivers.openvswitch.services.plan import METADATA, METADATA6, Link
from agent.drivers.openvswitch.services.responder import Ear, Responder
from agent.eventloop import EventLoop
from agent.metadata import server as metadata
from agent.metadata.server import Asker, MetadataServer
from agent.metadata.tokens import Tokens
from agent.network.desired import Desired
from contracts.compute import v2 as compute
from contracts.network.v2 import Problem

CODE = "network.services"

log = structlog.get_logger(__name__)


@dataclass
class _Opened:
    """Sockets of one network, just made in its namespace."""

    link: Link
    place: tuple[int, int]
    wire: socket.socket
    others: list[socket.socket]
    metadata: list[socket.socket]


class Services:
    """Of all networks that have ports on this host. `converge` is called by one thread at a time."""

    def __init__(
        self,
        folder: Path,
        builds: Callable[[str], compute.Build | None],
        token_key: bytes,
        *,
        tokens_required: bool = False,
    ) -> None:
        """`folder`: for the name servers' files, below one that anybody may pass through; made when it is needed.

        `builds`: instance id → what it was built by, None for one that is not here.
        """
        self._folder = folder
        self._loop = EventLoop("services")
        self._responder = Responder()
        self._metadata = MetadataServer(builds, Tokens(token_key), tokens_required=tokens_required)
        self._links: dict[str, Link] = {}

    def converge(self, desired: Desired) -> Outcome:
        """Serve exactly what is desired, in the namespaces that are there by now. Raises nothing for single networks."""
        outcome = Outcome()
        if not desired.generation:
            return outcome
        wanted = plan.links(desired)
        self._metadata.askers = _askers(desired)
        for id_ in self._links.keys() - wanted.keys():
            self._loop.call(lambda id_=id_: self._close(id_))  # type: ignore[misc]
        of_namespace: defaultdict[str, list[Link]] = defaultdict(list)
        for link in wanted.values():
            of_namespace[link.namespace].append(link)
        for namespace, links in of_namespace.items():
            self._serve(namespace, links, outcome)
        self._serve_names(desired, wanted, outcome)
        return outcome

    def stop(self) -> None:
        """Answer nobody any more; the name servers go on."""
        for id_ in list(self._links):
            self._loop.call(lambda id_=id_: self._close(id_))  # type: ignore[misc]
        self._loop.stop()

    def remove(self) -> None:
        """`stop`, and end the name servers too."""
        self.stop()
        for namespace in self._known_domains():
            NameServer(self._folder / namespace, namespace).remove()
        with suppress(OSError):
            self._folder.rmdir()

    def _serve(self, namespace: str, links: list[Link], outcome: Outcome) -> None:
        try:
            number = identity(namespace)
            opened, missing = inside(namespace, lambda: self._look(number, links))
        except OSError as error:
            outcome.problems.extend(_problem(link.network_id, str(error)) for link in links)
            return
        outcome.problems.extend(_problem(link.network_id, reason) for link, reason in missing)
        anew = {each.link.network_id for each in opened}
        for each in opened:
            if each.link.network_id in self._links:
                outcome.mended.append(f"{each.link.device} was made anew: its guests are served again")
            self._loop.run(self._open(each))
        gone = {link.network_id for link, _ in missing}
        for link in links:
            if link.network_id not in gone | anew and self._links[link.network_id] != link:
                self._loop.call(lambda link=link: self._responder.update(link))  # type: ignore[misc]
                self._links[link.network_id] = link

    def _look(self, number: int, links: list[Link]) -> tuple[list[_Opened], list[tuple[Link, str]]]:
        """In the namespace: open what is not open yet, or not on the device that is there now."""
        opened, missing = [], []
        for link in links:
            try:
                place = (number, socket.if_nametoindex(link.device))
                if self._responder.place(link.network_id) == place:
                    continue
                wire, others = responder.listen(link.device)
                try:
                    listening = metadata.listen(link.device, (METADATA, METADATA6))
                except OSError:
                    for each in (wire, *others):
                        each.close()
                    raise
                opened.append(_Opened(link, place, wire, others, listening))
            except OSError as error:
                missing.append((link, f"{link.device}: {error.strerror or error}"))
        return opened, missing

    async def _open(self, opened: _Opened) -> None:
        id_ = opened.link.network_id
        self._responder.open(Ear(opened.place, opened.wire, opened.others, opened.link))
        await self._metadata.open(id_, opened.metadata)
        self._links[id_] = opened.link

    def _close(self, network_id: str) -> None:
        self._responder.close(network_id)
        self._metadata.close(network_id)
        self._links.pop(network_id, None)

    def _serve_names(self, desired: Desired, wanted: dict[str, Link], outcome: Outcome) -> None:
        domains = {names.namespace(id_): (id_, *texts) for id_, texts in nameserver.by_domain(desired, wanted).items()}
        for namespace in self._known_domains() - domains.keys():
            NameServer(self._folder / namespace, namespace).remove()
        if domains:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o755)
        for namespace, (domain_id, hosts, servers) in domains.items():
            try:
                mended = NameServer(self._folder / namespace, namespace).ensure(hosts, servers)
            except (DriverError, OSError) as error:
                outcome.problems.append(Problem(code=nameserver.CODE, message=str(error), object=domain_id))
            else:
                outcome.mended.extend([mended] if mended else [])

    def _known_domains(self) -> set[str]:
        return {path.name for path in self._folder.iterdir()} if self._folder.is_dir() else set()


def _askers(desired: Desired) -> dict[tuple[str, str], Asker]:
    """(network id, address) → whose it is, for instances of this host."""
    public: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for each in desired.floating.values():
        if port := desired.ports.get(each.port):
            public[port.instance][each.fixed] = each.address
    return {
        (port.network, address.address): Asker(instance_id=port.instance, public=public.get(port.instance, {}))
        for port in desired.here()
        if port.instance
        for address in port.addresses
    }


def _problem(network_id: str, reason: str) -> Problem:
    return Problem(code=CODE, message=f"guests are not served: {reason}", object=network_id)
