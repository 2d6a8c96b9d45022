"""The Procfile and what its processes are told."""

from pathlib import Path

import pytest

from cloudsite.launcher import programs
from cloudsite.launcher.programs import LaunchError
from cloudsite.settings.environment import load

ENV = load({"CLOUDSITE_VAR": "/srv/cloud", "CLOUDSITE_LISTEN": "[::1]:8700", "CLOUDSITE_WEB_THREADS": "3"})


def test_the_procfile_has_all_processes_of_an_installation() -> None:
    assert list(programs.procfile()) == ["web", "scheduler", "conductor", "ticker", "agent", "flower"]


def test_every_command_replaces_the_shell_that_starts_it() -> None:
    """So that the pid that is supervised and killed is the program's own."""
    assert all(command.startswith("exec ") for command in programs.procfile().values())


def test_every_variable_of_the_procfile_is_filled_in() -> None:
    told = programs.environment(ENV, {})
    for command in programs.procfile().values():
        for word in command.replace('"', " ").replace("=", " ").split():
            if word.startswith("$"):
                assert word[1:] in told


def test_a_line_that_is_no_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Procfile"
    path.write_text("# fine\n\nweb: exec true\nnonsense\n")
    with pytest.raises(LaunchError, match="nonsense"):
        programs.procfile(path)


def test_what_follows_from_settings_is_spelled_out_for_all_processes() -> None:
    told = programs.environment(ENV, {"CLOUDSITE_LOG_LEVEL": "DEBUG"})
    assert told["CLOUDSITE_DATABASE_URL"] == "sqlite:////srv/cloud/cloudsite.sqlite3"
    assert told["CLOUDSITE_LOG_LEVEL"] == "DEBUG"
    assert (told["WEB_HOST"], told["WEB_PORT"], told["WEB_THREADS"]) == ("::1", "8700", "3")
    assert load({name: value for name, value in told.items() if name.startswith("CLOUDSITE_")}).run == ENV.run


def test_compiled_modules_are_kept_even_if_the_shell_says_otherwise() -> None:
    assert "PYTHONDONTWRITEBYTECODE" not in programs.environment(ENV, {"PYTHONDONTWRITEBYTECODE": "1"})


def test_no_password_is_on_a_command_line() -> None:
    assert not any("password" in command or "auth" in command for command in programs.procfile().values())
