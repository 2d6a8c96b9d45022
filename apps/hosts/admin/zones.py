"""Admin pages of zones."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common.admin import drawing
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.hosts.models import Host, Zone
from apps.hosts.services import zones


class ZoneForm(forms.Form):
    """A zone."""

    name = forms.CharField(max_length=63, help_text="Instances ask for it by this name, which stays.")
    description = forms.CharField(max_length=255, required=False)


class DescriptionForm(forms.Form):
    """What people should know of it."""

    description = forms.CharField(max_length=255, required=False)


def _create(actor: Actor, values: Mapping[str, Any]) -> Zone:
    return zones.create(actor=actor, name=values["name"], description=values["description"])


def _describe(actor: Actor, zone: Zone, values: Mapping[str, Any]) -> str:
    zones.update(actor=actor, zone_id=zone.pk, description=values["description"])
    return f"The zone {zone} is described."


def _enable(actor: Actor, zone: Zone, values: Mapping[str, Any]) -> str:
    zones.update(actor=actor, zone_id=zone.pk, enabled=True)
    return f"The hosts of the zone {zone} take new instances."


def _disable(actor: Actor, zone: Zone, values: Mapping[str, Any]) -> str:
    zones.update(actor=actor, zone_id=zone.pk, enabled=False)
    return f"The hosts of the zone {zone} take no new instances; what runs there stays."


def _delete(actor: Actor, zone: Zone, values: Mapping[str, Any]) -> str:
    zones.delete(actor=actor, zone_id=zone.pk)
    return f"The zone {zone} is deleted."


def _described(zone: Zone) -> dict[str, Any]:
    return {"description": zone.description}


@admin.register(Zone)
class ZoneAdmin(RecordAdmin):
    """Hosts that fail together."""

    permission = "hosts.zone.list"
    list_display = ("name", "state_shown", "host_count", "description")
    list_filter = ("enabled",)
    search_fields = ("name", "description")
    ordering = ("name",)
    facts = (("Facts", ("description", "host_count", "created", "id_shown")),)
    creation = Creation(permission="hosts.zone.create", form=ZoneForm, run=_create)
    buttons = (
        Button(
            name="enable", label="Enable", permission="hosts.zone.update", run=_enable, offered=lambda zone: not zone.enabled,
            warning="The scheduler may place new instances on its hosts again.",
        ),
        Button(
            name="disable", label="Disable", permission="hosts.zone.update", run=_disable, offered=lambda zone: zone.enabled,
            warning="The scheduler places no new instances on its hosts. What runs there goes on running.",
        ),
        Button(
            name="describe", label="Describe", question="Describe {rows}", permission="hosts.zone.update", run=_describe,
            form=DescriptionForm, initial=_described, bulk=False, warning="Everybody who may create instances reads it.",
        ),
        Button(
            name="delete", label="Delete", permission="hosts.zone.delete", run=_delete, dangerous=True, gone=True,
            warning="Refused while hosts are in it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Zone]":
        inside = Host.objects.filter(zone=OuterRef("name")).order_by().values("zone").annotate(count=Count("pk")).values("count")
        found: QuerySet[Zone] = super().get_queryset(request).annotate(
            hosts_there=Coalesce(Subquery(inside, output_field=IntegerField()), 0)
        )
        return found

    def headline(self, zone: Zone) -> SafeString:
        return self.state_shown(zone)

    @admin.display(description="state")
    def state_shown(self, zone: Zone) -> SafeString:
        return drawing.badge("enabled", "good") if zone.enabled else drawing.badge("disabled", "warn")

    @admin.display(description="hosts")
    def host_count(self, zone: Zone) -> int:
        count: int = zone.hosts_there  # type: ignore[attr-defined]
        return count

    @admin.display(description="made")
    def created(self, zone: Zone) -> SafeString:
        return drawing.ago(zone.created_at)

    @admin.display(description="id")
    def id_shown(self, zone: Zone) -> SafeString:
        return drawing.code(zone.pk)
