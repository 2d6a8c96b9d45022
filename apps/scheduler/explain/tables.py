"""A decision for the shell: what was asked, each filter, each host, the weights, and what would help, in colour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from apps.common.commands import age
from apps.scheduler.explain import kept, words

if TYPE_CHECKING:
    from apps.scheduler.models import Decision

# So wide is the bar of all hosts.
_BAR = 30
_QUIET, _GOOD, _BAD, _WARN = "bright_black", "green", "red", "yellow"


def tables(decision: Decision, *, most_hosts: int) -> Iterator[RenderableType]:
    """From the outcome to the verdicts; at most so many hosts are listed."""
    yield Text(words.outcome(decision), style=f"bold {_GOOD if decision.host_id else _BAD}")
    yield from _facts(decision)
    yield from _nearest(decision)
    if steps := kept.steps_of(decision):
        yield _head("filters")
        yield _steps(decision, steps)
    if best := kept.best_of(decision):
        yield _head("weights of the best")
        yield _weights(decision, best)
    if verdicts := kept.verdicts_of(decision):
        yield _head("hosts")
        yield _hosts(decision, verdicts, most_hosts)


def _facts(decision: Decision) -> Iterator[Text]:
    left = [name for _, name in kept.alternates_of(decision)]
    facts = {
        "asked": words.asked(decision.request), "told to tenants": decision.summary, "decided": f"{age(decision.at)}, in {decision.took_ms:g} ms",
        "lost races": ", ".join(decision.lost_races), "left for a retry": ", ".join(left),
    }
    for name, value in facts.items():
        if value:
            yield Text(f"{name:18}", style=_QUIET).append(value, style=_WARN if name == "lost races" else "default")


def _nearest(decision: Decision) -> Iterator[Text]:
    found = words.nearest(decision)
    if found:
        yield _head("nearest misses")
    for each in found:
        yield Text(each.text, style=_WARN)
        yield Text(f"    {each.fix}", style=_GOOD)


def _steps(decision: Decision, steps: list[kept.Step]) -> Table:
    table = _table("filter", "left", "", "refused", "because", right=("left", "refused"))
    most = max(1, decision.hosts)
    table.add_row("looked at", str(decision.hosts), Text("█" * _BAR, style=_QUIET), "", "")
    for each in steps:
        style = _BAD if each.refused and not each.after else _WARN if each.refused else _QUIET
        because = words.because(each.filter) if each.refused else ""
        # A host that is left is seen, however many there were.
        left = "█" * max(bool(each.after), round(_BAR * each.after / most))
        bar = Text(left, style=_GOOD).append("░" * (max(1, round(_BAR * each.before / most)) - len(left)), style=_BAD)
        table.add_row(each.filter, str(each.after), bar, str(each.refused or "-"), because, style=style)
    return table


def _weights(decision: Decision, best: list[dict[str, object]]) -> Table:
    weighers = list(dict.fromkeys(name for each in best for name in _parts(each)))
    table = _table("host", "weight", *weighers, "free MiB", "", right=("weight", *weighers, "free MiB"))
    left = {name for _, name in kept.alternates_of(decision)}
    for each in best:
        chosen = each["host"] == decision.host_name
        table.add_row(
            str(each["host"]), f"{each.get('weight', 0.0):.3f}", *(f"{_parts(each).get(name, 0.0):+.3f}" for name in weighers),
            str(each["free_memory_mb"]), "chosen" if chosen else "for a retry" if each["host"] in left else "",
            style=_GOOD if chosen else "",
        )
    return table


def _parts(best: dict[str, object]) -> dict[str, float]:
    found = best.get("weights", {})
    assert isinstance(found, dict)
    return found


def _hosts(decision: Decision, verdicts: list[kept.Verdict], most: int) -> Table:
    """A line per host; of many hosts the first of each verdict, and how many more have it."""
    each_most = max(1, most // len(verdicts)) if decision.hosts > most else decision.hosts
    table = _table("host", "verdict", "because")
    for each in verdicts:
        fits = each.reason == kept.FITS
        shown = sorted(each.names, key=lambda name: name != decision.host_name)[:each_most] if fits else each.names[:each_most]
        for name in shown:
            verdict = Text("chosen", style=f"bold {_GOOD}") if name == decision.host_name else Text("fits" if fits else "refused", style=_GOOD if fits else _BAD)
            table.add_row(name, verdict, "" if fits else words.because(each.reason))
        if each.hosts > len(shown):
            table.add_row(f"and {each.hosts - len(shown)} more", "fit" if fits else "refused", "" if fits else each.reason, style=_QUIET)
    return table


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True, justify="right" if column in right else "left")
    return table


def _head(text: str) -> Text:
    return Text(f"\n{text}", style="bold")
