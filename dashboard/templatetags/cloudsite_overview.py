"""`{% overview %}`: the start page's pictures."""

from collections import Counter
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common.admin import access, drawing, references
from apps.compute.admin.instances import TONES as INSTANCE_TONES
from apps.compute.states import InstanceState
from apps.operations.admin import TONES as OPERATION_TONES
from apps.operations.admin import progress, state_badge
from apps.operations.states import OpState
from apps.placement.admin import meter
from dashboard import overview
from dashboard.overview import Figures, HostCell

register = template.Library()
# `hypervisor`: up, but its agent cannot reach the hypervisor.
_HOST_TONES = {"up": "good", "disabled": "warn", "enrolled": "off", "hypervisor": "bad", "down": "bad"}
# While something is under way the page follows it; otherwise it looks now and then.
_BUSY_MS, _IDLE_MS = 2000, 15000
# More hosts than this are drawn without links of their own.
_MOST_LINKED = 300
_CELL, _GAP, _PER_ROW = 18, 3, 24


@register.inclusion_tag("admin/cloudsite/overview.html", name="overview", takes_context=True)
def show(context: dict[str, Any]) -> dict[str, object]:
    """The cards whose figures this operator may see."""
    cards = [draw for draw, permission in _CARDS if access.may(context["request"], permission)]
    if not cards:
        return {"every_ms": 0, "cards": []}
    figures = overview.gather()
    return {"every_ms": _BUSY_MS if figures.open_by_state else _IDLE_MS, "cards": [draw(figures) for draw in cards]}


def _card(title: str, page: str, number: int | None, body: SafeString, *, tone: str = "") -> dict[str, object]:
    return {
        "title": title,
        "page": page,
        "number": None if number is None else drawing.number(number),
        "body": body,
        "tone": tone,
    }


def _instances(figures: Figures) -> dict[str, object]:
    counted = [(s.value, figures.instances.get(s.value, 0), INSTANCE_TONES[s]) for s in InstanceState]
    page = reverse("admin:compute_instance_changelist")
    linked = format_html_join(
        " ",
        '<a href="{}?state={}">{}</a>',
        ((page, name, drawing.badge(f"{name} {drawing.number(n)}", tone)) for name, n, tone in counted if n),
    )
    body = format_html("{}<p>{}</p>", drawing.parts(counted, legend=False), linked)
    return _card("Instances", page, sum(figures.instances.values()), body)


def _hosts(figures: Figures) -> dict[str, object]:
    counted = Counter("disabled" if host.state == "up" and not host.enabled else host.state for host in figures.hosts)
    said = drawing.parts([(name, counted[name], tone) for name, tone in _HOST_TONES.items()])
    body = format_html(
        '{}{}<p class="cs-quiet">Each square is a host; the fuller, the stronger.</p>', said, _map(figures.hosts)
    )
    page, tone = reverse("admin:hosts_host_changelist"), "bad" if counted["down"] or counted["hypervisor"] else ""
    return _card("Hosts", page, len(figures.hosts), body, tone=tone)


def _map(hosts: list[HostCell]) -> SafeString:
    linked = len(hosts) <= _MOST_LINKED
    step = _CELL + _GAP
    cells = format_html_join("", "{}", ((_cell(host, place, step, linked=linked),) for place, host in enumerate(hosts)))
    rows = -(-len(hosts) // _PER_ROW)
    return format_html('<svg class="cs-map" viewBox="0 0 {} {}">{}</svg>', _PER_ROW * step, max(1, rows) * step, cells)


def _cell(host: HostCell, place: int, step: int, *, linked: bool) -> SafeString:
    tone = _HOST_TONES["disabled" if host.state == "up" and not host.enabled else host.state]
    # Twelve grades are as many as one can tell apart.
    grade = round(min(1.0, host.share) * 12) * 7 + 16 if tone == "good" else 100
    words = f"{host.name}: {host.state}{'' if host.enabled else ', disabled'}, {host.share:.0%} full"
    drawn = format_html(
        '<rect class="cs-fill-{}" fill-opacity="{}%" x="{}" y="{}" width="{}" height="{}" rx="3">'
        "<title>{}</title></rect>",
        tone,
        grade,
        place % _PER_ROW * step,
        place // _PER_ROW * step,
        _CELL,
        _CELL,
        words,
    )
    if not linked:
        return drawn
    return format_html('<a href="{}">{}</a>', reverse("admin:hosts_host_change", args=[host.id]), drawn)


def _capacity(figures: Figures) -> dict[str, object]:
    meters = drawing.stack(meter(name, used, capacity) for name, (used, capacity) in sorted(figures.capacity.items()))
    body = (
        format_html('<div class="cs-meters">{}</div>', meters)
        if meters
        else drawing.quiet("No host has said what it has.")
    )
    return _card("Capacity", reverse("admin:placement_inventory_changelist"), None, body)


def _operations(figures: Figures) -> dict[str, object]:
    counted = [(s.value, figures.open_by_state.get(s.value, 0), OPERATION_TONES[s]) for s in OpState]
    names = references.names("instance", {operation.resource_id for operation in figures.waiting_longest})
    lines = drawing.stack(
        format_html(
            '<div class="cs-waiting">{} {} {} {}</div>',
            references.link("operation", row.pk, row.kind),
            references.link("instance", row.resource_id, names.get(row.resource_id, "")),
            state_badge(row.state),
            progress(row),
        )
        for row in figures.waiting_longest
    ) or drawing.quiet("Nothing is under way.")
    page = reverse("admin:operations_operation_changelist") + "?state=open"
    body = format_html("{}{}", drawing.parts(counted) if figures.open_by_state else drawing.EMPTY, lines)
    tone = "warn" if figures.open_by_state.get(OpState.OVERDUE.value) else ""
    return {**_card("Open operations", page, sum(figures.open_by_state.values()), body, tone=tone), "wide": True}


def _failures(figures: Figures) -> dict[str, object]:
    total = sum(count for _, count in figures.failures_by_hour)
    codes = format_html_join(
        "", "<li>{} <b>{}</b></li>", ((drawing.code(name), count) for name, count in figures.failures_by_code)
    )
    body = format_html(
        '{}<p class="cs-ends"><span>24 h ago</span><span>now</span></p><ul class="cs-legend">{}</ul>',
        drawing.columns(figures.failures_by_hour, "bad"),
        codes,
    )
    page = reverse("admin:operations_operation_changelist") + "?state=failed"
    return _card("Failures in 24 h", page, total, body, tone="bad" if total else "")


_CARDS = (
    (_instances, "compute.instance.list"), (_hosts, "hosts.host.list"), (_capacity, "placement.provider.list"),
    (_operations, "operations.operation.list"), (_failures, "operations.operation.list"),
)
