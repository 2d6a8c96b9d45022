"""Reads of limits and usage."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from django.db.models import Q, QuerySet, Sum

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import builtin, policy
from apps.identity import selectors as identity
from apps.quotas.bounds import REGIONS, Account, Bound, DomainAccount, Row, bounds
from apps.quotas.models import Limit, RegisteredLimit, Usage
from apps.quotas.resources import RESOURCES, UNLIMITED


@dataclass(frozen=True)
class Quota:
    """One resource of a project, or of a domain: then `used` is the sum over its projects.

    `limit`: -1 is unlimited. `source`: where it comes from. For projects, `domain_limit` and `domain_used` say what all
    projects of the domain may have and do have together; None if the domain has no limit.
    """

    resource: str
    limit: int
    source: Literal["default", "project", "domain"]
    used: int
    domain_limit: int | None = None
    domain_used: int | None = None

    @property
    def left(self) -> int | None:
        """How much more may be had now; None: as much as one likes."""
        rooms = [room for room in (self._own_room, self._domain_room) if room is not None]
        return max(0, min(rooms)) if rooms else None

    @property
    def bounded_by(self) -> str:
        """Whose limit is met first: `default`, `project`, `domain`, or `` if there is none."""
        own, domain = self._own_room, self._domain_room
        if domain is not None and (own is None or domain < own):
            return "domain"
        return self.source if own is not None else ""

    @property
    def _own_room(self) -> int | None:
        return None if self.limit == UNLIMITED else self.limit - self.used

    @property
    def _domain_room(self) -> int | None:
        return None if self.domain_limit is None else self.domain_limit - (self.domain_used or 0)


def quotas_of_project(*, actor: Actor, project_id: uuid.UUID) -> list[Quota]:
    """All resources of a project. Raises NotFound, Forbidden."""
    project = identity.project(actor=actor, project_id=project_id, permission="quotas.usage.get")
    return quotas({project_id: project.domain_id})[project_id]


def quotas_of_domain(*, actor: Actor, domain_id: uuid.UUID) -> list[Quota]:
    """All resources of a domain: its limits, and what its projects have together. Raises NotFound, Forbidden."""
    domain = identity.domain(actor=actor, domain_id=domain_id)
    policy.require(actor, "quotas.usage.get", domain_id=domain.pk)
    account = domain_accounts([domain.pk], RESOURCES)[domain.pk]
    return [
        Quota(name, account.limits.get(name, UNLIMITED), "domain" if name in account.limits else "default", account.used[name])
        for name in RESOURCES
    ]


def defaults(*, actor: Actor) -> dict[str, int]:
    """What a project may have that has no limits of its own. Raises Forbidden."""
    policy.require(actor, "quotas.limit.list")
    return {name: bound.limit for name, bound in _bounds(None, None, _registered()).items()}


def quotas(domains: Mapping[uuid.UUID, uuid.UUID | None]) -> dict[uuid.UUID, list[Quota]]:
    """The same for many projects (id → domain), unasked: for pages and commands of operators."""
    found = accounts(domains)
    capped = {each.domain_id for each in found.values() if any(bound.capped for bound in each.bounds.values())}
    totals = domain_accounts([domain_id for domain_id in capped if domain_id is not None], RESOURCES)
    return {
        project_id: [_quota(name, account, totals.get(account.domain_id) if account.domain_id else None) for name in RESOURCES]
        for project_id, account in found.items()
    }


def _quota(name: str, account: Account, domain: DomainAccount | None) -> Quota:
    bound, used = account.bounds[name], account.used.get(name, 0)
    if domain is None or name not in domain.limits:
        return Quota(name, bound.limit, bound.source, used)
    return Quota(name, bound.limit, bound.source, used, domain.limits[name], domain.used[name])


def accounts(domains: Mapping[uuid.UUID, uuid.UUID | None]) -> dict[uuid.UUID, Account]:
    """What these projects (id → domain) have and may have, as it is at this moment."""
    rows = Usage.objects.in_bulk(list(domains))
    registered = _registered()
    own, of_domains = _limits(registered, projects=domains.keys(), domains={each for each in domains.values() if each is not None})
    return {
        project_id: Account(
            domain_id,
            {name: getattr(rows[project_id], name) for name in RESOURCES} if project_id in rows else {},
            _bounds(own.get(project_id), of_domains.get(domain_id) if domain_id else None, registered),
        )
        for project_id, domain_id in domains.items()
    }


def domain_accounts(domain_ids: Collection[uuid.UUID], names: Iterable[str]) -> dict[uuid.UUID, DomainAccount]:
    """The limits of these domains, and what their projects have together. Unlimited is no limit."""
    if not domain_ids:
        return {}
    registered = _registered()
    _, limits = _limits(registered, projects=(), domains=domain_ids)
    wanted = list(names)
    rows = Usage.objects.filter(domain_id__in=list(domain_ids)).values_list("domain_id").annotate(*map(Sum, wanted))
    used = {row[0]: dict(zip(wanted, map(int, row[1:]), strict=True)) for row in rows}
    found = {}
    for domain_id in domain_ids:
        bound = _bounds(None, limits.get(domain_id), registered)
        found[domain_id] = DomainAccount(
            used.get(domain_id) or dict.fromkeys(wanted, 0),
            {name: limit for name in wanted if bound[name].capped and (limit := bound[name].domain_limit) is not None},
        )
    return found


def limits_of_domains(domain_ids: Collection[uuid.UUID], names: Iterable[str]) -> "QuerySet[Limit]":
    """The rows that say what these domains may have of our own resources, in the order in which they are locked."""
    return Limit.objects.filter(registered__in=registered_of(names), domain_id__in=list(domain_ids)).order_by("pk")


def registered_limits(*, actor: Actor) -> "QuerySet[RegisteredLimit]":
    """All default limits, also those of services that are not ours. Raises Forbidden."""
    policy.require(actor, "quotas.limit.list")
    return RegisteredLimit.objects.all()


def registered_limit(*, actor: Actor, registered_id: uuid.UUID) -> RegisteredLimit:
    """Raises NotFound, Forbidden."""
    found = registered_limits(actor=actor).filter(pk=registered_id).first()
    if found is None:
        raise NotFound("registered_limit.not_found", f"There is no registered limit {registered_id}.")
    return found


def limits(*, actor: Actor) -> "QuerySet[Limit]":
    """Limits of the project that the actor works in; of the domain and its projects; or all. Raises Forbidden."""
    policy.require(actor, "quotas.limit.list")
    rows = Limit.objects.select_related("registered")
    if policy.everywhere(actor, "quotas.limit.list"):
        return rows
    mine = Q(project_id__in=identity.projects(actor=actor, permission="quotas.limit.list").values("pk"))
    return rows.filter(mine | Q(domain_id=actor.domain_id) if actor.domain_id is not None else mine)


def limit(*, actor: Actor, limit_id: uuid.UUID) -> Limit:
    """One of these. Raises NotFound, Forbidden."""
    found = limits(actor=actor).filter(pk=limit_id).first()
    if found is None:
        raise NotFound("limit.not_found", f"There is no limit {limit_id}.")
    return found


def registered_of(names: Iterable[str]) -> "QuerySet[RegisteredLimit]":
    """The rows of our resources: for no region, and for the one that there is. None of them: the default is built in."""
    return RegisteredLimit.objects.filter(_ours(names))


def is_ours(registered: RegisteredLimit) -> bool:
    """Whether a registered limit is one that we enforce."""
    resource = RESOURCES.get(registered.resource_name)
    return (
        resource is not None and registered.service_id == builtin.SERVICE_IDS[resource.service] and registered.region_id in REGIONS
    )


def _ours(names: Iterable[str]) -> Q:
    wanted = Q(pk__in=[])
    for name in names:
        wanted |= Q(service_id=builtin.SERVICE_IDS[RESOURCES[name].service], resource_name=name)
    return wanted & Q(region_id__in=REGIONS)


def _registered() -> dict[uuid.UUID, RegisteredLimit]:
    """Those that we enforce: a handful."""
    return {row.pk: row for row in registered_of(RESOURCES)}


_ByOwner = dict[uuid.UUID, dict[uuid.UUID, int]]


def _limits(
    registered: Mapping[uuid.UUID, RegisteredLimit], *, projects: Collection[uuid.UUID], domains: Collection[uuid.UUID]
) -> tuple[_ByOwner, _ByOwner]:
    """Owner → registered limit → limit; of projects and of domains."""
    own: _ByOwner = {}
    of_domains: _ByOwner = {}
    if registered:
        rows = Limit.objects.filter(Q(project_id__in=list(projects)) | Q(domain_id__in=list(domains)), registered__in=list(registered))
        for row in rows:
            kept, key = (own, row.project_id) if row.project_id is not None else (of_domains, row.domain_id)
            assert key is not None
            kept.setdefault(key, {})[row.registered_id] = row.resource_limit
    return own, of_domains


def _bounds(
    own: Mapping[uuid.UUID, int] | None, of_domain: Mapping[uuid.UUID, int] | None, registered: Mapping[uuid.UUID, RegisteredLimit]
) -> dict[str, Bound]:
    rows: list[Row] = [
        (each.resource_name, each.region_id, each.default_limit, (own or {}).get(key), (of_domain or {}).get(key))
        for key, each in registered.items()
    ]
    return bounds(rows)
