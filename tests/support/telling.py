"""Hosts that keep the desired state of their networks as an agent does, and a little world of networks to tell them of."""

import itertools
import random
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from django.db import transaction

from agent.network.desired import KINDS, Desired, Stale
from agent.network.parts import Parts
from apps.common import keys
from apps.common.bus import Message
from apps.identity.models import Project
from apps.network.models import (
    FixedIP,
    FloatingIP,
    HostNetwork,
    Network,
    Port,
    PortGroup,
    Router,
    RouterInterface,
    Rule,
    SecurityGroup,
    Subnet,
)
from apps.network.services import changes
from apps.network.services.tell import tell
from contracts import topics
from contracts.envelope import MAX_WIRE_BYTES, Kind, unpack
from contracts.network import v2
from tests.support.bus import FakeBus
from tests.support.cloud import make_project
from tests.support.hosts import FakeHost
from tests.support.routing import inside, plug

_numbers = itertools.count(1)


class Site(FakeHost):
    """A host that takes what it is told, asks when it has missed something, and says how far it is."""

    def __init__(self, bus: FakeBus, name: str = "", **fields: Any) -> None:
        super().__init__(bus, name)
        number = next(_numbers)
        self.tunnel_address = f"192.0.2.{number % 250 + 1}"
        self.desired = Desired()
        self.parts = Parts()
        self.asked = 0
        for field, value in fields.items():
            setattr(self, field, value)

    def start(self) -> "Site":
        """Its agent starts, and says hello."""
        self.hello(inventory={})
        return self

    def take(self, messages: Sequence[Message] | None = None) -> list[v2.State | v2.Change]:
        """Apply what waits for it, or these messages; what there was."""
        mine = topics.network_queue(self.name)
        waiting = self.bus.take(lambda m: m.queue == mine and m.task in topics.STATES) if messages is None else messages
        opened = [self._open(message.task, wire) for message in waiting for wire in message.items]
        said = [body for body in opened if body is not None]
        for each in said:
            self._apply(each)
        return said

    def ask(self) -> None:
        self.asked += 1
        self.told(asks=True)

    def told(self, **fields: Any) -> None:
        """What it says after converging."""
        self.say(topics.NETWORK, v2.Told(**{"generation": self.desired.generation, **fields}))

    def _open(self, task: str, wire: str) -> v2.State | v2.Change | None:
        assert len(wire) <= MAX_WIRE_BYTES
        envelope = keys.control().public.open(wire, Kind.COMMAND)
        assert (envelope.host, envelope.topic) == (str(self.id), task)
        body = unpack(envelope, v2.State) if task == topics.NETWORK_STATE else unpack(envelope, v2.Change)
        assert envelope.generation == body.generation
        return self.parts.add(str(self.id), body, envelope.issued_at)

    def _apply(self, said: v2.State | v2.Change) -> None:
        if said.generation <= self.desired.generation:
            return
        try:
            self.desired = Desired.of(said) if isinstance(said, v2.State) else self.desired.changed(said)
        except Stale:
            self.ask()
        self.network_generation = self.desired.generation


def knows(site: Site) -> dict[str, dict[str, Any]]:
    """What a host knows, by kind and id, without generation: to be compared."""
    return {kind: {id_: msgspec.to_builtins(each) for id_, each in getattr(site.desired, kind).items()} for kind in KINDS}


def nothing_new(site: Site) -> bool:
    tell()
    return not site.take()


def settle(sites: Sequence[Site], *, rounds: int = 20) -> None:
    """Tell and take until nothing moves any more; the pause between two whole states is not waited for."""
    for _ in range(rounds):
        HostNetwork.objects.filter(full_due=True).update(full_at=None)
        moved = tell() + sum(len(site.take()) for site in sites)
        if not moved:
            return
    raise AssertionError("telling does not come to rest")


def afresh(site: Site) -> dict[str, dict[str, Any]]:
    """What the host knows once it was told everything; it goes on from there."""
    had = site.desired.generation
    HostNetwork.objects.filter(pk=site.id).update(full_due=True, full_at=None)
    tell()
    (state,) = [each for each in site.take() if isinstance(each, v2.State)]
    assert state.generation > had
    return knows(site)


