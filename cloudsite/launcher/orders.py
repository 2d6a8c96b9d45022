"""What can be ordered of `inside`: each makes one thing be there, and does nothing if it is. All go through services."""

import contextlib
import json
import secrets as random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management import call_command

from apps.common.context import SYSTEM, Actor
from apps.common.errors import Conflict
from apps.compute import selectors as compute
from apps.compute.services import catalog
from apps.hosts import selectors as hosts
from apps.hosts.services import enrol, zones
from apps.identity import builtin, selectors
from apps.identity.services import assignments, bootstrap, projects, signin, tokens, users
from apps.images import demo
from apps.images import selectors as images
from apps.images.services import images as image_services
from apps.images.services import uploads as image_uploads
from apps.network.services import defaults
from cloudsite.launcher import clouds as clouds_file
from contracts.compute.v1 import DiskFormat
from contracts.envelope import Sealer

if TYPE_CHECKING:
    from apps.identity.models import User

Say = Callable[[str], None]
ADMIN, PROJECT = "admin", "demo"
_DEMO_NAMES = ("demo", "demo-direct", "demo-kernel", "demo-ramdisk")
FLAVORS = (("tiny", 1, 128, 1), ("small", 1, 512, 5), ("medium", 2, 2048, 20), ("large", 4, 8192, 80))


def migrate(say: Say) -> str:
    """Bring the tables up to date; what was applied."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    if connection.vendor == "sqlite":
        # Password hashes and commands with user data are in there; SQLite gives its side files the mode of the main one.
        database = Path(connection.settings_dict["NAME"])
        database.touch(mode=0o600)
        database.chmod(0o600)
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        say(f"{len(plan)} migrations")
        call_command("migrate", interactive=False, verbosity=0)
    return f"{len(plan)} migrations applied" if plan else "up to date"


def static(say: Say) -> str:
    """Put the static files where the web server finds them."""
    call_command("collectstatic", interactive=False, verbosity=0)
    return ""


def people(say: Say) -> str:
    """The first operator with a password of chance, the first project, and the one in the other."""
    path: Path = settings.ENV.secrets / "admin-password"
    password = path.read_text().strip() if path.exists() else random.token_urlsafe(12)
    bootstrap.ensure()
    user, made = users.ensure_user(actor=SYSTEM, username=ADMIN, password=password)
    if made:
        _write_secret(path, password)
    project = projects.ensure_project(actor=SYSTEM, name=PROJECT, description="Made by make up.")
    admin = builtin.ROLE_IDS[builtin.Role.ADMIN]
    for place in (None, project.pk):
        assignments.give(actor=SYSTEM, given=assignments.Given(role_id=admin, user_id=user.pk, place_id=place))
    return "made" if made else ""


def clouds(say: Say) -> str:
    """Where the `openstack` client finds the first operator's way in; empty if nobody knows the password any more."""
    password = settings.ENV.secrets / "admin-password"
    if not password.exists():
        return ""
    path: Path = settings.ENV.var / "clouds.yaml"
    clouds_file.write(
        path, public_url=settings.ENV.public_url, user=ADMIN, password=password.read_text().strip(), project=PROJECT,
        domain=builtin.DEFAULT_DOMAIN_NAME, region=builtin.REGION_ID,
    )
    return str(path)


def flavors(say: Say) -> str:
    """The four sizes that every example uses, unless there are flavors already."""
    if compute.flavors(actor=SYSTEM).exists():
        return ""
    for name, vcpus, memory_mb, disk_gb in FLAVORS:
        with contextlib.suppress(Conflict):
            catalog.create_flavor(actor=SYSTEM, name=name, vcpus=vcpus, memory_mb=memory_mb, disk_gb=disk_gb)
    return ", ".join(name for name, *_ in FLAVORS)


def network(say: Say) -> str:
    """The project's default network; its name."""
    return defaults.ensure(actor=_actor()).name


