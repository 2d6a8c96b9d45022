"""Fixtures for everything that works on the database; `tests/conftest.py` makes them known where Django is."""

import dataclasses
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from django.conf import settings

from apps.common import bus as real_bus
from apps.common import clock as real_clock
from apps.common import rates
from apps.common.api import edge
from apps.operations.services import intake
from tests.support.bus import FakeBus
from tests.support.cloud import Cloud, forget_table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.directory import Directory
    from tests.support.objects import Shelf


class Time:
    """The control plane's clock, which a test can move. Rows, deadlines and sealed commands follow it."""

    def __init__(self) -> None:
        self.offset = timedelta()
        self.moment: datetime | None = None

    def forward(self, seconds: float) -> None:
        self.offset += timedelta(seconds=seconds)

    def stand(self) -> None:
        """From now on nothing passes but what the test lets pass, however busy the machine is."""
        self.moment = real_clock.now() - self.offset


@pytest.fixture
def bus() -> Iterator[FakeBus]:
    """Nothing is sent: it is kept, and a test takes it."""
    fake = FakeBus()
    with mock.patch.object(real_bus, "_deliver", fake.deliver):
        yield fake


@pytest.fixture
def cloud(transactional_db: None, bus: FakeBus) -> Iterator[Cloud]:
    """A project, a flavor, an image, a network, and no host yet. Really commits, so that on_commit runs as in production."""
    forget_table()
    yield Cloud(bus)
    forget_table()


@pytest.fixture
def shelf(transactional_db: None, bus: FakeBus, tmp_path: "Path", monkeypatch: pytest.MonkeyPatch) -> "Shelf":
    """A bucket of a project of its own, and a store of its own."""
    from tests.support.objects import Shelf

    monkeypatch.setattr(settings, "OBJECTS_ROOT", tmp_path)
    return Shelf(tmp_path)


@pytest.fixture
def time_machine() -> Iterator[Time]:
    """`forward(seconds)` moves the control plane's clock."""
    moved = Time()
    original = real_clock.now

    def now() -> datetime:
        return (moved.moment or original()) + moved.offset

    wall = SimpleNamespace(time=lambda: now().timestamp())
    with mock.patch.object(real_clock, "now", now), mock.patch.object(intake, "time", wall):
        yield moved


@pytest.fixture
def edge_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`edge_settings(rate_address=5, trusted_proxies=("10.0.0.1/32",))`: for one test; all counters begin anew."""

    def forget() -> None:
        edge._is_trusted.cache_clear()
        rates._limiter.cache_clear()

    def change(**values: Any) -> None:
        monkeypatch.setattr(settings, "ENV", dataclasses.replace(settings.ENV, **values))
        forget()

    yield change
    monkeypatch.undo()
    forget()


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator["Directory"]:
    """A private slapd, and settings that name it. Skips, with the reason, where there is none."""
    from tests.support.directory import Directory
    from tests.support.slapd import SlapdMissing

    try:
        made = Directory(monkeypatch)
    except SlapdMissing as missing:
        pytest.skip(str(missing))
    with made:
        yield made
