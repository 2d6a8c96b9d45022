"""The picture of a simulation: utilisation with what was refused, fragmentation, and how many run."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

from apps.common.errors import Invalid, Unavailable
from apps.scheduler.simulation.report import unit_for
from apps.scheduler.simulation.trace import shape_text

FORMATS = (".png", ".svg")
# Told apart by people who do not see all colours, too (after Okabe and Ito).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442")
_STYLES = ("-", "--", "-.", ":")
_REFUSED = "#D55E00"


def check(path: Path) -> None:
    """That it can be drawn and written there, before a long run. Raises Invalid, Unavailable."""
    if path.suffix.lower() not in FORMATS:
        raise Invalid("simulation.plot", f"{path}: the name of a plot ends with {' or '.join(FORMATS)}.", field="plot")
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise Invalid("simulation.plot", f"{path} cannot be written: {error.strerror}.", field="plot") from error
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise Unavailable("simulation.matplotlib", "Plots need matplotlib: `pip install matplotlib`, or leave --plot out.") from error


def draw(data: dict[str, Any], path: Path) -> None:
    """As PNG or SVG by the name's end; the same data give the same file. Raises Invalid."""
    import matplotlib

    form = path.suffix.lower().removeprefix(".")
    matplotlib.use("svg" if form == "svg" else "agg")
    from matplotlib import pyplot

    # `none`: text stays text, so that it can be searched, and an SVG names the fonts that browsers have.
    style: Any = {"svg.hashsalt": "cloudsite", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(style):
        figure, (above, middle, below) = pyplot.subplots(
            3, 1, figsize=(10, 8.5), sharex=True, height_ratios=(3, 2, 2), layout="constrained"
        )
        try:
            times, label = _times(data)
            _utilisation(above, times, data)
            _fragmentation(middle, times, data)
            _running(below, times, data)
            below.set_xlabel(label)
            below.set_xlim(times[0] - _interval(times), times[-1])
            figure.suptitle(_title(data), x=0.01, ha="left", fontsize=11, fontweight="bold")
            _write(figure, path, form)
        finally:
            pyplot.close(figure)


def _times(data: dict[str, Any]) -> tuple[list[float], str]:
    if not data["trace"]["seconds"]:
        return [each["at"] for each in data["samples"]], "events (all at one moment)"
    size, unit = unit_for(data["trace"]["seconds"])
    names = {"d": "days", "h": "hours", "min": "minutes", "s": "seconds"}
    return [each["at"] / size for each in data["samples"]], f"{names[unit]} since the first event"


def _interval(times: list[float]) -> float:
    """How far samples are from each other; the last one may come right after the one before."""
    return (times[1] - times[0] if len(times) > 1 else 0.0) or 1.0


def _title(data: dict[str, Any]) -> str:
    hosts = f"{data['fleet']['hosts']:,} host{'s' if data['fleet']['hosts'] != 1 else ''}"
    return f"{data['trace']['name']} on {hosts}: {data['placed']:,} placed, {data['refused']:,} refused ({data['refused'] / data['creates']:.1%})"


def _utilisation(axes: Any, times: list[float], data: dict[str, Any]) -> None:
    samples = data["samples"]
    for number, name in enumerate(data["fleet"]["capacity"]):
        shares = [100 * each["utilisation"][name] for each in samples]
        axes.plot(times, shares, _STYLES[number % 4], color=_COLOURS[number % 6], linewidth=1.6, label=name)
    marked = False
    for begin, end, each in zip([times[0] - _interval(times), *times], times, samples, strict=False):
        if each["refused"]:
            strength = 0.12 + 0.33 * each["refused"] / (each["placed"] + each["refused"])
            label = None if marked else "something was refused (darker: a larger share)"
            axes.axvspan(begin, end, color=_REFUSED, alpha=strength, linewidth=0, label=label)
            marked = True
    axes.set_ylim(0, 102)
    _frame(axes, "claimed, % of capacity")


def _fragmentation(axes: Any, times: list[float], data: dict[str, Any]) -> None:
    for which, colour, style in (("usual", _COLOURS[0], "-"), ("largest", _COLOURS[3], "--")):
        shares = [100 * each["fragmentation"][which] for each in data["samples"]]
        text = shape_text(tuple(data["fragmentation"][which]["shape"].items())).replace(",", ", ")
        axes.plot(times, shares, style, color=colour, linewidth=1.4, label=f"for the {which} shape ({text})")
    axes.set_ylim(0, 102)
    _frame(axes, "fragmentation, %")


def _running(axes: Any, times: list[float], data: dict[str, Any]) -> None:
    samples = data["samples"]
    axes.plot(times, [each["running"] for each in samples], color=_COLOURS[2], linewidth=1.6, label="instances running")
    axes.set_ylim(0, max(1, data["running"]["peak"]) * 1.08)
    refused = [each["refused"] for each in samples]
    if any(refused):
        other = axes.twinx()
        other.spines["right"].set_visible(True)
        other.bar(times, refused, width=-_interval(times), align="edge", color=_REFUSED, alpha=0.6, linewidth=0)
        other.set_ylim(0, max(refused) * 1.08)
        other.set_ylabel("refused per interval")
        other.yaxis.get_major_locator().set_params(integer=True)
        axes.fill_between([], [], color=_REFUSED, alpha=0.6, linewidth=0, label="refused per interval")
    _frame(axes, "instances")


def _frame(axes: Any, label: str) -> None:
    axes.set_ylabel(label)
    axes.grid(visible=True, alpha=0.25, linewidth=0.6)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False, fontsize=8, borderaxespad=0.2)


def _write(figure: Any, path: Path, form: str) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        figure.savefig(unfinished, format=form, dpi=130, metadata={"Date": None} if form == "svg" else {"Software": None})
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise Invalid("simulation.plot", f"{path} cannot be written: {error.strerror}.", field="plot") from error
