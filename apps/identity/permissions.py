"""The table of permissions: every decision that Cloudsite takes about who may do what, and the roles that allow it.

For each scope in which a permission is asked: the built-in roles that have it, the lowest one that suffices (the others
imply it; `service` stands beside them). `None`: roles of that scope do not matter. `own`: everybody has it over themselves.
Roles on the system count everywhere. `CLOUDSITE_POLICY_FILE` may name other roles; roles of the operator's own list
permissions themselves.
"""

import difflib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

Roles = tuple[str, ...] | None
SCOPES = ("project", "domain", "system")
READ, USE, RUN, OPERATE, RULE = ("reader",), ("member",), ("member", "operator"), ("operator",), ("admin",)
SERVICE = ("service",)


@dataclass(frozen=True)
class Permission:
    """One row of the table."""

    name: str
    text: str
    project: Roles = None
    domain: Roles = None
    system: Roles = None
    own: bool = False


def _rows() -> Iterator[Permission]:
    yield from _resources()
    yield from _installation()
    yield from _directory()
    yield from _of_ones_own()


def _resources() -> Iterator[Permission]:
    """What projects have."""
    for thing, text in (
        ("compute.instance", "instances"), ("images.image", "images"), ("objects.bucket", "buckets"), ("objects.object", "objects"),
        ("network.network", "networks"), ("network.subnet", "subnets"), ("network.port", "ports"), ("network.router", "routers"),
        ("network.floating_ip", "floating addresses"), ("network.security_group", "security groups and their rules"),
    ):
        yield Permission(f"{thing}.list", f"list {text}", READ, None, READ)
        yield Permission(f"{thing}.get", f"show {text}", READ, None, READ)
        yield Permission(f"{thing}.create", f"create {text}", USE, None, RULE)
        yield Permission(f"{thing}.update", f"change {text}", USE, None, RULE)
        yield Permission(f"{thing}.delete", f"delete {text}", USE, None, RULE)
    yield Permission("compute.instance.power", "start, stop and reboot instances", RUN, None, OPERATE)
    yield Permission("compute.instance.snapshot", "make images of instances", USE, None, OPERATE)
    yield Permission("compute.instance.console", "read the console of instances", RUN, None, OPERATE)
    yield Permission("compute.instance.place", "say on which hosts new instances are to be, or not to be", None, None, OPERATE)
    yield Permission("compute.instance.explain", "see why an instance is on its host, or on none", READ, None, READ)
    yield Permission("compute.instance.dry_run", "ask whether an instance would get a host, and why", USE, None, READ)
    yield Permission("compute.key_pair.list", "list one's key pairs", READ, None, READ)
    yield Permission("compute.key_pair.get", "show one's key pairs", READ, None, READ)
    yield Permission("compute.key_pair.create", "take in key pairs of one's own", USE, None, RULE)
    yield Permission("compute.key_pair.delete", "delete key pairs of one's own", USE, None, RULE)
    yield Permission("scheduler.decision.list", "list scheduling decisions", None, None, READ)
    yield Permission("scheduler.server_group.list", "list server groups", READ, None, READ)
    yield Permission("scheduler.server_group.get", "show server groups", READ, None, READ)
    yield Permission("scheduler.server_group.create", "create server groups", USE, None, RULE)
    yield Permission("scheduler.server_group.delete", "delete server groups", USE, None, RULE)
    yield Permission("compute.instance.attach", "attach network cards to instances, and detach them", USE, None, OPERATE)
    yield Permission("network.port.explain", "see hop by hop whether two ports can talk", READ, None, READ)
    yield Permission(
        "network.network.provide", "make networks with a given wire and segment, shared and external ones", None, None, OPERATE
    )
    yield Permission("objects.bucket.unlock", "read, change and delete the policy of a bucket though it denies that", RULE, None, RULE)
    yield Permission("images.image.publish", "make images public, and change public ones", None, None, RULE)
    yield Permission("images.image.share", "say with which projects an image is shared", USE, None, RULE)
    yield Permission("images.image.accept", "accept images that others share, or reject them", USE, None, RULE)
    yield Permission("images.image.deactivate", "take images out of use, and put them back", None, None, OPERATE)
    yield Permission("operations.operation.list", "list operations", READ, None, READ)
    yield Permission("operations.operation.get", "show operations and their events", READ, None, READ)
    yield Permission("placement.usage.get", "see what the consumers of a project have claimed", READ, None, READ + SERVICE)
    yield Permission("quotas.usage.get", "see limits and usage", READ, READ, READ)
    yield Permission("quotas.limit.list", "list limits", READ, READ, READ)
    yield Permission("quotas.limit.set", "set limits of projects", None, RULE, RULE)
    yield Permission("quotas.default.set", "set limits of domains, and default limits", None, None, RULE)
    yield Permission("audit.record.list", "search the audit trail", RULE, RULE, READ)


