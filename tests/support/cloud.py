"""A small cloud for tests: a project with its actor, a flavor, an image, a network, hosts, and the bus between them."""

import uuid
from typing import Any

from apps.common.context import SYSTEM, Actor
from apps.common.errors import CloudError
from apps.compute.models import Flavor, Instance
from apps.compute.services import catalog, delete, place, power
from apps.compute.services.create import Created, Wanted, create
from apps.identity.models import Project
from apps.identity.services import projects
from apps.images.models import Image
from apps.network.models import Network
from apps.network.services import networks
from apps.operations.models import Operation
from apps.quotas.resources import RESOURCES, UNLIMITED
from apps.quotas.services import limits, reservations
from contracts import topics
from tests.support.bus import FakeBus
from tests.support.hosts import Command, FakeHost
from tests.support.identity import make_actor


def make_project(name: str = "") -> Project:
    return projects.ensure_project(actor=SYSTEM, name=name or f"project-{uuid.uuid4().hex[:8]}")


def make_flavor(**fields: Any) -> Flavor:
    fields = {"name": f"flavor-{uuid.uuid4().hex[:8]}", "vcpus": 1, "memory_mb": 512, "disk_gb": 5, **fields}
    return catalog.create_flavor(actor=SYSTEM, **fields)


def make_image(project: Project | None = None, **fields: Any) -> Image:
    """An active image; its content is nowhere, since nobody here fetches it."""
    image = Image.objects.create(
        **{
            "project_id": project.pk if project else None, "name": "demo", "state": "active", "disk_format": "qcow2",
            "visibility": "public", "size_bytes": 1024, "virtual_size_bytes": 1024, "sha256": "0" * 64, **fields,
        }
    )
    if project:
        reservations.reserve(project_id=project.pk, amounts={"images": 1, "image_bytes": image.size_bytes or 0})
    return image


def make_network(actor: Actor, name: str = "small", **fields: Any) -> Network:
    """A network with one IPv4 subnet and a router; 13 addresses can be given unless `cidr` says otherwise."""
    made, _, _ = networks.create_whole(actor=actor, name=name, **{"cidr": "10.9.9.0/28", "cidr6": None, **fields})
    return made


def unlimited() -> None:
    """No project has limits of anything, unless a test sets some."""
    limits.set_defaults(actor=SYSTEM, limits=dict.fromkeys(RESOURCES, UNLIMITED))


class Cloud:
    """What most tests need. Hosts come by `host`, instances by `boot` (not placed yet) and `active` (running)."""

    def __init__(self, bus: FakeBus) -> None:
        self.bus = bus
        unlimited()
        self.project = make_project()
        self.actor = make_actor(self.project)
        self.flavor = make_flavor()
        self.image = make_image(self.project)
        self.network = make_network(self.actor, "default", cidr="10.64.0.0/24", is_default=True)
        self.hosts: list[FakeHost] = []
        bus.wipe()  # nobody waits for what came of this

    def host(self, name: str = "", *, zone: str = "default", **inventory: int) -> FakeHost:
        """A new host that is up; `inventory` replaces amounts."""
        host = FakeHost(self.bus, name, zone=zone)
        host.hello({"VCPU": 16, "MEMORY_MB": 16384, "DISK_GB": 200, **inventory})
        self.hosts.append(host)
        forget_table()
        return host

    def create(self, *, actor: Actor | None = None, client_token: str = "", **fields: Any) -> Created:
        wanted = Wanted(**{"name": "web", "flavor_id": self.flavor.pk, "image_id": self.image.pk, **fields})
        return create(actor=actor or self.actor, wanted=wanted, client_token=client_token)

    def boot(self, **fields: Any) -> Instance:
        """Accepted, and the scheduler's message is on the bus."""
        return self.create(**fields).instances[0]

    def schedule(self) -> int:
        """Have the scheduler work on what waits for it; how many operations that were."""
        ids = [item for message in self.bus.take_queue(topics.SCHEDULER) for item in message.items]
        if ids:
            place.place(ids)
        return len(ids)

    def placed(self, **fields: Any) -> tuple[Instance, FakeHost, Command]:
        """Accepted, placed, and the build command taken from the host's queue."""
        instance = self.boot(**fields)
        self.schedule()
        instance.refresh_from_db()
        host = self.host_of(instance)
        return instance, host, host.command(topics.COMPUTE_BUILD)

    def active(self, **fields: Any) -> tuple[Instance, FakeHost]:
        """Built and running."""
        instance, host, command = self.placed(**fields)
        host.send(host.obey(command))
        instance.refresh_from_db()
        assert instance.state == "ACTIVE"
        return instance, host

    def run(self, *, rounds: int = 50) -> None:
        """Deliver and obey until nothing moves any more."""
        for _ in range(rounds):
            if not self.schedule() + sum(host.work() for host in self.hosts):
                return
        raise AssertionError("the cloud does not come to rest")

    def host_of(self, instance: Instance) -> FakeHost:
        return next(host for host in self.hosts if host.id == instance.host_id)

    def delete(self, instance: Instance) -> Operation:
        return delete.delete(actor=self.actor, instance_id=instance.pk)

    def power(self, instance: Instance, action: str) -> Operation:
        return power.power(actor=self.actor, instance_id=instance.pk, action=action)


def operation_of(instance: Instance, kind: str = "") -> Operation:
    """The newest operation of an instance (of one kind, if given)."""
    rows = Operation.objects.filter(resource_id=instance.pk)
    return (rows.filter(kind=kind) if kind else rows).latest("pk")


def timeline(operation: Operation) -> list[str]:
    return list(operation.events.order_by("id").values_list("name", flat=True))


def forget_table() -> None:
    """The scheduler's table may be a second old; a test is faster."""
    from apps.scheduler.feed import feed

    feed.forget()


def refusal(call: Any, *args: Any, **kwargs: Any) -> CloudError:
    """The CloudError that a call raises; an assertion if it raises none."""
    try:
        call(*args, **kwargs)
    except CloudError as error:
        return error
    raise AssertionError(f"{call} was not refused")
