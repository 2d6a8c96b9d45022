"""The Procfile and what its processes are told."""

from pathlib import Path

import pytest

from cloudsite.launcher import programs
from cloudsite.launcher.programs import LaunchError
from cloudsite.settings.environment import load

ENV = load({"CLOUDSITE_VAR": "/srv/cloud", "CLOUDSITE_LISTEN": "[::1]:8700", "CLOUDSITE_WEB_THREADS": "3"})


def test_the_procfile_has_all_processes_of_an_installation() -> None:
    assert list(programs.procfile()) == ["web", "s3", "scheduler", "conductor", "worker-images", "ticker", "agent", "flower"]


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


def test_what_stands_in_a_file_is_not_spelled_out(tmp_path: Path) -> None:
    path = tmp_path / "database-url"
    path.write_text("postgresql://me:hunter2@db/x")
    given = {"CLOUDSITE_DATABASE_URL_FILE": str(path)}
    told = programs.environment(load(given), given)
    assert "hunter2" not in repr(told)
    assert load({name: value for name, value in told.items() if name.startswith("CLOUDSITE_")}).database_url.endswith("@db/x")


def test_the_agent_has_no_way_to_the_database() -> None:
    for name in ("CLOUDSITE_DATABASE_URL", "CLOUDSITE_DATABASE_URL_FILE"):
        assert f"-u {name} " in programs.procfile()["agent"]


def test_with_a_certificate_the_web_server_is_told_of_it() -> None:
    env = load({"CLOUDSITE_TLS_CERTIFICATE": "/srv/cert.pem", "CLOUDSITE_TLS_KEY": "/srv/key.pem"})
    assert programs.environment(env, {})["GRANIAN_SSL_KEYFILE"] == "/srv/key.pem"
    assert not [name for name in programs.environment(ENV, {}) if name.startswith("GRANIAN")]


def test_no_password_is_on_a_command_line() -> None:
    assert not any("password" in command or "auth" in command for command in programs.procfile().values())
