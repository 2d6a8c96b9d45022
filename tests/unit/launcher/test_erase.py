"""Erasing an installation: never by mistake."""

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from cloudsite.launcher.erase import erase
from cloudsite.launcher.lock import Lock
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.screen import Screen
from cloudsite.settings.environment import Environment, load


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    env = load({"CLOUDSITE_VAR": str(tmp_path / "var"), "CLOUDSITE_RUN": str(tmp_path / "run")})
    (env.var / "images").mkdir(parents=True)
    return env


@pytest.fixture
def screen() -> Screen:
    each = Screen()
    each.console = Console(file=io.StringIO())
    return each


def test_without_confirmation_it_only_says_what_it_would_do(env: Environment, screen: Screen) -> None:
    assert erase(env, os.environ, screen, confirmed=False) == 1
    assert (env.var / "images").exists()


def test_an_installation_that_runs_is_left_alone(env: Environment, screen: Screen) -> None:
    lock = Lock(env.run / "up.lock")
    with pytest.raises(LaunchError, match="runs already"):
        erase(env, os.environ, screen, confirmed=True)
    assert (env.var / "images").exists()
    lock.release()


def test_with_confirmation_everything_is_gone(env: Environment, screen: Screen) -> None:
    assert erase(env, os.environ, screen, confirmed=True) == 0
    assert not env.var.exists()
    assert not env.run.exists()
