"""Two domains: in one the victim with one of everything, in both some who would like to have it."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from apps.common import clock
from apps.common.context import SYSTEM, Actor
from apps.compute.models import Instance, KeyPair
from apps.hosts.services import aggregates, enrol, zones
from apps.identity import builtin
from apps.identity.models import (
    AccessRule,
    Assignment,
    Endpoint,
    Project,
    ProjectTag,
    Region,
    Service,
    StoredPolicy,
    User,
)
from apps.identity.services import (
    access_keys,
    application_credentials,
    catalog,
    credentials,
    groups,
    projects,
    roles,
    signin,
    trusts,
)
from apps.images.models import Image, Member
from apps.network.models import FixedIP, HostNetwork, Port
from apps.network.services import floating, networks, pools, ports, routers, subnets
from apps.network.services import groups as security_groups
from apps.objects.models import Version
from apps.objects.services import buckets
from apps.operations.models import Operation, OperationEvent, Rejection
from apps.placement.models import ResourceProvider
from apps.placement.services import allocations, classes, inventories, providers, traits
from apps.quotas.models import Limit, RegisteredLimit
from apps.quotas.services import reservations
from apps.scheduler.models import Decision, GroupMember
from apps.scheduler.services import groups as server_groups
from tests.api.isolation.expected import Pairs, Places, Thing
from tests.support.cloud import make_flavor, make_image, make_network, unlimited
from tests.support.identity import actor_in, give, make_domain, make_user

MARK = "vctm"
# Bodies of Placement have ids for keys.
PROVIDER, IDLE_PROVIDER = "f00d0000-0000-4000-8000-000000000001", "f00d0000-0000-4000-8000-000000000002"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqfJ7Oh3sTqCPBdx1e0cXKxQpRV9xA5VtJtMrxHLhNn"
_AUDIT = "audit.record.list"


@dataclass
class World:
    """`things`: what the victim has, by kind. `people`: users by name. The victim's is the first of both domains."""

    domain: Project
    elsewhere: Project
    project: Project
    beside: Project
    away: Project
    people: dict[str, User] = field(default_factory=dict)
    things: dict[str, Thing] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)

    @property
    def victim(self) -> User:
        return self.people["victim"]

    @property
    def actor(self) -> Actor:
        """The victim in its project."""
        return actor_in(self.victim, self.project)

    @property
    def below(self) -> Places:
        """The domain of the victim and the projects in it."""
        return frozenset(Project.objects.filter(domain=self.domain).values_list("pk", flat=True)) | {self.domain.pk}


def make() -> World:
    """All rows."""
    unlimited()
    domain, elsewhere = make_domain(f"{MARK}-domain"), make_domain("elsewhere")
    project, beside = _project(f"{MARK}-project", domain), _project("beside", domain)
    world = World(domain, elsewhere, project, beside, _project("away", elsewhere))
    world.rows["empty_project"] = _project(f"{MARK}-empty-project", domain)
    _people(world)
    for fill in (_places, _assignments, _delegated, _installation, _resources, _networks, _objects, _catalog, _limits, _placement):
        fill(world)
    return world


def _project(name: str, domain: Project) -> Project:
    return projects.create_project(actor=SYSTEM, name=name, domain_id=domain.pk)


def _people(world: World) -> None:
    names = {world.domain: ("victim", "reader", "mate", "boss", "neighbour", "neighbours_boss", "ruler", "trustee", "clerk", "leaver"),
             world.elsewhere: ("stranger", "strangers_boss", "other_ruler", "root", "auditor", "custom")}
    for domain, listed in names.items():
        for name in listed:
            shown = f"{MARK}-user" if name == "victim" else f"{MARK}-clerk" if name == "clerk" else name
            world.people[name] = make_user(shown, domain=domain)
    people = world.people
    for name, role, place in (
        ("victim", "member", world.project), ("reader", "reader", world.project), ("mate", "member", world.project),
        ("boss", "admin", world.project), ("neighbour", "member", world.beside), ("neighbours_boss", "admin", world.beside),
        ("ruler", "admin", world.domain), ("stranger", "member", world.away), ("strangers_boss", "admin", world.away),
        ("other_ruler", "admin", world.elsewhere), ("root", "admin", None), ("auditor", "reader", None),
        ("auditor", "member", world.beside), ("leaver", "member", world.project),
    ):
        give(people[name], role, place)
    _groups(world)