def _installation() -> Iterator[Permission]:
    """What the installation has."""
    yield Permission("compute.flavor.list", "list flavors", READ, READ, READ)
    yield Permission("compute.flavor.get", "show flavors", READ, READ, READ)
    yield Permission("compute.flavor.create", "create flavors", None, None, OPERATE)
    yield Permission("compute.flavor.delete", "delete flavors", None, None, OPERATE)
    yield Permission("compute.stray.list", "see what hosts have and should not", None, None, READ)
    yield Permission("compute.stray.remove", "remove what hosts have and should not", None, None, OPERATE)
    yield Permission("network.pool.list", "list wires and the pools of VLAN ids and VNIs", None, None, READ)
    yield Permission("network.pool.create", "define wires and pools of VLAN ids and VNIs", None, None, OPERATE)
    yield Permission("network.pool.delete", "take wires and pools away", None, None, OPERATE)
    yield Permission("network.host.list", "see how far hosts are with their networks", None, None, READ)
    yield Permission("network.host.tell", "have a host told its whole network state again", None, None, OPERATE)
    yield Permission("images.cache.list", "see which images hosts have", None, None, READ)
    yield Permission("images.cache.seed", "have hosts fetch images before anybody boots them", None, None, OPERATE)
    yield Permission("hosts.host.list", "list hosts and read their names", None, None, READ)
    yield Permission("hosts.host.get", "show hosts", None, None, READ)
    yield Permission("hosts.host.enrol", "enrol hosts", None, None, OPERATE)
    yield Permission("hosts.host.update", "disable and enable hosts, move them to another zone", None, None, OPERATE)
    yield Permission("hosts.zone.list", "list zones", READ, READ, READ)
    yield Permission("hosts.zone.create", "create zones", None, None, OPERATE)
    yield Permission("hosts.zone.update", "disable and enable zones, describe them", None, None, OPERATE)
    yield Permission("hosts.zone.delete", "delete zones", None, None, OPERATE)
    yield Permission("hosts.aggregate.list", "list aggregates of hosts", None, None, READ)
    yield Permission("hosts.aggregate.create", "create aggregates of hosts", None, None, OPERATE)
    yield Permission("hosts.aggregate.update", "say what an aggregate of hosts is, and which hosts are in it", None, None, OPERATE)
    yield Permission("hosts.aggregate.delete", "delete aggregates of hosts", None, None, OPERATE)
    yield Permission("placement.provider.list", "see capacity and claims of hosts", None, None, READ + SERVICE)
    yield Permission("placement.provider.create", "make resource providers", None, None, OPERATE + SERVICE)
    yield Permission("placement.provider.update", "rename resource providers and move them in their trees", None, None, OPERATE + SERVICE)
    yield Permission("placement.provider.delete", "delete resource providers", None, None, OPERATE + SERVICE)
    yield Permission("placement.inventory.update", "set what of a host is offered", None, None, OPERATE + SERVICE)
    yield Permission("placement.aggregate.update", "say which aggregates resource providers are in", None, None, OPERATE + SERVICE)
    yield Permission("placement.trait.update", "make and delete traits, and say which resource providers have them", None, None, OPERATE + SERVICE)
    yield Permission("placement.resource_class.update", "make, rename and delete resource classes", None, None, OPERATE + SERVICE)
    yield Permission("placement.candidate.list", "ask which resource providers could take a request", None, None, READ + SERVICE)
    yield Permission("placement.allocation.update", "claim resources for any consumer, and give them back", None, None, RULE + SERVICE)
    yield Permission("placement.allocation.reshape", "move inventories together with what is claimed of them", None, None, RULE + SERVICE)
    yield Permission("operations.queue.get", "see how the engine is doing", None, None, READ)


