"""One set of networks and guests for the tests of a file."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.network import v2 as network
from tests.real.segment import Client
from tests.real.services.world import World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    # The name server gives up root's rights; not below pytest's own folder, which each pytest that starts meanwhile closes to others.
    folder = Path(tempfile.mkdtemp(prefix="cs-services-"))
    folder.chmod(0o755)
    made = World(folder)
    try:
        made.converge(made.desired)
        yield made
        made.services.remove()
        assert not (folder / "names").exists()
    finally:
        made.services.remove()
        made.segment.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def web(world: World) -> Client:
    return configured(world, world.web)


@pytest.fixture(scope="module")
def db(world: World) -> Client:
    return configured(world, world.db)


@pytest.fixture(scope="module")
def lone(world: World) -> Client:
    return configured(world, world.lone)


@pytest.fixture(scope="module")
def cache(world: World) -> Client:
    return configured(world, world.cache)


def configured(world: World, port: network.Port) -> Client:
    client = world.segment.client(port)
    client.configure(client.dhcp())
    return client