def _groups(world: World) -> None:
    """Users and groups: the victim and its group have roles in the project and the domain; the clerk and the aides have them
    in all projects of the domain, by inheritance, and on the system."""
    of_domain, at_work = frozenset({world.domain.pk}), frozenset({world.domain.pk, world.project.pk})
    group = groups.create_group(actor=SYSTEM, name=f"{MARK}-group", domain_id=world.domain.pk)
    groups.add_member(actor=SYSTEM, group_id=group.pk, user_id=world.victim.pk)
    aides = groups.create_group(actor=SYSTEM, name=f"{MARK}-aides", domain_id=world.domain.pk)
    world.rows |= {"group": group, "aides": aides}
    told = frozenset({world.people["trustee"].pk})
    for kind, row, name, permission, places in (
        ("user", world.victim, world.victim.username, "identity.user.get", at_work),
        ("clerk", world.people["clerk"], world.people["clerk"].username, "identity.user.get", world.below),
        ("group", group, group.name, "identity.group.get", at_work), ("aides", aides, aides.name, "identity.group.get", world.below),
    ):
        seen_in = [("identity.assignment.list", places)]
        if kind == "user":  # instances, operations and server groups say whose they are
            seen_in += [(f"{thing}.get", places) for thing in ("compute.instance", "operations.operation", "scheduler.server_group")]
        world.things[kind] = _thing(
            row.pk, name, world, permission, places=of_domain, trail=places, seen_in=tuple(seen_in),
            users=frozenset({row.pk}) if kind in ("user", "clerk") else frozenset(),
            known_to=told if kind == "user" else frozenset({world.victim.pk}) if kind == "group" else frozenset(),
        )


def _places(world: World) -> None:
    in_project = Assignment.objects.filter(project=world.project).values_list("user_id", flat=True)
    members = frozenset(key for key in in_project if key is not None)
    ProjectTag.objects.create(project=world.project, name=f"{MARK}-tag")
    here = frozenset({world.project.pk, world.domain.pk})
    world.things["project"] = _thing(
        world.project.pk, world.project.name, world, "identity.project.get", places=here, more=(f"{MARK}-tag",),
        own_by=(("identity.project.get", members),), known_to=members | {world.people["trustee"].pk},
    )
    empty = world.rows["empty_project"]
    of_domain = frozenset({world.domain.pk})
    world.things["empty_project"] = _thing(
        empty.pk, empty.name, world, "identity.project.get", places=of_domain | {empty.pk}, trail=of_domain,
        known_to=frozenset({world.people["clerk"].pk}),
    )
    natives = frozenset(User.objects.filter(domain=world.domain).values_list("pk", flat=True))
    world.things["domain"] = _thing(
        world.domain.pk, world.domain.name, world, "identity.domain.get", places=of_domain,
        wider=(("identity.domain.get", world.below),), own_by=(("identity.domain.get", natives),), known_to=natives,
        seen_in=(("identity.domain.get", world.below),),
    )
    closed = make_domain(f"{MARK}-closed-domain")
    Project.objects.filter(pk=closed.pk).update(enabled=False)
    world.things["closed_domain"] = _thing(closed.pk, closed.name, world, "identity.domain.get", places=frozenset({closed.pk}), trail=frozenset())


def _assignments(world: World) -> None:
    """A role of the operator's own that gives nothing, wherever roles are given, and one of the domain."""
    role = roles.create_role(actor=SYSTEM, name="plain")
    implied = roles.create_role(actor=SYSTEM, name="plainer")
    roles.imply(actor=SYSTEM, prior_id=role.pk, implied_id=implied.pk)
    of_domain = roles.create_role(actor=SYSTEM, name=f"{MARK}-role", domain_id=world.domain.pk)
    world.rows["custom_role"] = custom = roles.create_role(actor=SYSTEM, name="custom")
    give(world.people["custom"], str(custom.pk))
    things = world.things
    things["role"], things["implied_role"] = Thing(key=str(role.pk), shared=True), Thing(key=str(implied.pk), shared=True)
    things["reader_role"] = Thing(key=str(builtin.ROLE_IDS[builtin.Role.READER]), shared=True)
    reading = (("identity.role.get", world.below), ("identity.role.list", world.below))
    things["domain_role"] = _thing(
        of_domain.pk, of_domain.name, world, "identity.role.get", places=frozenset({world.domain.pk}), wider=reading, seen_in=reading
    )
    for holder, place, inherited in (
        (world.victim, world.project, False), (world.victim, world.project, True), (world.victim, world.domain, False),
        (world.rows["group"], world.project, False), (world.rows["group"], world.project, True), (world.rows["group"], world.domain, False),
        (world.people["clerk"], world.domain, True), (world.rows["aides"], world.domain, True),
        (world.people["clerk"], None, False), (world.rows["aides"], None, False),
    ):
        made = give(holder, str(role.pk), place, inherited=inherited)
        if place == world.project and not inherited and holder == world.victim:
            things["assignment"] = _thing(
                made.pk, "", world, "identity.assignment.list", users=frozenset({world.victim.pk}),
                places=frozenset({world.project.pk, world.domain.pk}),
            )


