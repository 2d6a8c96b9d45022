"""Admin pages of hosts: what is known of them, and whether they take new instances.

`HostAdmin` is registered by the dashboard, which adds what upper contexts have on a host.
"""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.hosts.models import Aggregate, Host, Zone
from apps.hosts.services import admission
from apps.hosts.states import HostState

TONES = {HostState.ENROLLED: "off", HostState.UP: "good", HostState.DOWN: "bad"}


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Host.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("host", model="hosts_host", names=_names)


class ReasonForm(forms.Form):
    """Why a host takes no new instances."""

    reason = forms.CharField(
        max_length=255, help_text="Shown to operators beside the host, such as “memory is being replaced”."
    )


class ZoneForm(forms.Form):
    """Where a host stands."""

    zone = forms.ModelChoiceField(queryset=Zone.objects.order_by("name"), to_field_name="name", empty_label=None)


def _enable(actor: Actor, host: Host, values: Mapping[str, Any]) -> str:
    admission.set_enabled(actor=actor, name=host.name, enabled=True)
    return f"Host {host.name} takes new instances."


def _disable(actor: Actor, host: Host, values: Mapping[str, Any]) -> str:
    admission.set_enabled(actor=actor, name=host.name, enabled=False, reason=values["reason"])
    return f"Host {host.name} takes no new instances; what runs on it stays."


def _move(actor: Actor, host: Host, values: Mapping[str, Any]) -> str:
    admission.update(actor=actor, host_id=host.pk, zone=values["zone"].name)
    return f"Host {host.name} is in the zone {values['zone']}."


def _zone(host: Host) -> dict[str, Any]:
    return {"zone": host.zone}


class HostAdmin(RecordAdmin):
    """Hypervisors with their agents."""

    permission = "hosts.host.list"
    list_display: Any = ("name", "state_shown", "zone", "hypervisor", "seen")
    list_filter = ("state", "enabled")
    search_fields = ("name", "zone", "hypervisor")
    ordering = ("name",)
    sortable_by = ("name", "zone")
    facts = (("Facts", ("zone", "aggregates_shown", "load_shown", "hypervisor", "agent_version", "seen", "enrolled", "traits_shown", "key", "id_shown")),)
    pictures = (("Commands it understands", "speaks_shown"),)
    buttons = (
        Button(
            name="enable",
            label="Enable",
            permission="hosts.host.update",
            run=_enable,
            offered=lambda host: not host.enabled,
            warning="The scheduler may place new instances here again.",
        ),
        Button(
            name="disable",
            label="Disable",
            permission="hosts.host.update",
            run=_disable,
            offered=lambda host: host.enabled,
            form=ReasonForm,
            warning="The scheduler places no new instances here. What runs on the host goes on running.",
        ),
        Button(
            name="zone",
            label="Change zone",
            question="Another zone for {rows}",
            permission="hosts.host.update",
            run=_move,
            form=ZoneForm,
            initial=_zone,
            warning="What runs on the host stays, whatever zone it asked for.",
        ),
    )

    def headline(self, host: Host) -> SafeString:
        said = self.state_shown(host)
        if not host.enabled and host.disabled_reason:
            said = format_html('{} <span class="cs-quiet">{}</span>', said, host.disabled_reason)
        return said

    @admin.display(description="state")
    def state_shown(self, host: Host) -> SafeString:
        said = drawing.badge(host.state, TONES[HostState(host.state)])
        if not host.enabled:
            said = format_html("{} {}", said, drawing.badge("disabled", "warn", title=host.disabled_reason))
        if not host.hypervisor_ok:
            said = format_html("{} {}", said, drawing.badge("no hypervisor", "bad", title=host.hypervisor_error))
        return said

    @admin.display(description="last heard of")
    def seen(self, host: Host) -> SafeString:
        return drawing.ago(host.last_seen_at, never="its agent has never said hello")

    @admin.display(description="enrolled")
    def enrolled(self, host: Host) -> SafeString:
        return drawing.ago(host.created_at)

    @admin.display(description="aggregates")
    def aggregates_shown(self, host: Host) -> SafeString:
        found = Aggregate.objects.filter(members__host_id=host.pk).order_by("name")
        return drawing.words(references.link("aggregate", each.pk, each.name) for each in found) or drawing.NOTHING

    @admin.display(description="load")
    def load_shown(self, host: Host) -> str:
        return f"{host.load_percent} % of its processors"

    @admin.display(description="traits")
    def traits_shown(self, host: Host) -> str:
        return ", ".join(host.traits)

    @admin.display(description="command topics")
    def speaks_shown(self, host: Host) -> SafeString:
        return drawing.stack(drawing.code(topic) for topic in host.speaks)

    @admin.display(description="key")
    def key(self, host: Host) -> SafeString:
        return drawing.code(host.key_id)

    @admin.display(description="id")
    def id_shown(self, host: Host) -> SafeString:
        return drawing.code(host.pk)