def committed(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The call, in a transaction of its own."""
    with transaction.atomic():
        return call(*args, **kwargs)


class World:
    """Projects with networks, routers and groups, and ports on hosts; every method does what a service would, as a transaction."""

    def __init__(self, hosts: Sequence[Site], *, seed: int = 1) -> None:
        self.hosts = list(hosts)
        self.random = random.Random(seed)
        self.project: Project = make_project()
        self.networks: list[Network] = []
        self.subnets: dict[uuid.UUID, Subnet] = {}
        self.groups: list[SecurityGroup] = []
        self.routers: list[Router] = []
        self.ports: list[Port] = []

    @transaction.atomic
    def network(self, cidr: str = "", **fields: Any) -> Network:
        number = len(self.networks)
        network, (subnet,) = inside(self.project, cidr or f"10.{number // 250}.{number % 250}.0/24", **fields)
        self.networks.append(network)
        self.subnets[network.pk] = subnet
        return network

    @transaction.atomic
    def router(self, **fields: Any) -> Router:
        router = Router.objects.create(project_id=self.project.pk, name=f"router-{len(self.routers)}", **fields)
        self.routers.append(router)
        return router

    @transaction.atomic
    def group(self, *named: SecurityGroup) -> SecurityGroup:
        group = SecurityGroup.objects.create(project_id=self.project.pk, name=f"group-{len(self.groups)}")
        self.groups.append(group)
        for other in named:
            self.rule(group, remote_group=other)
        return group

    @transaction.atomic
    def rule(self, group: SecurityGroup, **fields: Any) -> Rule:
        rule = Rule.objects.create(group=group, fingerprint=uuid.uuid4().hex, **{"direction": "ingress", "family": 4, **fields})
        changes.group(group.pk)
        return rule

    @transaction.atomic
    def unrule(self, rule: Rule) -> None:
        rule.delete()
        changes.group(rule.group_id)

    @transaction.atomic
    def port(self, network: Network, host: Site | None, *groups: SecurityGroup, **fields: Any) -> Port:
        subnet = self.subnets[network.pk]
        taken = {str(a) for a in FixedIP.objects.filter(subnet=subnet).values_list("address", flat=True)}
        base = subnet.cidr.rsplit(".", 1)[0]
        address = next(f"{base}.{n}" for n in range(2, 250) if f"{base}.{n}" not in taken)
        port = plug(network, host_id=host.id if host else None, **fields)
        FixedIP.objects.create(subnet=subnet, port=port, address=address)  # a row; nobody takes addresses from a pool here
        PortGroup.objects.bulk_create([PortGroup(port=port, group=group) for group in groups])
        changes.ports([port])
        self.ports.append(port)
        return port

    @transaction.atomic
    def unplug(self, port: Port) -> None:
        changes.ports([port], leaving=True)
        for floating in FloatingIP.objects.filter(fixed_ip__port=port):
            self._untie(floating)
        port.delete()
        self.ports.remove(port)

    @transaction.atomic
    def move(self, port: Port, host: Site | None) -> None:
        if port.host_id is not None:
            changes.ports([port], leaving=True)
        port.host_id = host.id if host else None
        port.save()
        changes.ports([port])

    @transaction.atomic
    def regroup(self, port: Port, *groups: SecurityGroup) -> None:
        had = set(PortGroup.objects.filter(port=port).values_list("group_id", flat=True))
        PortGroup.objects.filter(port=port).delete()
        PortGroup.objects.bulk_create([PortGroup(port=port, group=group) for group in groups])
        changes.members([port.pk], left=had - {group.pk for group in groups})

    @transaction.atomic
    def attach(self, router: Router, network: Network) -> None:
        RouterInterface.objects.create(router=router, subnet=self.subnets[network.pk])
        network.router = router
        network.save()
        changes.domain(router.pk, network.pk)

    @transaction.atomic
    def detach(self, network: Network) -> None:
        router_id = network.router_id
        assert router_id is not None
        RouterInterface.objects.filter(subnet__network=network).delete()
        for floating in FloatingIP.objects.filter(fixed_ip__port__network=network):
            self._untie(floating)
        network.router = None
        network.save()
        changes.domain(router_id, network.pk)

    @transaction.atomic
    def floating(self, external: Network, port: Port, address: str) -> FloatingIP:
        held = plug(external, device_kind="floating_ip", project=self.project)
        made = FloatingIP.objects.create(
            project_id=self.project.pk, network=external, port=held, address=address, fixed_ip=port.fixed_ips.first(),
            router_id=Network.objects.get(pk=port.network_id).router_id,
        )
        changes.floating(made)
        return made

    @transaction.atomic
    def lead(self, floating: FloatingIP, port: Port | None) -> None:
        was = floating.router_id
        floating.fixed_ip = port.fixed_ips.first() if port else None
        floating.router_id = Network.objects.get(pk=port.network_id).router_id if port else None
        floating.save()
        changes.floating(floating, was=was)

    def _untie(self, floating: FloatingIP) -> None:
        was = floating.router_id
        floating.fixed_ip = floating.router = None
        floating.save()
        changes.floating(floating, was=was)

    def _some(self) -> list[SecurityGroup]:
        return self.random.sample(self.groups, self.random.randint(0, min(2, len(self.groups))))

    def steps(self) -> list[Callable[[], object]]:
        """What can happen now, for tests that let anything happen."""
        pick, some = self.random.choice, self.random.random
        found: list[Callable[[], object]] = [
            lambda: self.port(pick(self.networks), pick(self.hosts) if some() < 0.9 else None, *self._some()),
            *[lambda: self.port(pick(self.networks), pick(self.hosts), *self._some())] * 2,
            lambda: self.rule(pick(self.groups), remote_group=pick(self.groups)),
            lambda: self.rule(pick(self.groups), cidr="198.51.100.0/24"),
        ]
        if self.ports:
            found += [
                lambda: self.unplug(pick(self.ports)),
                lambda: self.unplug(pick(self.ports)),
                lambda: self.move(pick(self.ports), pick(self.hosts) if some() < 0.8 else None),
                lambda: self.regroup(pick(self.ports), *self._some()),
            ]
        if rules := list(Rule.objects.all()):
            found += [lambda: self.unrule(pick(rules)), lambda: self.unrule(pick(rules))]
        if free := [network for network in self.networks if network.router_id is None]:
            found.append(lambda: self.attach(pick(self.routers), pick(free)))
        if bound := [network for network in self.networks if network.router_id is not None]:
            found.append(lambda: self.detach(pick(bound)))
        if ties := list(FloatingIP.objects.all()):
            reachable = [port for port in self.ports if Network.objects.get(pk=port.network_id).router_id]
            untied = [port for port in reachable if not FloatingIP.objects.filter(fixed_ip__port=port).exists()]
            found.append(lambda: self.lead(pick(ties), pick(untied) if untied and some() < 0.7 else None))
        return found