def _directory() -> Iterator[Permission]:
    """Domains, projects, users, groups, roles."""
    for thing, text in (("identity.project", "projects"), ("identity.user", "users"), ("identity.group", "groups")):
        # One's own projects are those in which one has a role.
        is_project = thing == "identity.project"
        yield Permission(f"{thing}.list", f"list {text}", None, READ, READ, own=is_project)
        yield Permission(
            f"{thing}.get", f"show {text}", READ if is_project else None, READ, READ, own=thing != "identity.group"
        )
        yield Permission(f"{thing}.create", f"create {text}", None, RULE, RULE)
        yield Permission(f"{thing}.update", f"change {text}", None, RULE, RULE)
        yield Permission(f"{thing}.delete", f"delete {text}", None, RULE, RULE)
    yield Permission("identity.user.set_password", "set another user's password, unlock, take away a second factor", None, RULE, RULE)
    yield Permission("identity.group.members", "put users into groups and take them out", None, RULE, RULE)
    yield Permission("identity.domain.list", "list domains", None, READ, READ)
    yield Permission("identity.domain.get", "show a domain", READ, READ, READ, own=True)
    yield Permission("identity.domain.create", "create domains", None, None, RULE)
    yield Permission("identity.domain.update", "change domains", None, None, RULE)
    yield Permission("identity.domain.delete", "delete domains", None, None, RULE)
    yield Permission("identity.role.list", "list roles and what they imply", READ, READ, READ)
    yield Permission("identity.role.get", "show roles", READ, READ, READ)
    yield Permission("identity.role.create", "create roles", None, RULE, RULE)
    yield Permission("identity.role.update", "change roles", None, RULE, RULE)
    yield Permission("identity.role.delete", "delete roles", None, RULE, RULE)
    yield Permission("identity.implied_role.update", "say which role implies which", None, None, RULE)
    yield Permission("identity.assignment.list", "see who has which role where", RULE, READ, READ, own=True)
    yield Permission("identity.assignment.create", "give roles", RULE, RULE, RULE)
    yield Permission("identity.assignment.delete", "take roles away", RULE, RULE, RULE)
    yield Permission("identity.permission.list", "read this table", READ, READ, READ)
    yield Permission("identity.catalog.list", "list services, endpoints, regions and stored policies", READ, READ, READ)
    yield Permission("identity.catalog.update", "change services, endpoints, regions and stored policies", None, None, RULE)
    yield Permission("identity.directory.sync", "synchronise users and groups with the LDAP directory", None, None, OPERATE)


def _of_ones_own() -> Iterator[Permission]:
    """What users have for themselves; roles on the system reach those of others."""
    yield Permission("identity.token.list", "list tokens", None, None, READ, own=True)
    yield Permission("identity.token.validate", "ask what a token is good for", None, None, READ, own=True)
    yield Permission("identity.token.revoke", "revoke tokens", None, None, RULE, own=True)
    yield Permission("identity.password.change", "change one's own password", own=True)
    yield Permission("identity.totp.manage", "set up one's own second factor", own=True)
    for thing, text in (
        ("identity.application_credential", "application credentials"), ("identity.access_key", "access keys for EC2 and S3"),
        ("identity.trust", "trusts"), ("identity.credential", "stored credentials"),
    ):
        yield Permission(f"{thing}.list", f"list {text}", None, None, READ, own=True)
        yield Permission(f"{thing}.get", f"show {text}", None, None, READ, own=True)
        foreign = RULE if thing in ("identity.access_key", "identity.credential") else None
        yield Permission(f"{thing}.create", f"create {text}", None, None, foreign, own=True)
        yield Permission(f"{thing}.delete", f"delete {text}", None, None, RULE, own=True)
    yield Permission("identity.credential.update", "change stored credentials", None, None, RULE, own=True)
    yield Permission("identity.access_key.validate", "have signatures by access keys checked, and get their owners' tokens", None, None, RULE)


TABLE: dict[str, Permission] = {row.name: row for row in _rows()}
OWN = frozenset(row.name for row in TABLE.values() if row.own)
# What a program may not do with an application credential unless that is `unrestricted`: make itself more than it is.
MAKES_CREDENTIALS = frozenset({
    "identity.application_credential.create", "identity.application_credential.delete", "identity.trust.create",
    "identity.trust.delete", "identity.access_key.create", "identity.access_key.delete", "identity.credential.create",
    "identity.credential.update", "identity.credential.delete", "identity.password.change", "identity.totp.manage",
})


class PolicyError(Exception):
    """The operator's policy file cannot be used; the text names the file, the entry and what was expected."""


def load(path: Path | None) -> dict[str, Permission]:
    """The table with the operator's file (TOML) over it. Raises PolicyError.

    An entry replaces the roles of the scopes that it names: `["compute.instance.create"]` / `project = ["member"]`; an empty
    list leaves nobody.
    """
    if path is None:
        return TABLE
    try:
        entries = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError(f"{path}: {error}") from error
    return TABLE | {name: _overridden(path, name, entry) for name, entry in entries.items()}


def _overridden(path: Path, name: str, entry: object) -> Permission:
    row = TABLE.get(name)
    if row is None:
        near = difflib.get_close_matches(name, TABLE, 1)
        raise PolicyError(f"{path}: there is no permission {name!r}{f'; did you mean {near[0]}?' if near else '.'}")
    if not isinstance(entry, dict):
        raise PolicyError(f'{path}: {name}: expected a table such as ["{name}"] with project = ["member"].')
    changes: dict[str, Roles] = {}
    for scope, roles in entry.items():
        if scope not in SCOPES or getattr(row, scope) is None:
            asked = ", ".join(each for each in SCOPES if getattr(row, each) is not None) or "none"
            raise PolicyError(f"{path}: {name}: {scope!r} is not asked for this permission; expected one of {asked}.")
        if not isinstance(roles, list) or not all(isinstance(role, str) and role for role in roles):
            raise PolicyError(f"{path}: {name}: {scope}: expected a list of role names.")
        changes[scope] = tuple(roles)
    return replace(row, **changes)  # type: ignore[arg-type]
