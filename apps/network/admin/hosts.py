"""Admin pages of hosts' networking: how far each is, and what it could not bring about."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.network.models import HostNetwork
from apps.network.services import tell


def _tell_again(actor: Actor, row: HostNetwork, values: Mapping[str, Any]) -> str:
    tell.tell_again(actor=actor, host_id=row.pk)
    return f"{row} is told its whole state."


def _speaks(row: HostNetwork) -> bool:
    return row.speaks


@admin.register(HostNetwork)
class HostNetworkAdmin(RecordAdmin):
    """How far hosts are with what they should have."""

    permission = "network.host.list"
    list_display = ("host_name", "standing", "generations", "confirmed", "took", "tunnel_address", "wires", "trouble")
    list_filter = ("speaks", "full_due")
    search_fields = ("host_name", "=tunnel_address")
    ordering = ("host_name",)
    facts = (
        (
            "Facts", ("host", "standing", "generations", "sent", "confirmed", "took", "whole", "tunnel_address", "wires"),
        ),
    )
    pictures = (("What it could not bring about", "problems_shown"), ("Drift that it put right lately", "mended_shown"))
    buttons = (
        Button(
            name="tell", label="Tell again", permission="network.host.tell", run=_tell_again, offered=_speaks,
            warning="It is sent its whole network state. What is right already is not touched; no connection is cut.",
        ),
    )

    def headline(self, row: HostNetwork) -> SafeString:
        return drawing.words([self.standing(row), self.trouble(row)])

    def is_live(self, row: HostNetwork) -> bool:
        return not row.is_up_to_date

    @admin.display(description="host")
    def host(self, row: HostNetwork) -> SafeString:
        return references.link("host", row.pk)

    @admin.display(description="is")
    def standing(self, row: HostNetwork) -> SafeString:
        if not row.speaks:
            return drawing.badge("no networks", "off", title="Its agent does not understand network commands.")
        if row.is_up_to_date:
            return drawing.badge("current", "good")
        return drawing.badge("behind", "bad") if row.is_late else drawing.badge("under way", "busy", busy=True)

    @admin.display(description="applied / told")
    def generations(self, row: HostNetwork) -> str:
        return f"{row.applied} / {row.generation}" + (", whole state due" if row.full_due else "")

    @admin.display(description="told")
    def sent(self, row: HostNetwork) -> SafeString:
        return drawing.ago(row.sent_at)

    @admin.display(description="confirmed")
    def confirmed(self, row: HostNetwork) -> SafeString:
        return drawing.ago(row.applied_at)

    @admin.display(description="whole state sent")
    def whole(self, row: HostNetwork) -> SafeString:
        return drawing.ago(row.full_at)

    @admin.display(description="took")
    def took(self, row: HostNetwork) -> str:
        return "" if row.took_ms is None else drawing.duration(row.took_ms / 1000)

    @admin.display(description="wires")
    def wires(self, row: HostNetwork) -> SafeString:
        return drawing.tags(row.physical_networks)

    @admin.display(description="problems")
    def trouble(self, row: HostNetwork) -> SafeString:
        found = [*row.problems, *row.lacking]
        if not found:
            return drawing.EMPTY
        return drawing.badge(f"{len(found)} problem{'s' if len(found) != 1 else ''}", "bad", title=found[0]["message"])

    def problems_shown(self, row: HostNetwork) -> SafeString:
        found = [*row.problems, *row.lacking]
        if not found:
            return drawing.EMPTY
        return drawing.stack(drawing.panel("bad", each["message"], each["code"], each.get("object", "")) for each in found)

    def mended_shown(self, row: HostNetwork) -> SafeString:
        if not row.mended:
            return drawing.EMPTY
        return drawing.table(("when", "what"), ((each["at"], each["what"]) for each in reversed(row.mended)))
