"""Fixtures of the agent's tests. Nothing here imports Django: `pytest -p no:django tests/agent` must work."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.kit import Control, Pipeline, RedisServer


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