def _delegated(world: World) -> None:
    """What lets programs act for the victim."""
    actor, mine = world.actor, frozenset({world.victim.pk})
    credential = application_credentials.create(actor=actor, name=f"{MARK}-application-credential").credential
    rule = AccessRule.objects.create(user=world.victim, service="compute", method="GET", path=f"/{MARK}-rule")
    key = access_keys.create(actor=actor, name=f"{MARK}-access-key")
    kept = credentials.create(actor=SYSTEM, user_id=world.victim.pk, type="cert", blob=f"{MARK}-blob")
    trust = trusts.create(
        actor=actor, wanted=trusts.Wanted(
            trustor_id=world.victim.pk, trustee_id=world.people["trustee"].pk, impersonation=False, project_id=world.project.pk,
            roles=["reader"],
        ),
    )
    world.rows["access_key"] = key
    world.things |= {
        "application_credential": _thing(
            credential.pk, credential.name, world, "identity.application_credential.get", users=mine
        ),
        "access_rule": _thing(rule.pk, rule.path, world, "identity.application_credential.get", users=mine),
        "access_key": _thing(key.key.pk, key.key.name, world, "identity.access_key.get", users=mine, more=(key.key.access or "", key.secret)),
        "access": _thing(key.key.access, "", world, "identity.access_key.get", users=mine),
        "credential": _thing(kept.pk, f"{MARK}-blob", world, "identity.credential.get", users=mine),
        "trust": _thing(trust.pk, "", world, "identity.trust.get", users=mine | {world.people["trustee"].pk}),
    }
    token = signin.issue_at_shell(user=world.victim, project_id=world.project.pk, name=f"{MARK}-token")
    for kind, name in (("token", str(token.token.pk)), ("token_secret", token.secret)):
        world.things[kind] = _thing(name, f"{MARK}-token", world, "identity.token.validate", users=mine)
    pair = KeyPair.objects.create(user_id=world.victim.pk, name=f"{MARK}-key", public_key=PUBLIC_KEY, fingerprint=f"SHA256:{MARK}")
    world.things["key_pair"] = _thing(pair.name, "", world, "compute.key_pair.get", users=mine, personal=True)


def _installation(world: World) -> None:
    zone, idle_zone = (zones.create(actor=SYSTEM, name=name) for name in ("zone-of-all", "idle-zone-of-all"))
    host = enrol.enrol(actor=SYSTEM, name=f"{MARK}-host", zone=zone.name).host
    ResourceProvider.objects.create(pk=host.pk, name=host.name, root_id=host.pk)
    world.rows["host"], world.rows["flavor"] = host, make_flavor(name="plain")
    world.rows["public_image"] = make_image(name="public")
    nowhere: Places = frozenset()
    world.things["host"] = _thing(
        host.pk, host.name, world, "hosts.host.get", seen_in=(("network.host.list", nowhere), ("hosts.aggregate.list", nowhere))
    )
    world.things |= {"zone": Thing(key=str(zone.pk), shared=True), "idle_zone": Thing(key=str(idle_zone.pk), shared=True)}
    for kind in ("aggregate", "idle_aggregate"):
        made = aggregates.create(actor=SYSTEM, name=f"{MARK}-{kind}", metadata={"note": f"{MARK}-{kind}-metadata"})
        world.things[kind] = _thing(made.pk, made.name, world, "hosts.aggregate.list")
    aggregates.add_host(actor=SYSTEM, aggregate_id=uuid.UUID(world.things["aggregate"].key), host_id=host.pk)
    HostNetwork.objects.create(host_id=host.pk, host_name=host.name, speaks=True)
    wire = pools.add_wire(actor=SYSTEM, name=f"{MARK}-wire")
    pool = pools.add(actor=SYSTEM, kind="vlan", physical_network=wire.name, first=100, last=199, for_tenants=False)
    idle = pools.add_wire(actor=SYSTEM, name=f"{MARK}-idle-wire")
    for kind, row, name in (("wire", wire, wire.name), ("idle_wire", idle, idle.name), ("pool", pool, "")):
        world.things[kind] = _thing(row.pk, name, world, "network.pool.list")
    world.things["flavor"] = Thing(key=str(world.rows["flavor"].pk), shared=True)
    Rejection.objects.create(code="signature", host_name=host.name, detail=f"{MARK}-rejection")


