"""Timelines: every event of an operation as a bar on one scale, so that waiting and working are seen at a glance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common import clock
from apps.common.admin import drawing
from apps.operations.states import OPEN_VALUES
from contracts import topics

if TYPE_CHECKING:
    from apps.operations.models import Operation, OperationEvent

# What the machine names mean to somebody who reads them for the first time.
WORDS = {
    "accepted": "request accepted",
    "host.received": "command reached the host",
    "image.ready": "image on the host",
    "ports.ready": "network ready",
    "disk.made": "disk made",
    "config_drive.made": "config drive made",
    "domain.started": "guest started",
    "domain.stopped": "guest stopped",
    "power.changed": "power changed",
    "ports.removed": "network removed",
    "disk.removed": "disk removed",
}
# What took time in these is waiting, and drawn pale like other waiting.
_WAITS = ("host.received",)
# Details up to this length stand beside the event's name.
_SHORT = 24
_SOURCES = ("api", "scheduler", "conductor", "sweep", "worker", "host")


@dataclass(frozen=True)
class Line:
    """One event on the scale. Times in milliseconds since the operation was accepted."""

    name: str
    source: str
    detail: str
    start_ms: float
    took_ms: float | None
    bad: bool

    @property
    def end_ms(self) -> float:
        return self.start_ms + (self.took_ms or 0.0)


def draw(operation: Operation, events: Sequence[OperationEvent], chosen: Sequence[str] = ()) -> SafeString:
    """The picture of one operation. An open one ends with what it waits for at this moment.

    `chosen`: what the scheduler has chosen, in order, for operators; tenants read events too, so they name no host.
    """
    # In the order of what happened: a host's events arrive together, after what happened here meanwhile.
    names = iter(chosen)
    lines = sorted((_line(event, operation.created_at, names) for event in events), key=lambda line: line.end_ms)
    if operation.state in OPEN_VALUES:
        lines.append(_waiting(operation, lines))
    if not lines:
        return drawing.quiet("No events were kept.")
    ends = [line.end_ms for line in lines]
    if operation.finished_at is not None:
        ends.append(_ms(operation.finished_at - operation.created_at))
    span = max(1.0, *ends)
    ticks = _ticks(span)
    grid = format_html_join(
        "",
        '<line class="cs-grid" x1="{0}%" x2="{0}%" y1="0" y2="100%"/>',
        ((drawing.percent(t / span),) for t in ticks),
    )
    # What passed before an event, since the one before it, is drawn pale: waiting is seen as well as work.
    before = [0.0, *itertools.accumulate((line.end_ms for line in lines), max)]
    rows = format_html_join(
        "", "{}", ((_row(line, since, span, grid),) for line, since in zip(lines, before, strict=False))
    )
    return format_html('<ol class="cs-timeline">{}{}</ol>', rows, _axis(ticks, span))


def legend() -> SafeString:
    """Which colour is whose work."""
    items = format_html_join(
        "", '<li><span class="cs-dot cs-src-{0}"></span>{0}</li>', ((source,) for source in _SOURCES)
    )
    return format_html('<ul class="cs-legend">{}</ul>', items)


def _line(event: OperationEvent, origin: datetime, chosen: Iterator[str]) -> Line:
    took = event.took_ms
    # A host's clock may be a little behind ours: nothing is drawn before the beginning.
    start = max(0.0, _ms(event.at - origin) - (took or 0.0))
    bad = event.name in ("failed", "no host") or "failed: " in event.detail
    source = event.source if event.source in _SOURCES else "api"
    detail = next(chosen, event.detail) if event.name == "host chosen" else event.detail
    return Line(event.name, source, detail, start, took, bad)


def _waiting(operation: Operation, lines: Iterable[Line]) -> Line:
    since = max((line.end_ms for line in lines), default=0.0)
    now = max(since, _ms(clock.now() - operation.created_at))
    whom = operation.host_name or ("an image worker" if operation.queue == topics.IMAGES else "the scheduler")
    what = f"asking {whom} what is true" if operation.state == "overdue" else f"waiting for {whom}: {operation.step}"
    return Line(what, "waiting", "", since, now - since, False)


def _row(line: Line, since_ms: float, span: float, grid: SafeString) -> SafeString:
    took = drawing.duration(line.took_ms / 1000) if line.took_ms is not None else ""
    x = drawing.percent(line.start_ms / span)
    width = drawing.percent((line.took_ms or 0) / span)
    classes = f"cs-src-{line.source}{' cs-src-bad' if line.bad else ''}{' cs-pale' if line.name in _WAITS else ''}"
    words = WORDS.get(line.name, line.name.replace(".", " ").replace("_", " "))
    hover = f"{words}: from {drawing.duration(line.start_ms / 1000)} on" + (f", {took}" if took else "")
    waited = max(0.0, line.start_ms - since_ms)
    beside = len(line.detail) <= _SHORT
    # The last rectangle keeps what took next to no time visible.
    return format_html(
        '<li class="cs-line{}"><span class="cs-line-name"><span class="cs-dot {}" title="{}"></span>{} {}</span>'
        '<svg class="cs-track" role="img"><title>{}</title>{}'
        '<rect class="{} cs-before" x="{}%" width="{}%" y="3" height="12"/>'
        '<rect class="{}" x="{}%" width="{}%" y="3" height="12" rx="2"/>'
        '<rect class="{}" x="{}%" width="3" y="3" height="12" rx="1"/></svg>'
        '<span class="cs-line-at">+{}</span><span class="cs-line-took">{}</span>{}</li>',
        " cs-line-bad" if line.bad else "",
        classes,
        line.source,
        words,
        drawing.quiet(line.detail) if beside else "",
        hover,
        grid,
        classes,
        drawing.percent((line.start_ms - waited) / span),
        drawing.percent(waited / span),
        classes,
        x,
        width,
        classes,
        x,
        drawing.duration(line.start_ms / 1000),
        took,
        "" if beside else format_html('<span class="cs-line-detail">{}</span>', line.detail),
    )


def _axis(ticks: Sequence[float], span: float) -> SafeString:
    texts = format_html_join(
        "",
        '<text x="{}%" y="11" class="{}">{}</text>',
        (
            (drawing.percent(t / span), "cs-first" if t == 0 else "", drawing.duration(t / 1000) if t else "0")
            for t in ticks
        ),
    )
    return format_html(
        '<li class="cs-line cs-axis" aria-hidden="true"><span></span><svg class="cs-track">{}</svg></li>', texts
    )


def _ticks(span: float) -> list[float]:
    """Round places on the scale, four to eight of them."""
    rough = span / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= rough), 10 * power)
    return [place * step for place in range(int(span * 0.97 / step) + 1)]


def _ms(time: timedelta) -> float:
    return time.total_seconds() * 1000
