"""supervisord's configuration."""

import configparser
from pathlib import Path

from supervisor.options import ServerOptions

from cloudsite.launcher import supervised
from cloudsite.launcher.programs import Program

LOG = Path("/srv/my cloud/log")


def program(name: str, *, server: bool = False) -> Program:
    return Program(name, f"exec {name} --at 100% 'a b'", {}, LOG / f"{name}.log", server=server)


def text() -> str:
    return supervised.config([program("redis", server=True), program("web")], run=Path("/srv/my cloud/run"), log=LOG)


def test_supervisor_itself_reads_it_as_it_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(text().replace("/srv/my cloud", str(tmp_path)))
    for folder in ("run", "log"):
        (tmp_path / folder).mkdir()
    options = ServerOptions()
    options.realize(["-c", str(path)])
    programs = {each.name: each for group in options.process_group_configs for each in group.process_configs}
    assert programs["web"].command.endswith("""'exec web --at 100% '"'"'a b'"'"''""")
    assert programs["web"].autorestart
    assert programs["web"].redirect_stderr
    assert programs["web"].stdout_logfile_maxbytes > 0


def test_servers_start_before_those_that_need_them_and_stop_after_them() -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(text())
    assert parser.getint("group:servers", "priority") < parser.getint("group:cloudsite", "priority")
    assert parser.get("group:servers", "programs") == "redis"


def test_it_listens_on_a_socket_of_its_owner_only() -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(text())
    assert parser.get("unix_http_server", "chmod") == "0700"
    assert "inet_http_server" not in parser.sections()
