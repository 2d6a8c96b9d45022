"""The object store's benchmark in small, on the real processes: every figure is made, and nothing is left."""

from pathlib import Path

import pytest

from bench import objects, radosgw
from bench.figures import Figures


@pytest.mark.slow
def test_the_benchmark_of_the_object_store_runs_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without radosgw, which takes longer than all else here."""
    monkeypatch.setenv("CLOUDSITE_VAR", str(tmp_path))
    monkeypatch.setattr(radosgw, "missing", lambda: ["radosgw"])
    figures, steps = Figures(), list[str]()
    found = objects.measure(figures, mib=2, rounds=1, small=16, sizes=[2000, 1000], say=steps.append)
    assert list(found) == [1000, 2000]
    # What grew may be nothing, and so may what two MiB take.
    assert not [name for name, value in figures.values.items() if value <= 0 and "memory" not in name and not name.endswith(", s")]
    assert len([name for name in figures.values if "memory" in name]) == 2
    assert any("PUT of 2 MiB / floor" in name for name in figures.values)
    assert any("PUT as a multiple of HEAD" in name for name in figures.values)
    assert "a bucket with 2,000 objects …" in steps
    assert any("radosgw" in step for step in steps)
    assert list(tmp_path.glob("cs-bench-*")) == []
