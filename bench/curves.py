"""Curves of figures by size, on logarithmic axes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def curve(path: Path, *, across: str, up: str) -> Iterator[Any]:
    """The axes to plot on, labelled; written afterwards as SVG or PNG by the name's end. The same figures give the same file."""
    import matplotlib

    matplotlib.use("svg" if path.suffix == ".svg" else "agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "cloudsite"
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    yield axes
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
