"""Fixtures of the agent's tests. Nothing here imports Django: `pytest -p no:django tests/agent` must work."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.agent.kit import Control, Pipeline, RedisServer  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes longer than ten seconds or installs packages")
    config.addinivalue_line("markers", "real: needs libvirt, QEMU and Open vSwitch on this machine")


@pytest.fixture
def control() -> Control:
    return Control()


@pytest.fixture
def pipeline(tmp_path: Path, control: Control) -> Pipeline:
    return Pipeline(tmp_path, control)


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
