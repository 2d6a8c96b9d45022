"""Fixtures of the tests with real guests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.images.demo import DemoImage, build
from tests.real.lab import Lab


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> DemoImage:
    """Kept between runs where pytest has its cache; it costs 12 s and a download of 30 MB from Debian's mirror."""
    kept = getattr(request.config, "cache", None)
    return build(Path(kept.mkdir("demo-image")) if kept else tmp_path_factory.mktemp("demo-image"))


@pytest.fixture(scope="module")
def lab(demo: DemoImage) -> Iterator[Lab]:
    lab = Lab(demo)
    try:
        yield lab
        assert lab.leftovers() == []
    finally:
        lab.close()
