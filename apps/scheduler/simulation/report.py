"""What came of a simulation, for programs (plain data) and for people (lines and tables)."""

from collections.abc import Iterator
from typing import Any

from apps.scheduler.simulation.ledger import Fragmentation
from apps.scheduler.simulation.replay import Outcome, Sample, percentiles
from apps.scheduler.simulation.trace import Amounts, shape_text

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
# Of the samples people see so many, and of shapes that were refused the most frequent.
_ROWS, _SHAPES = 12, 10


def as_data(outcome: Outcome, about: dict[str, Any]) -> dict[str, Any]:
    """`about`: trace, fleet and tuning. The same trace, fleet, tuning and seed give the same, but for `speed`."""
    last = outcome.samples[-1]
    return {
        **about,
        "creates": outcome.placed + outcome.refused, "placed": outcome.placed, "refused": outcome.refused,
        "deleted": outcome.deleted, "deletes_of_refused": outcome.passed_over,
        "running": {"end": outcome.running, "peak": outcome.running_peak},
        "refused_because": {
            name: {"refusals": times, "share_of_hosts": round(shares / times, 4)}
            for name, (times, shares) in sorted(outcome.reasons.items(), key=lambda each: (-each[1][1], each[0]))
        },
        "refused_shapes": [{"shape": dict(shape), "refused": times} for shape, times in _most(outcome)],
        "utilisation": {
            name: {"mean": _rounded(outcome.mean.get(name)), "peak": _rounded(outcome.peak.get(name, 0.0)), "end": _rounded(share)}
            for name, share in last.utilisation.items()
        },
        "fragmentation": {
            "usual": _fragmentation(outcome.usual_shape, [each.usual for each in outcome.samples]),
            "largest": _fragmentation(outcome.largest_shape, [each.largest for each in outcome.samples]),
        },
        "speed": {
            "took_s": round(outcome.took_s, 3),
            "decisions_per_s": round((outcome.placed + outcome.refused) / outcome.took_s, 1) if outcome.took_s else None,
            "choice_ms": percentiles(outcome.choice_ms), "whole_ms": percentiles(outcome.whole_ms),
        },
        "samples": [_sample(each) for each in outcome.samples],
    }


def lines(data: dict[str, Any]) -> dict[str, Any]:
    """The facts, one in a line."""
    share = data["refused"] / data["creates"]
    speed = data["speed"]
    return {
        "trace": f"{data['trace']['name']}: {data['trace']['events']} events over {span(data['trace']['seconds'])}",
        "fleet": f"{data['fleet']['hosts']} hosts with {shape_text(tuple(data['fleet']['capacity'].items()))}",
        "placed": data["placed"], "refused": f"{data['refused']} ({share:.1%} of {data['creates']})",
        "running": f"{data['running']['end']} at the end, {data['running']['peak']} at most",
        **{
            f"fragmentation, {which} shape": f"{each['end']['share']:.1%} at the end, {each['peak']:.1%} at most ({shape_text(tuple(each['shape'].items()))}; "
            f"{each['end']['fits']} more fit, {each['end']['whole']} would in one piece)"
            for which, each in data["fragmentation"].items()
        },
        "choice, ms": _percentiles(speed["choice_ms"]), "with claim, ms": _percentiles(speed["whole_ms"]),
        "decisions per second": f"{speed['decisions_per_s']} ({speed['took_s']} s in all)",
    }


def over_time(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A few of the samples; what was placed and refused since the row before."""
    samples = data["samples"]
    every = max(1, -(-len(samples) // _ROWS))
    rows = sorted({*range(len(samples) - 1, -1, -every)})
    size, unit = unit_for(data["trace"]["seconds"])
    before = -1
    for at in rows:
        each, since = samples[at], samples[before + 1 : at + 1]
        yield {
            "after": f"{each['at'] / size:.3g} {unit}" if data["trace"]["seconds"] else f"event {each['at']:g}", "running": each["running"],
            "placed": sum(sample["placed"] for sample in since), "refused": sum(sample["refused"] for sample in since),
            **{name: f"{share:.1%}" for name, share in each["utilisation"].items()},
            "fragmented_usual": f"{each['fragmentation']['usual']:.1%}", "fragmented_largest": f"{each['fragmentation']['largest']:.1%}",
        }
        before = at


def span(seconds: float) -> str:
    """`14 d`, `2.5 h`."""
    size, unit = unit_for(seconds)
    return f"{seconds / size:.3g} {unit}"


def unit_for(seconds: float) -> tuple[float, str]:
    """The unit in which people say so much time."""
    return next(((size, unit) for size, unit in _UNITS if abs(seconds) >= 2 * size), _UNITS[-1])


def _most(outcome: Outcome) -> list[tuple[Amounts, int]]:
    return sorted(outcome.refused_shapes.items(), key=lambda each: (-each[1], each[0]))[:_SHAPES]


def _fragmentation(shape: Amounts, found: list[Fragmentation]) -> dict[str, Any]:
    last = found[-1]
    return {
        "shape": dict(shape), "peak": _rounded(max(each.share for each in found)),
        "end": {"share": _rounded(last.share), "fits": last.fits, "whole": last.whole, "stranded": last.stranded},
    }


def _sample(each: Sample) -> dict[str, Any]:
    return {
        "at": round(each.at, 3), "running": each.running, "placed": each.placed, "refused": each.refused,
        "utilisation": {name: _rounded(share) for name, share in each.utilisation.items()},
        "fragmentation": {"usual": _rounded(each.usual.share), "largest": _rounded(each.largest.share)},
        "stranded": {"usual": each.usual.stranded, "largest": each.largest.stranded},
    }


def _percentiles(found: dict[str, float]) -> str:
    return " · ".join(f"{name} {value:.2f}" for name, value in found.items())


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
