"""Fixtures of the tests that need several hosts; one set of hosts and guests for the whole session."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.images.demo import DemoImage
from cloudsite.launcher import hypervisor
from tests.real.hosts.cast import Cast
from tests.real.hosts.yard import Yard


@pytest.fixture(scope="session")
def yard(demo: DemoImage, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Yard]:
    """Three hosts and a control plane, for all tests that need several hosts."""
    if reason := hypervisor.obstacle():
        pytest.skip(reason)
    # Not below pytest's own folder, through which QEMU's user may not pass.
    folder = Path(tempfile.mkdtemp(prefix="cs-yard-"))
    kept = getattr(request.config, "cache", None)
    try:
        with Yard(
            folder, demo, database="sqlite" if request.config.getoption("--sqlite") else "postgresql",
            cache=Path(kept.mkdir("libvirt-cache")) if kept else None,
        ) as yard:
            yield yard
    finally:
        if request.session.testsfailed:
            print(f"logs of the hosts and the control plane: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cast(yard: Yard) -> Iterator[Cast]:
    """The guests on them, all of them running. In the end they leave, and nothing of them may stay."""
    made = Cast(yard)
    yield made
    made.leave()
