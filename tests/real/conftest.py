"""Fixtures of the tests with real guests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.images.demo import DemoImage, build
from cloudsite.launcher import hypervisor
from cloudsite.launcher.daemons import HostDaemons
from cloudsite.launcher.programs import LaunchError
from tests.real.hosts.fixtures import cast, yard
from tests.real.lab import Lab

__all__ = ["cast", "demo", "lab", "yard"]

_FOLDER = Path(tempfile.mkdtemp(prefix="cs-real-"))


def _start_daemons() -> HostDaemons | None:
    """libvirt and Open vSwitch, unless this machine runs them or cannot. Before the modules here are read: these skip,
    and print the reason, where nothing answers."""
    if hypervisor.obstacle():
        return None
    daemons = HostDaemons(ovs=_FOLDER / "ovs", log=_FOLDER / "log", environment=os.environ)
    try:
        daemons.ensure(lambda text: None)
    except LaunchError as error:
        print(error)
    return daemons


_DAEMONS = _start_daemons()


def pytest_sessionfinish() -> None:
    if _DAEMONS is not None:
        _DAEMONS.release()
    shutil.rmtree(_FOLDER, ignore_errors=True)


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
