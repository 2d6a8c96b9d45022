"""What tests of the admin share: addresses of its pages, users, and rows of every model."""

from django.db.models import Model
from django.test import Client
from django.urls import reverse

import cloudsite.urls  # noqa: F401  (finds the pages of the admin, of which tests make their lists)
from apps.common import clock
from apps.common.context import SYSTEM, Actor
from apps.compute.services import catalog
from apps.hosts.services import aggregates
from apps.identity.access_rules import Rule
from apps.identity.models import DirectorySync, Project, User
from apps.identity.services import access_keys, application_credentials, groups, roles, trusts
from apps.network.builtin import OUTSIDE_ID
from apps.network.models import Network
from apps.network.services import floating, networks, pools, ports, subnets
from apps.network.services import groups as security_groups
from apps.objects.models import Upload, Version
from apps.objects.services import buckets
from apps.operations.services import intake, leases
from apps.placement.services import classes, traits
from apps.quotas.services import limits
from apps.scheduler.services import groups as server_groups
from tests.support.cloud import Cloud, make_flavor, make_image, make_project
from tests.support.identity import give, make_actor, make_token, make_user

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ test"


def address(row: Model | type[Model], page: str = "changelist", *more: str) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}"
    return reverse(name, args=[row.pk, *more] if isinstance(row, Model) else [])


def user(name: str, **flags: bool) -> User:
    """`is_superuser`: admin on the system; `is_staff`: a reader there; others are columns."""
    made = make_user(name, operator=flags.pop("is_superuser", False))
    if flags.pop("is_staff", False):
        give(made, "reader")
    for flag, value in flags.items():
        setattr(made, flag, value)
    made.save()
    return User.objects.get(pk=made.pk)


def signed_in(who: User) -> Client:
    client = Client()
    client.force_login(who)
    return client


def fill_identity(project: Project, someone: User, word: str) -> None:
    """One row of each model of identity for a user with a role in a project."""
    actor = make_actor(project, user=someone)
    group = groups.create_group(actor=SYSTEM, name=word)
    groups.add_member(actor=SYSTEM, group_id=group.pk, user_id=someone.pk)
    roles.create_role(actor=SYSTEM, name=word, permissions=["images.*"])
    application_credentials.create(actor=actor, name=word, rules=[Rule("compute", "GET", f"/{word}")])
    access_keys.create(actor=actor)
    wanted = trusts.Wanted(
        trustor_id=someone.pk, trustee_id=someone.pk, project_id=project.pk, roles=["member"], impersonation=False
    )
    trusts.create(actor=actor, wanted=wanted)


def fill_networks(actor: Actor, word: str, *, cidr: str = "") -> None:
    """One row of each model of networks, for a project."""
    made, _, _ = networks.create_whole(actor=actor, name=word, cidr=cidr)
    group = security_groups.create(actor=actor, name=word)
    security_groups.add_rule(actor=actor, group_id=group.pk, direction="ingress", protocol="tcp", first=22)
    port = ports.create(actor=actor, network_id=made.pk, name=word, group_ids=[group.pk])
    if not Network.objects.get(pk=OUTSIDE_ID).subnets.exists():
        subnets.create(actor=SYSTEM, network_id=OUTSIDE_ID, cidr="198.51.100.0/24")
    floating.create(actor=actor, port_id=port.pk)
    wire = pools.add_wire(actor=SYSTEM, name=word)
    pools.add(actor=SYSTEM, kind="vlan", physical_network=wire.name, first=1, last=9, for_tenants=False)


def fill_objects(actor: Actor, word: str) -> None:
    """A bucket with an empty object and an upload."""
    bucket = buckets.create(actor=actor, name=f"bucket-{word}", acl={"canned": "public-read"}, tags={"name": word})
    about = {"bucket": bucket, "key": word, "user_id": actor.user_id, "project_id": actor.project_id, "created_at": clock.now()}
    Version.objects.create(version="null", is_latest=True, metadata={"note": word}, acl={"canned": "public-read"}, tags={"a": "b"}, **about)
    Upload.objects.create(**about)


def populate(cloud: Cloud, name: str, count: int) -> None:
    """So many rows of each model."""
    for number in range(count):
        word = f"{name}-{number}"
        host = cloud.host(word, VCPU=64, MEMORY_MB=65536, zone=word)
        aggregate = aggregates.create(actor=SYSTEM, name=word, metadata={"disk": "nvme"})
        aggregates.add_host(actor=SYSTEM, aggregate_id=aggregate.pk, host_id=host.id)
        own = f"CUSTOM_{word.upper().replace('-', '_')}"
        classes.create(actor=SYSTEM, name=own)
        traits.create(actor=SYSTEM, name=own)
        project = make_project(word)
        someone = user(word)
        give(someone, "member", project)
        make_token(someone, project)
        fill_identity(project, someone, word)
        limits.set_limits(actor=SYSTEM, owner_id=project.pk, limits={"images": 7})
        DirectorySync.objects.get_or_create(pk=1)
        actor = make_actor(project, user=someone)
        catalog.create_key_pair(actor=actor, name=word, public_key=KEY)
        fill_networks(actor, word)
        fill_objects(actor, word)
        make_image(project, name=word)
        make_flavor(name=word)
        intake.reject("report.forged", word, "not signed by its key")
        leases.acquire(name=word, holder="here:1", seconds=10)
        server_group = server_groups.create(actor=cloud.actor, name=word, policy="soft-affinity")
        cloud.create(client_token=word, name=word, server_group_id=server_group.pk)
        cloud.run()