def _resources(world: World) -> None:
    """An instance that runs, with what is behind it; a network and an image beside those that it uses."""
    network = make_network(world.actor, f"{MARK}-network", cidr="10.77.0.0/24", is_default=True)
    idle = networks.create(actor=world.actor, name=f"{MARK}-idle-network")
    image = Image.objects.create(project_id=world.project.pk, name=f"{MARK}-image", disk_format="raw")
    whole = make_image(world.project, name=f"{MARK}-whole-image", visibility="private")
    shared, offered = _shared_images(world)
    members = frozenset({world.beside.pk})
    now, host, flavor = clock.now(), world.rows["host"], world.rows["flavor"]
    instance = Instance.objects.create(
        project_id=world.project.pk, user_id=world.victim.pk, name=f"{MARK}-instance", state="ACTIVE", power_state="running",
        host_id=host.pk, host_name=host.name, flavor_id=flavor.pk, flavor_name=flavor.name, vcpus=1, memory_mb=512, disk_gb=5,
        image_id=image.pk, image_name=image.name, network_id=network.pk, metadata={"note": f"{MARK}-metadata"}, created_at=now,
    )
    port = Port.objects.create(network=network, project_id=world.project.pk, device_id=instance.pk, mac="fa:16:3e:77:00:07")
    FixedIP.objects.create(subnet=network.subnets.get(), port=port, address="10.77.0.7")
    operation = Operation.objects.create(
        kind="instance.build", resource_type="instance", resource_id=instance.pk, project_id=world.project.pk, user_id=world.victim.pk,
        user_name=world.victim.username, state="succeeded", step="done", host_id=host.pk, host_name=host.name, deadline=now,
        created_at=now, finished_at=now,
    )
    OperationEvent.objects.create(operation=operation, at=now, source="host", name="domain started", detail=f"on {host.name}")
    reservations.reserve(
        project_id=world.project.pk, amounts={
            "instances": 1, "vcpus": 1, "memory_mb": 512, "disk_gb": 5, "ports": 1, "images": 2, "server_group_members": 1,
        },
    )
    here = frozenset({world.project.pk})
    group, idle_group = (
        server_groups.create(actor=world.actor, name=f"{MARK}-{name}", policy="anti-affinity") for name in ("server-group", "idle-server-group")
    )
    GroupMember.objects.create(instance_id=instance.pk, group=group, host_id=host.pk, seat=1)
    Instance.objects.filter(pk=instance.pk).update(server_group_id=group.pk)
    by_group = (("scheduler.server_group.get", here),)
    decision = Decision.objects.create(
        instance_id=instance.pk, operation_id=operation.pk, project_id=world.project.pk, host_id=host.pk, host_name=host.name,
        request={"amounts": {"VCPU": 1}}, hosts=1, summary=f"{MARK}-decision",
    )
    world.things |= {
        "decision": _thing(decision.pk, "", world, "compute.instance.explain", places=here, more=(f"{MARK}-decision",)),
        "server_group": _thing(
            group.pk, group.name, world, "scheduler.server_group.get", places=here, seen_in=(("compute.instance.get", here),)
        ),
        "idle_server_group": _thing(idle_group.pk, idle_group.name, world, "scheduler.server_group.get", places=here),
        "instance": _thing(
            instance.pk, instance.name, world, "compute.instance.get", places=here, more=(f"{MARK}-metadata",), seen_in=by_group
        ),
        "network": _thing(network.pk, network.name, world, "network.network.get", places=here, more=(str(port.pk), port.mac)),
        "port": _thing(port.pk, "", world, "network.port.get", places=here, more=(port.mac,), seen_in=(("compute.instance.get", here),)),
        "idle_network": _thing(idle.pk, idle.name, world, "network.network.get", places=here),
        "image": _thing(image.pk, image.name, world, "images.image.get", places=here),
        "whole_image": _thing(whole.pk, whole.name, world, "images.image.get", places=here),
        "shared_image": _thing(
            shared.pk, shared.name, world, "images.image.get", places=here, seen_in=(("images.image.get", members),),
            wider=(("images.image.get", members),),
        ),
        "other_project": Thing(key=str(world.beside.pk), shared=True),
        "offered_image": _thing(
            offered.pk, offered.name, world, "images.image.get", places=here, seen_in=(("images.image.get", frozenset({world.away.pk})),)
        ),
        "operation": _thing(operation.pk, "", world, "operations.operation.get", places=here),
    }


