"""The rows of usage: added to, taken from and locked by statements of our own, always in the order of project ids.

A usage row is the last thing that a transaction locks (docs/decisions/0013), and what it says of limits is read by the
statement that locks it.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from django.db import connection
from django.db.models import BigIntegerField, UUIDField

from apps.common.context import SYSTEM
from apps.common.errors import NotFound
from apps.common.sql import fetch_prepared, values_table
from apps.identity import builtin
from apps.identity import selectors as identity
from apps.quotas import selectors
from apps.quotas.bounds import REGIONS, Account, DomainAccount, bounds
from apps.quotas.models import Limit, RegisteredLimit, Usage
from apps.quotas.resources import RESOURCES, Amounts

_ID, _AMOUNT, _NOBODY = UUIDField(), BigIntegerField(), uuid.UUID(int=0)
_USAGE, _LIMIT, _REGISTERED = (model._meta.db_table for model in (Usage, Limit, RegisteredLimit))


def add(changes: Mapping[uuid.UUID, Amounts], names: Collection[str]) -> dict[uuid.UUID, Account]:
    """Add to what these projects have, and lock their rows. Returns what they have then of `names`, and may have.

    Projects without a row are left out.
    """
    ordered = sorted(names)
    rows = _change(changes, ordered, with_limits=True)
    return {
        _ID.to_python(row[0]): Account(
            _ID.to_python(row[1]), dict(zip(ordered, row[2:-1], strict=True)), bounds(orjson.loads(row[-1] or "[]"))
        )
        for row in rows
    }


def take(changes: Mapping[uuid.UUID, Amounts]) -> None:
    """Take from what these projects have, never to less than nothing: an audit finds what was counted wrongly."""
    names = sorted({name for amounts in changes.values() for name in amounts})
    if names:
        taken = {project_id: {name: -amount for name, amount in amounts.items()} for project_id, amounts in changes.items()}
        _change(taken, names, with_limits=False)


def open_rows(project_ids: Collection[uuid.UUID]) -> None:
    """Make the rows of projects that have none; who does the same at this moment is waited for. Raises NotFound."""
    domains = _domains(project_ids)
    rows = [Usage(project_id=project_id, domain_id=domains[project_id]) for project_id in sorted(domains)]
    Usage.objects.bulk_create(rows, ignore_conflicts=True)
    # Whoever has deleted a project meanwhile has held its row until now.
    _domains(project_ids)


def lock(project_ids: Collection[uuid.UUID]) -> list[Usage]:
    """The rows of these projects, locked; made if there are none. Raises NotFound."""
    open_rows(project_ids)
    found = list(Usage.objects.select_for_update(no_key=True).filter(pk__in=list(project_ids)).order_by("pk"))
    if len(found) < len(set(project_ids)):
        _domains(project_ids)  # whose rows went while they were waited for are deleted
    return found


def lock_domains(domain_ids: Collection[uuid.UUID], names: Collection[str]) -> dict[uuid.UUID, DomainAccount]:
    """The limits of these domains, locked, so that of all who are bound by them one at a time counts; then what they have.

    To be called after `add`: whoever comes later sees what was added here.
    """
    list(selectors.limits_of_domains(domain_ids, names).select_for_update(no_key=True))
    return selectors.domain_accounts(domain_ids, names)


def wait_for_reservations() -> None:
    """Until those under way are committed; new ones wait for this transaction, and see what it has done.

    For the moment in which a domain gets a limit: who has not seen it does not count with the others.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {_USAGE} IN EXCLUSIVE MODE")


def _domains(project_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    found = dict(identity.projects(actor=SYSTEM).filter(pk__in=list(project_ids)).values_list("pk", "domain_id"))
    for project_id in project_ids:
        if project_id not in found:
            raise NotFound("project.not_found", f"There is no project {project_id} (any more).")
    return {project_id: domain_id for project_id, domain_id in found.items() if domain_id is not None}


def _change(changes: Mapping[uuid.UUID, Amounts], names: Sequence[str], *, with_limits: bool) -> list[Any]:
    parameters: list[Any] = []
    for project_id in sorted(changes):
        amounts = changes[project_id]
        parameters.append(project_id if connection.vendor == "postgresql" else project_id.hex)
        parameters.extend(amounts.get(name, 0) for name in names)
    return fetch_prepared(_statement(tuple(names), len(changes), with_limits, connection.vendor), parameters)


@lru_cache(maxsize=256)
def _statement(names: tuple[str, ...], count: int, with_limits: bool, vendor: str) -> str:
    """Several rows are locked in one order, whatever the plan of the update: two such statements would deadlock otherwise."""
    values, _ = values_table((_ID, *[_AMOUNT] * len(names)), [(_NOBODY, *[0] * len(names))] * count)
    locked = source = ""
    if count > 1 and vendor == "postgresql":
        locked = (
            f", locked AS (SELECT u.project_id FROM {_USAGE} u JOIN v ON v.project_id = u.project_id "
            "ORDER BY u.project_id FOR NO KEY UPDATE OF u)"
        )
        source = " JOIN locked ON locked.project_id = v.project_id"
    greatest = "GREATEST" if vendor == "postgresql" else "MAX"
    changed = ", ".join(f"{name} = {greatest}({_USAGE}.{name} + v.{name}, 0)" for name in names)
    shown = "".join(f", {_USAGE}.{name}" for name in names)
    limits = f", {_limits(names, vendor)}" if with_limits else ""
    return (
        f"WITH v(project_id, {', '.join(names)}) AS ({values}){locked} UPDATE {_USAGE} SET {changed} FROM v{source} "
        f"WHERE {_USAGE}.project_id = v.project_id RETURNING {_USAGE}.project_id, {_USAGE}.domain_id{shown}{limits}"
    )


def _limits(names: Iterable[str], vendor: str) -> str:
    """A subquery: all limits that concern the row, as JSON (see `bounds.Row`)."""
    array, gather = ("json_build_array", "json_agg") if vendor == "postgresql" else ("json_array", "json_group_array")
    by_service: dict[str, list[str]] = {}
    for name in names:
        by_service.setdefault(RESOURCES[name].service, []).append(f"'{name}'")
    prepared = _ID.get_db_prep_value
    ours = " OR ".join(
        f"(r.service_id = '{prepared(builtin.SERVICE_IDS[service], connection)}' AND r.resource_name IN ({', '.join(quoted)}))"
        for service, quoted in by_service.items()
    )
    regions = ", ".join(f"'{region}'" for region in REGIONS)
    return (
        f"(SELECT CAST({gather}({array}(r.resource_name, r.region_id, r.default_limit, p.resource_limit, d.resource_limit)) AS text) "
        f"FROM {_REGISTERED} r LEFT JOIN {_LIMIT} p ON p.registered_id = r.id AND p.project_id = {_USAGE}.project_id "
        f"LEFT JOIN {_LIMIT} d ON d.registered_id = r.id AND d.domain_id = {_USAGE}.domain_id "
        f"WHERE r.region_id IN ({regions}) AND ({ours}))"
    )
