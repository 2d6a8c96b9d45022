"""Hosts, and a world of networks to tell them of. Pytest loads this before Django is set up, so what needs it is imported late."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.bus import FakeBus
    from tests.support.telling import Site, World


@pytest.fixture
def sites(bus: "FakeBus") -> "list[Site]":
    """Three hosts that have said hello and know that there is nothing."""
    from tests.support.telling import Site, settle

    made = [Site(bus).start() for _ in range(3)]
    settle(made)
    return made


@pytest.fixture
def world(sites: "list[Site]") -> "World":
    from tests.support.telling import World

    return World(sites)