def _shared_images(world: World) -> tuple[Image, Image]:
    """One that the victim shares, and one of somebody else's that is shared with the victim."""
    now = clock.now()
    shared = Image.objects.create(project_id=world.project.pk, name=f"{MARK}-shared-image", disk_format="raw", visibility="shared")
    offered = Image.objects.create(project_id=world.away.pk, name=f"{MARK}-offered-image", disk_format="raw", visibility="shared")
    for image, project in ((shared, world.beside), (offered, world.project)):
        Member.objects.create(image=image, project_id=project.pk, created_at=now, updated_at=now)
    return shared, offered


def _networks(world: World) -> None:
    """Of each thing of networks one that is in use and, where that matters, one that is not."""
    actor, here = world.actor, frozenset({world.project.pk})
    street = networks.create(actor=SYSTEM, name="street", kind="vxlan", external=True)
    subnets.create(actor=SYSTEM, network_id=street.pk, cidr="198.51.100.0/24")
    own = Port.objects.get(pk=world.things["port"].key).network
    router, subnet = own.router, own.subnets.get()
    assert router is not None
    routers.update(actor=actor, router_id=router.pk, external_network_id=street.pk)
    idle_router = routers.create(actor=actor, name=f"{MARK}-idle-router", external_network_id=None)
    idle_subnet = subnets.create(
        actor=actor, network_id=uuid.UUID(world.things["idle_network"].key), cidr="10.78.0.0/24", name=f"{MARK}-idle-subnet"
    )
    group = security_groups.create(actor=actor, name=f"{MARK}-security-group")
    rule = security_groups.add_rule(
        actor=actor, group_id=group.pk, direction="ingress", protocol="tcp", first=22, description=f"{MARK}-rule-text"
    )
    spare = ports.create(actor=actor, network_id=own.pk, name=f"{MARK}-spare-port", group_ids=[group.pk])
    idle_group = security_groups.create(actor=actor, name=f"{MARK}-idle-security-group")
    address = floating.create(
        actor=actor, network_id=street.pk, address="198.51.100.77", port_id=spare.pk, description=f"{MARK}-floating-text"
    )
    world.things |= {
        "street": Thing(key=str(street.pk), shared=True),
        "router": _thing(router.pk, "", world, "network.router.get", places=here),
        "idle_router": _thing(idle_router.pk, idle_router.name, world, "network.router.get", places=here),
        "subnet": _thing(subnet.pk, "", world, "network.subnet.get", places=here),
        "idle_subnet": _thing(idle_subnet.pk, idle_subnet.name, world, "network.subnet.get", places=here),
        "spare_port": _thing(spare.pk, spare.name, world, "network.port.get", places=here, more=(spare.mac,)),
        "security_group": _thing(group.pk, group.name, world, "network.security_group.get", places=here),
        "idle_security_group": _thing(idle_group.pk, idle_group.name, world, "network.security_group.get", places=here),
        "security_group_rule": _thing(
            rule.pk, f"{MARK}-rule-text", world, "network.security_group.get", places=here
        ),
        "floating_ip": _thing(
            address.pk, f"{MARK}-floating-text", world, "network.floating_ip.get", places=here, more=(str(address.address),)
        ),
    }


