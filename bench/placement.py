"""The Placement API of an installation of its own, without hosts: allocation candidates, then allocations.

`python -m bench.placement` prints the same figures alone.
"""

import tempfile
from pathlib import Path

from bench import allocations, candidates
from bench.figures import Figures
from cloudsite.launcher.stack import Stack


def measure(figures: Figures) -> None:
    """Adds the figures."""
    with tempfile.TemporaryDirectory(prefix="cs-bench-") as folder, Stack(
        Path(folder), database="postgresql", env={"CLOUDSITE_LOG_LEVEL": "WARNING"}
    ) as stack:
        candidates.measure(stack, figures)
        allocations.measure(stack, figures)


def main() -> None:
    figures = Figures()
    measure(figures)
    for name, value in figures.values.items():
        print(f"{name:70} {value:,}")


if __name__ == "__main__":
    main()
