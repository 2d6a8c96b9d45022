"""A scheduling decision as a picture: a funnel of the filters, what the best weighed, how near the nearest came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import drawing
from apps.scheduler.explain import kept, words

if TYPE_CHECKING:
    from apps.scheduler.models import Decision

# A table of a thousand hosts helps nobody: the funnel counts them all.
_MOST_ROWS = 100


def draw(decision: Decision) -> SafeString:
    """The whole picture of one decision."""
    return format_html("{}{}{}{}{}", _sentence(decision), _nearest(decision), _funnel(decision), _weights(decision), _hosts(decision))


def asked(decision: Decision) -> str:
    """What was asked, in a line."""
    return words.asked(decision.request)


def _sentence(decision: Decision) -> SafeString:
    races = f" Others were quicker to fill {words.spoken(decision.lost_races)}." if decision.lost_races else ""
    left = [name for _, name in kept.alternates_of(decision)]
    alternates = f" Next best, for a retry: {words.spoken(left)}." if left else ""
    return format_html(
        "<p><b>{}</b> Asked for: {}. Decided in {}.{}{} {}</p>", words.outcome(decision), asked(decision),
        drawing.duration(decision.took_ms / 1000), races, alternates, drawing.quiet(drawing.ago(decision.at)),
    )


def _nearest(decision: Decision) -> SafeString:
    found = words.nearest(decision)
    if not found:
        return drawing.EMPTY
    table = drawing.table(("how near", "what would help"), ((each.text, each.fix) for each in found))
    return format_html("<h3>The nearest misses</h3>{}", table)


def _funnel(decision: Decision) -> SafeString:
    """A bar for every filter that refused somebody: how many hosts were left after it."""
    if not decision.hosts:
        return drawing.EMPTY
    steps = kept.steps_of(decision)
    bars = [_bar("looked at", decision.hosts, decision.hosts, drawing.number(decision.hosts))]
    bars += [
        _bar(each.filter, each.after, decision.hosts, f"{drawing.number(each.after)} left, {drawing.number(each.refused)} refused: {words.because(each.filter)}")
        for each in steps
        if each.refused
    ]
    idle = [each.filter for each in steps if not each.refused]
    rest = drawing.quiet(f"Nobody was refused by: {', '.join(idle)}.") if idle else drawing.EMPTY
    return format_html('<h3>Hosts, filter by filter</h3><div class="cs-meters">{}</div><p>{}</p>', drawing.stack(bars), rest)


def _bar(name: str, left: int, hosts: int, text: str) -> SafeString:
    return drawing.beside(name, drawing.bar(left / hosts, "good" if left else "bad", label=f"{name}: {text}"), text)


def _weights(decision: Decision) -> SafeString:
    found = kept.best_of(decision)
    if not found:
        return drawing.EMPTY
    weighers = list(dict.fromkeys(name for best in found for name in best.get("weights", {})))
    most = max(abs(best.get("weight", 0.0)) for best in found) or 1.0
    rows = (_weight(best, weighers, most, chosen=best["host"] == decision.host_name) for best in found)
    return format_html(
        "<h3>The best by weight</h3>{}", drawing.table(("host", "", "weight", *weighers, "memory free"), rows)
    )


def _weight(best: dict[str, Any], weighers: list[str], most: float, *, chosen: bool) -> list[object]:
    weight = best.get("weight", 0.0)
    name = format_html("{} {}", best["host"], drawing.badge("chosen", "busy")) if chosen else best["host"]
    bar = drawing.bar(max(0.0, weight) / most, "good" if chosen else "off", label=f"{best['host']}: {weight:.3f}")
    parts = (f"{best.get('weights', {}).get(each, 0.0):+.3f}" for each in weighers)
    return [name, bar, f"{weight:.3f}", *parts, drawing.size(best["free_memory_mb"] * 1024**2)]


def _hosts(decision: Decision) -> SafeString:
    groups = kept.verdicts_of(decision)
    # Refused ones first: they are what one asks about.
    rows = sorted((each.reason == kept.FITS, name, each.reason) for each in groups for name in each.names)
    if not rows:
        return drawing.EMPTY
    shown = (
        (
            name,
            drawing.badge("chosen", "busy") if name == decision.host_name
            else drawing.badge("fits", "good") if fits else drawing.badge("refused", "bad"),
            "" if fits else words.because(reason),
        )
        for fits, name, reason in rows[:_MOST_ROWS]
    )
    more = decision.hosts - min(len(rows), _MOST_ROWS)
    return format_html(
        '<details class="cs-details" id="verdict-{}"><summary>{}</summary>{}{}</details>', decision.pk,
        f"{'Some' if more else 'Each'} of {words.counted(decision.hosts, 'host')}", drawing.table(("host", "verdict", "because"), shown),
        drawing.quiet(f"and {more} more") if more else drawing.EMPTY,
    )