def _objects(world: World) -> None:
    """A bucket with an object and a policy that gives nobody anything, and an empty bucket."""
    here = frozenset({world.project.pk})
    bucket, idle = (buckets.create(actor=world.actor, name=f"{MARK}-{name}") for name in ("bucket", "idle-bucket"))
    nothing = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObjectTorrent", "Resource": "*"}
    buckets.put_policy(actor=world.actor, name=bucket.name, policy={"Version": "2012-10-17", "Statement": [nothing]})
    held = Version.objects.create(
        bucket=bucket, key=f"{MARK}-object", version="null", is_latest=True, project_id=world.project.pk, user_id=world.victim.pk,
        created_at=clock.now(),
    )
    for kind, row in (("bucket", bucket), ("idle_bucket", idle)):
        world.things[kind] = _thing(row.name, "", world, "objects.bucket.get", places=here, more=(str(row.pk),))
    world.things["object"] = _thing(held.key, "", world, "objects.object.list", places=here, seen_in=(("objects.object.get", here),))


def _catalog(world: World) -> None:
    region = Region.objects.create(pk="region-of-all")
    service = Service.objects.create(type="service-of-all")
    endpoint = catalog.create_endpoint(actor=SYSTEM, service_id=service.pk, interface="public", url="http://cloud.example/", region_id=None)
    kept = StoredPolicy.objects.create(type="text/plain", blob="policy")
    assert isinstance(endpoint, Endpoint)
    for kind, key in (("region", region.pk), ("service", service.pk), ("endpoint", endpoint.pk), ("policy", kept.pk)):
        world.things[kind] = Thing(key=str(key), shared=True)


def _limits(world: World) -> None:
    about = RegisteredLimit.objects.create(service_id=builtin.SERVICE_IDS["compute"], resource_name="wheels", default_limit=4)
    idle = RegisteredLimit.objects.create(service_id=builtin.SERVICE_IDS["compute"], resource_name="idle-wheels", default_limit=4)
    limit = Limit.objects.create(registered=about, project_id=world.project.pk, resource_limit=7, description=f"{MARK}-limit")
    world.things["registered_limit"] = Thing(key=str(idle.pk), shared=True)
    world.things["compute_service"] = Thing(key=str(builtin.SERVICE_IDS["compute"]), shared=True)
    world.things["limit"] = _thing(
        limit.pk, f"{MARK}-limit", world, "quotas.limit.list", places=frozenset({world.project.pk, world.domain.pk})
    )


def _placement(world: World) -> None:
    """A provider that somebody claims of, one that nobody does (its generation is 1), a trait and a class of this cloud's own."""
    for kind, key in (("provider", PROVIDER), ("idle_provider", IDLE_PROVIDER)):
        row = providers.create(actor=SYSTEM, name=f"{MARK}-{kind}", provider_id=uuid.UUID(key))
        inventories.replace(actor=SYSTEM, provider_id=row.pk, generation=0, inventories={"VCPU": inventories.Facts(total=8)})
        world.things[kind] = _thing(row.pk, row.name, world, "placement.provider.list")
    consumer = uuid.uuid4()
    allocations.put(actor=SYSTEM, sets=[
        allocations.Wanted(
            consumer_id=consumer, project_id=str(world.project.pk), user_id=str(world.victim.pk), resources={uuid.UUID(PROVIDER): {"VCPU": 1}},
        ),
    ])
    world.things["consumer"] = _thing(consumer, "", world, "placement.provider.list")
    traits.create(actor=SYSTEM, name="CUSTOM_OLD")
    classes.create(actor=SYSTEM, name="CUSTOM_OLD")
    world.things |= {"trait": Thing(key="CUSTOM_OLD", shared=True), "class": Thing(key="CUSTOM_OLD", shared=True)}


def _thing(
    key: object, name: str, world: World, permission: str, *, places: Places = frozenset(), more: tuple[str, ...] = (),
    seen_in: Pairs = (), trail: Places | None = None, **others: Any,
) -> Thing:
    """`permission`: to read it, in `places`. Who reads the audit trail of the project or the domain (`trail`) reads of it too."""
    words = [str(key), name, *more]
    if isinstance(key, uuid.UUID):
        words.append(key.hex)
    audit = frozenset({world.project.pk, world.domain.pk}) if trail is None else trail
    return Thing(
        key=str(key), words=tuple(word for word in words if word), places=places,
        seen_by=((permission, places), *seen_in, (_AUDIT, audit)), **others,
    )