def image(say: Say, *, cache: str) -> str:
    """The demo image of this version in both its forms, built and imported if need be."""
    build = _demo_image(Path(cache), say)
    actor = _actor()
    older = [row for row in images.images(actor=actor) if "demo_version" in row.properties]
    if {row.name for row in older if row.properties["demo_version"] == build.version} >= {*_DEMO_NAMES}:
        return f"version {build.version}"
    say("importing")

    def bring(name: str, path: Path, disk_format: DiskFormat, **more: Any) -> Any:
        return image_uploads.import_file(
            actor=actor, name=name, path=path, disk_format=disk_format, visibility="public",
            properties={"demo_version": build.version}, **more,
        )

    kernel = bring("demo-kernel", build.kernel, DiskFormat.KERNEL)
    ramdisk = bring("demo-ramdisk", build.ramdisk, DiskFormat.RAMDISK)
    pair = {"kernel_id": kernel.pk, "ramdisk_id": ramdisk.pk, "kernel_args": demo.COMMAND_LINE}
    bring("demo-direct", build.disk, DiskFormat.QCOW2, **pair)
    bring("demo", build.disk, DiskFormat.QCOW2)
    for row in sorted(older, key=lambda row: row.name in ("demo-kernel", "demo-ramdisk")):
        image_services.delete(actor=actor, image_id=row.pk)
    return f"version {build.version} imported"


def _demo_image(cache: Path, say: Say) -> demo.DemoImage:
    """Asking apt for versions takes seconds: only if there is none yet, or its builder is newer than it."""
    present, stamp = demo.existing(cache), cache / "version"
    newest = max(path.stat().st_mtime for path in Path(demo.__file__).parent.iterdir() if path.is_file())
    if present is not None and stamp.stat().st_mtime >= newest:
        return present
    built = demo.build(cache, progress=say)
    stamp.touch()
    return built


def placeholder_image(say: Say) -> str:
    """An image of nothing, for simulated hosts: they ask for its facts only."""
    actor = _actor()
    if any(row.name == "demo" for row in images.images(actor=actor)):
        return ""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(1024 * 1024)
        image_uploads.import_file(
            actor=actor, name="demo", path=Path(file.name), disk_format=DiskFormat.RAW, visibility="public",
            properties={"demo_version": "placeholder"},
        )
    return "a placeholder, nothing is downloaded"


def enrol_hosts(
    say: Say, *, names: list[str], config: str, state_dir: str, driver: str, zone: str = zones.DEFAULT, **fields: Any
) -> str:
    """The hosts of one agent enrolled and its configuration written; `fields` are further ones of it. Good keys are kept."""
    path = Path(config)
    held = _held(path)
    if zone != zones.DEFAULT:
        zones.ensure(actor=SYSTEM, name=zone)
    enrolled = [_known(name, held) or enrol.enrol(actor=SYSTEM, name=name, zone=zone, renew=True) for name in names]
    enrol.write_config(path, enrol.agent_config(enrolled=enrolled, state_dir=state_dir, driver=driver, **fields))
    return names[0] if len(names) == 1 else f"{len(names)} hosts"


def queues(say: Say) -> str:
    """The control plane's queues, where the broker drops what is sent to a queue that nobody has declared yet."""
    from cloudsite.celery import app
    from cloudsite.routing import ANONYMOUS_QUEUES

    with app.connection_for_write() as connection:
        for queue in ANONYMOUS_QUEUES:
            queue(connection.default_channel).queue_declare()
    return ""


def hosts_up(say: Say, *, names: list[str]) -> int:
    """How many of these have said hello."""
    return hosts.hosts().filter(name__in=names, state="up").count()


def token(say: Say, *, hours: int, name: str = "launcher") -> str:
    """A bearer token of the first operator in the first project."""
    user, project = _admin(), projects.ensure_project(actor=SYSTEM, name=PROJECT)
    return signin.issue_at_shell(user=user, project_id=project.pk, name=name, hours=hours).secret


def _actor() -> Actor:
    project = projects.ensure_project(actor=SYSTEM, name=PROJECT)
    return tokens.actor_for(user_id=_admin().pk, place_id=project.pk)


def _admin() -> "User":
    return selectors.user_named(ADMIN)


def _held(path: Path) -> dict[str, str]:
    """Host name → private key, of an earlier configuration."""
    try:
        return {entry["name"]: entry["private_key"] for entry in json.loads(path.read_text())["hosts"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _known(name: str, held: dict[str, str]) -> enrol.Enrolled | None:
    found = hosts.hosts().filter(name=name).first()
    if found is None or name not in held or Sealer.from_hex(held[name]).public.hex() != found.public_key:
        return None
    return enrol.Enrolled(found, held[name])


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text + "\n")


ORDERS: dict[str, Callable[..., Any]] = {
    order.__name__: order
    for order in (migrate, static, people, clouds, flavors, network, image, placeholder_image, enrol_hosts, queues, hosts_up, token)
}
