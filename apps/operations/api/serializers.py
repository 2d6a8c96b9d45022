"""Shapes of operations and their events."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rest_framework import serializers

from apps.common.context import Actor
from apps.identity import policy
from apps.operations.models import Operation, OperationEvent, Rejection
from apps.operations.redaction import conceal, conceal_error, names_in
from apps.operations.states import OpState

_PUBLIC = (
    "id", "kind", "resource_type", "resource_id", "project_id", "user_id", "user_name", "request_id", "state", "step",
    "attempt", "error", "created_at", "started_at", "finished_at", "deadline",
)
_OPERATORS = ("host_id", "host_name", "excluded_hosts", "generation", "resends", "next_at")
COLUMNS = _PUBLIC + _OPERATORS
STATES = [state.value for state in OpState]


class ErrorSerializer(serializers.Serializer[Any]):
    """Why it failed."""

    code = serializers.CharField()
    message = serializers.CharField()
    facts = serializers.DictField(required=False)


class EventSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    source = serializers.CharField(help_text="api, scheduler, conductor, sweep, worker or host")  # type: ignore[assignment]
    name = serializers.CharField()
    detail = serializers.CharField()
    took_ms = serializers.FloatField(allow_null=True)


class OperationSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.CharField(help_text="Such as `instance.build`.")
    resource_type = serializers.CharField()
    resource_id = serializers.UUIDField()
    project_id = serializers.UUIDField(allow_null=True)
    user_id = serializers.UUIDField(allow_null=True)
    user_name = serializers.CharField()
    request_id = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES)
    step = serializers.CharField()
    attempt = serializers.IntegerField()
    error = ErrorSerializer(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    deadline = serializers.DateTimeField(help_text="Of the present step.")
    host_id = serializers.UUIDField(required=False, allow_null=True, help_text="For operators.")
    host_name = serializers.CharField(required=False, help_text="For operators.")
    excluded_hosts = serializers.ListField(child=serializers.UUIDField(), required=False, help_text="For operators.")
    generation = serializers.IntegerField(required=False, help_text="For operators.")
    resends = serializers.IntegerField(required=False, help_text="For operators.")
    next_at = serializers.DateTimeField(required=False, allow_null=True, help_text="For operators.")


class OperationWithEventsSerializer(OperationSerializer):
    events = EventSerializer(many=True)


class TimelineEventSerializer(EventSerializer):
    operation_id = serializers.UUIDField()
    kind = serializers.CharField()


class TimelineSerializer(serializers.Serializer[Any]):
    items = TimelineEventSerializer(many=True)


class RejectionSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    code = serializers.CharField()
    host_name = serializers.CharField()
    detail = serializers.CharField()


def rows_of(operations: Iterable[Operation]) -> list[dict[str, Any]]:
    """Model instances as the dictionaries that the lists work with."""
    return [{column: getattr(operation, column) for column in COLUMNS} for operation in operations]


def operations(actor: Actor, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with `COLUMNS` as this actor may see them."""
    if policy.everywhere(actor, "hosts.host.list"):
        return [dict(row) for row in rows]
    names = names_in(actor=actor, operations=[row for row in rows if row["error"]])
    return [{column: row[column] for column in _PUBLIC} | {"error": conceal_error(row["error"], names)} for row in rows]


def operation(actor: Actor, found: Operation) -> dict[str, Any]:
    return operations(actor, rows_of([found]))[0]


def with_events(actor: Actor, found: Operation, events: Iterable[OperationEvent]) -> dict[str, Any]:
    rows = rows_of([found])
    names = names_in(actor=actor, operations=rows)
    return {**operations(actor, rows)[0], "events": [event(each, names) for each in events]}


def event(row: OperationEvent, names: frozenset[str]) -> dict[str, Any]:
    """One line; `names` of hosts are left out."""
    return {
        "at": row.at, "source": row.source, "name": row.name, "detail": conceal(row.detail, names), "took_ms": row.took_ms,
    }


def timeline(actor: Actor, found: Sequence[Operation], events: Iterable[OperationEvent]) -> list[dict[str, Any]]:
    """The events of several operations in one row, each saying whose it is."""
    names = names_in(actor=actor, operations=rows_of(found))
    kinds = {operation.pk: operation.kind for operation in found}
    return [{"operation_id": row.operation_id, "kind": kinds[row.operation_id], **event(row, names)} for row in events]


def rejection(row: Rejection) -> dict[str, Any]:
    return {"id": row.pk, "at": row.at, "code": row.code, "host_name": row.host_name, "detail": row.detail}
