"""Shapes of scheduling decisions: operators see hosts, others only the kinds of the reasons."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import PageQuery
from apps.common.context import Actor
from apps.identity import policy
from apps.scheduler.explain import kept, tenants, words

if TYPE_CHECKING:
    from apps.scheduler.models import Decision

_FOR_OPERATORS: dict[str, Any] = {"required": False, "help_text": "For operators."}


class DecisionQuery(PageQuery):
    instance_id = serializers.UUIDField(required=False)
    host_id = serializers.UUIDField(required=False, help_text="That was chosen.")
    host = serializers.CharField(max_length=63, required=False, help_text="The same by its name.")
    project_id = serializers.UUIDField(required=False)
    outcome = fields.Choice(choices=["placed", "no_host"], required=False)
    since = serializers.DateTimeField(required=False, help_text="Not before this moment.")
    until = serializers.DateTimeField(required=False, help_text="Before this moment.")


class BriefDecisionSerializer(serializers.Serializer[Any]):
    """One line of the list."""

    id = serializers.UUIDField()
    instance_id = serializers.UUIDField()
    operation_id = serializers.UUIDField(allow_null=True)
    project_id = serializers.UUIDField(allow_null=True)
    at = serializers.DateTimeField()
    placed = serializers.BooleanField()
    summary = serializers.CharField()
    host_id = serializers.UUIDField(allow_null=True)
    host_name = serializers.CharField()
    hosts = serializers.IntegerField(help_text="Looked at.")
    lost_races = serializers.ListField(child=serializers.CharField(), help_text="Hosts that others were quicker to fill.")
    took_ms = serializers.FloatField()


class StepSerializer(serializers.Serializer[Any]):
    filter = serializers.CharField()
    before = serializers.IntegerField(help_text="Hosts that came to it.")
    after = serializers.IntegerField(help_text="Hosts that were left.")


class VerdictSerializer(serializers.Serializer[Any]):
    host = serializers.CharField()
    passed = serializers.BooleanField()
    reason = serializers.CharField(help_text="The first filter that refused it.")


class VerdictGroupSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(help_text="`passed`, or the first filter that refused them.")
    because = serializers.CharField()
    hosts = serializers.IntegerField()
    listed = serializers.IntegerField(help_text="So many of them are among `verdicts`: of more than 200 hosts not all are.")


class WeighedSerializer(serializers.Serializer[Any]):
    host = serializers.CharField()
    free_memory_mb = serializers.IntegerField()
    weight = serializers.FloatField()
    weights = serializers.DictField(child=serializers.FloatField(), help_text="Weigher → its part in that.")


class AlternateSerializer(serializers.Serializer[Any]):
    host_id = serializers.UUIDField()
    host = serializers.CharField()


class MissSerializer(serializers.Serializer[Any]):
    filters = serializers.ListField(child=serializers.CharField(), help_text="All that refused these hosts, whatever others said.")
    hosts = serializers.IntegerField()
    names = serializers.ListField(child=serializers.CharField(), help_text="Some of them, the nearest first.")
    zone = serializers.CharField(help_text="Of the first; `amounts` too.")
    amounts = serializers.DictField(help_text="Resource class → `needs`, `free`; `least`, `most`, `step` where these stand against it.")
    which = serializers.DictField(help_text="Filter → what it is about → how many of the hosts.")
    text = serializers.CharField()
    fix = serializers.CharField(help_text="What would help.")


class ExplanationSerializer(serializers.Serializer[Any]):
    """What was asked, what came of it, and why."""

    placed = serializers.BooleanField()
    summary = serializers.CharField()
    reasons = serializers.ListField(
        child=serializers.CharField(), help_text="If there was no host: of what kinds the reasons are, such as `capacity`, `traits`, `unavailable`."
    )
    asked = serializers.DictField(child=serializers.IntegerField(), help_text="Resource class → amount.")
    zone = serializers.CharField()
    required_traits = serializers.ListField(child=serializers.CharField())
    forbidden_traits = serializers.ListField(child=serializers.CharField())
    server_group_id = serializers.UUIDField(allow_null=True)
    took_ms = serializers.FloatField()
    host_id = serializers.UUIDField(allow_null=True, **_FOR_OPERATORS)
    host_name = serializers.CharField(**_FOR_OPERATORS)
    outcome = serializers.CharField(**_FOR_OPERATORS)
    request = serializers.DictField(**_FOR_OPERATORS)
    counts = serializers.DictField(
        child=serializers.IntegerField(), required=False, help_text="Filter → how many hosts it refused; `passed`: how many fit. For operators."
    )
    hosts = serializers.IntegerField(required=False, help_text="Looked at. For operators.")
    steps = StepSerializer(many=True, **_FOR_OPERATORS)
    groups = VerdictGroupSerializer(many=True, **_FOR_OPERATORS)
    verdicts = VerdictSerializer(many=True, **_FOR_OPERATORS)
    best = WeighedSerializer(many=True, **_FOR_OPERATORS)
    among = serializers.IntegerField(required=False, help_text="Chosen at random among so many of the best. For operators.")
    alternates = AlternateSerializer(many=True, **_FOR_OPERATORS)
    lost_races = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Hosts that others were quicker to fill. For operators."
    )
    nearest = MissSerializer(many=True, required=False, help_text="If there was no host: the nearest misses. For operators.")


class DecisionSerializer(ExplanationSerializer):
    id = serializers.UUIDField()
    instance_id = serializers.UUIDField()
    operation_id = serializers.UUIDField(allow_null=True)
    at = serializers.DateTimeField()


BRIEF = ("id", "instance_id", "operation_id", "project_id", "at", "summary", "host_id", "host_name", "hosts", "lost_races", "took_ms")


def brief(row: dict[str, Any]) -> dict[str, Any]:
    """A line of the list, from the columns BRIEF."""
    return {**row, "placed": row["host_id"] is not None}


def decision(actor: Actor, row: Decision) -> dict[str, Any]:
    """One that is stored."""
    return {"id": row.pk, "instance_id": row.instance_id, "operation_id": row.operation_id, "at": row.at, **explanation(actor, row)}


def explanation(actor: Actor, row: Decision) -> dict[str, Any]:
    """One that need not be stored: to operators with hosts, to others with none, and without numbers of them."""
    asked = row.request
    shown: dict[str, Any] = {
        "placed": row.host_id is not None, "summary": row.summary, "reasons": tenants.kinds_of(row),
        "asked": asked.get("amounts", {}), "zone": asked.get("zone", ""), "required_traits": asked.get("required_traits", []),
        "forbidden_traits": asked.get("forbidden_traits", []), "server_group_id": asked.get("group", {}).get("id"), "took_ms": row.took_ms,
    }
    return shown | _with_hosts(row) if policy.everywhere(actor, "hosts.host.list") else shown


def _with_hosts(row: Decision) -> dict[str, Any]:
    groups = kept.verdicts_of(row)
    return {
        "host_id": row.host_id, "host_name": row.host_name, "outcome": words.outcome(row), "request": row.request, "hosts": row.hosts,
        "counts": {each.reason: each.hosts for each in groups},
        "steps": [dataclasses.asdict(step) for step in kept.steps_of(row)],
        "groups": [
            {"reason": each.reason, "because": words.because(each.reason), "hosts": each.hosts, "listed": len(each.names)} for each in groups
        ],
        "verdicts": [
            {"host": name, "passed": each.reason == kept.FITS, "reason": "" if each.reason == kept.FITS else each.reason}
            for each in groups
            for name in each.names
        ],
        "best": kept.best_of(row), "among": row.among,
        "alternates": [{"host_id": host_id, "host": name} for host_id, name in kept.alternates_of(row)],
        "lost_races": row.lost_races,
        "nearest": [
            {**dataclasses.asdict(miss), **dataclasses.asdict(words.advice(miss, row.request))} for miss in kept.misses_of(row)
        ],
    }
