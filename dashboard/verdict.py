"""A scheduling decision as a picture: how many hosts passed, why the others did not, how the best compared."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import drawing
from apps.scheduler import explain

if TYPE_CHECKING:
    from apps.scheduler.models import Decision

REASONS = {
    "down": "it is down",
    "disabled": "it is disabled",
    "zone": "it is in another zone",
    "failed before": "this build failed there before",
    "no networks": "its agent is too old for networks",
    **{name: f"too few {unit} free" for name, unit in explain.UNITS.items()},
}
_TONES = {"passed": "good", "down": "bad", "disabled": "off", "zone": "off", "failed before": "bad"}
# A table of a thousand hosts helps nobody: the picture counts them all.
_MOST_ROWS = 100


def draw(decision: Decision) -> SafeString:
    """The whole picture of one decision."""
    rows = explain.rows(decision.verdicts)
    counted = Counter(row["reason"] or "passed" for row in rows)
    bar = drawing.parts(
        [
            (name if name == "passed" else REASONS.get(name, name), n, _TONES.get(name, "warn"))
            for name, n in counted.most_common()
        ]
    )
    return format_html("<p>{}</p>{}{}{}", _sentence(decision), bar, _weights(decision), _hosts(decision, rows))


def _sentence(decision: Decision) -> SafeString:
    asked = ", ".join(_amount(name, amount) for name, amount in decision.request.get("amounts", {}).items())
    outcome = f"{decision.host_name} was chosen" if decision.host_id else "No host was chosen"
    races = f" Lost the race for {', '.join(decision.lost_races)}." if decision.lost_races else ""
    return format_html(
        "<b>{}</b> for {} – {}. Decided in {}.{} {}",
        outcome,
        asked,
        decision.summary.rstrip("."),
        drawing.duration(decision.took_ms / 1000),
        races,
        drawing.quiet(drawing.ago(decision.at)),
    )


def _amount(name: str, amount: int) -> str:
    unit = explain.UNITS.get(name, name)
    return f"{drawing.number(amount)} {unit.removesuffix('s') if amount == 1 else unit}"


def _weights(decision: Decision) -> SafeString:
    most = max((best.get("free_memory_mb", 0) for best in decision.best), default=0)
    if not most:
        return drawing.EMPTY
    lines = drawing.stack(_weight(best, most, chosen=best["host"] == decision.host_name) for best in decision.best)
    return format_html('<h3>The best by free memory</h3><div class="cs-meters">{}</div>', lines)


def _weight(best: dict[str, Any], most: int, *, chosen: bool) -> SafeString:
    text = f"{drawing.size(best['free_memory_mb'] * 1024**2)} free{' · chosen' if chosen else ''}"
    bar = drawing.bar(best["free_memory_mb"] / most, "good" if chosen else "off", label=f"{best['host']}: {text}")
    return drawing.beside(best["host"], bar, text)


def _hosts(decision: Decision, rows: list[dict[str, object]]) -> SafeString:
    # Refused ones first: they are what one asks about.
    rows = sorted(rows, key=lambda row: (bool(row["passed"]), str(row["host"])))
    shown = (
        (
            row["host"],
            drawing.badge("chosen", "busy")
            if row["host"] == decision.host_name
            else drawing.badge("fits", "good")
            if row["passed"]
            else drawing.badge("refused", "bad"),
            "" if row["passed"] else REASONS.get(str(row["reason"]), row["reason"]),
        )
        for row in rows[:_MOST_ROWS]
    )
    rest = drawing.quiet(f"and {len(rows) - _MOST_ROWS} more") if len(rows) > _MOST_ROWS else drawing.EMPTY
    return format_html(
        '<details class="cs-details" id="verdict-{}"><summary>Each of {} hosts</summary>{}{}</details>',
        decision.pk,
        len(rows),
        drawing.table(("host", "verdict", "because"), shown),
        rest,
    )
