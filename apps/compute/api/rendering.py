"""Instances as they go out. The list is the hot path: rows are dictionaries, stored JSON is passed on as text."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import orjson
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from apps.common.context import Actor
from apps.compute.models import Instance
from apps.identity import policy
from apps.operations import selectors as operations

_PLAIN = (
    "id", "name", "state", "power_state", "project_id", "user_id", "zone", "flavor_id", "flavor_name", "vcpus", "memory_mb",
    "disk_gb", "image_id", "image_name", "network_id", "key_name", "server_group_id", "created_at", "launched_at", "host_id", "host_name",
)
_JSON = ("addresses", "metadata", "error")
_AS_TEXT = {f"{name}_text": Cast(name, TextField()) for name in _JSON}
COLUMNS = (*_PLAIN, *_AS_TEXT)
Tasks = dict[uuid.UUID, tuple[uuid.UUID, str]]


def listed(rows: QuerySet[Instance]) -> QuerySet[Instance]:
    """The rows with their JSON columns as text, to be read by `COLUMNS`."""
    return rows.annotate(**_AS_TEXT)


class Page:
    """Renders the rows of one page, asking for their tasks once."""

    def __init__(self, actor: Actor, *, all_projects: bool) -> None:
        self._actor = actor
        self._project_id = None if all_projects else actor.project_id
        self._tasks: Tasks = {}

    def look(self, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._tasks = operations.open_within(first=rows[-1]["id"], last=rows[0]["id"], project_id=self._project_id)

    def render(self, row: dict[str, Any]) -> dict[str, Any]:
        row["addresses"] = orjson.Fragment(row.pop("addresses_text"))
        row["metadata"] = orjson.Fragment(row.pop("metadata_text"))
        row["error"] = orjson.Fragment(row.pop("error_text") or b"null")
        row["task"] = _task(self._tasks.get(row["id"]))
        return _visible(self._actor, row)


def instance(actor: Actor, row: Instance, tasks: Tasks | None = None) -> dict[str, Any]:
    """One instance; `tasks` if they are known already."""
    if tasks is None:
        tasks = operations.open_within(first=row.pk, last=row.pk)
    shown = {name: getattr(row, name) for name in (*_PLAIN, *_JSON)}
    return _visible(actor, {**shown, "task": _task(tasks.get(row.pk))})


def instances(actor: Actor, rows: Sequence[Instance]) -> list[dict[str, Any]]:
    """Several that were read as model instances; their tasks are asked for once."""
    ids = [row.pk for row in rows]
    tasks = operations.open_within(first=min(ids), last=max(ids)) if ids else {}
    return [instance(actor, row, tasks) for row in rows]


def _visible(actor: Actor, row: dict[str, Any]) -> dict[str, Any]:
    if not policy.everywhere(actor, "hosts.host.list"):
        del row["host_id"], row["host_name"]
    return row


def _task(found: tuple[uuid.UUID, str] | None) -> dict[str, Any] | None:
    return None if found is None else {"operation_id": found[0], "kind": found[1]}
