"""Runs programs under supervisor: restart with growing pauses, logs that rotate. What `make up` uses."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from cloudsite.launcher.programs import Program
from cloudsite.settings.environment import BASE_DIR

_HEAD = """\
; Made by `make up` at every start; what is changed here does not last.
[unix_http_server]
file = {run}/supervisor.sock
chmod = 0700

[supervisord]
nodaemon = true
silent = true
directory = {base}
pidfile = {run}/supervisord.pid
logfile = {log}/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 2

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{run}/supervisor.sock
"""
# A program that dies at once is started again after 1, 2, 3 … seconds and never given up.
_PROGRAM = """
[program:{name}]
command = setpriv --pdeathsig TERM /bin/sh -c {command}
autorestart = true
startsecs = 2
startretries = 1000000
stopsignal = {stop_signal}
stopwaitsecs = {stop_wait_s:.0f}
killasgroup = true
redirect_stderr = true
stdout_logfile = {log}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""
_GROUP = """
[group:{name}]
programs = {programs}
priority = {priority}
"""


def config(programs: Sequence[Program], *, run: Path, log: Path) -> str:
    """The text of supervisord.conf. Servers are a group of their own that stops last."""
    parts = [_HEAD.format(run=run, log=log, base=BASE_DIR)]
    for program in programs:
        parts.append(
            _PROGRAM.format(
                name=program.name, command=shlex.quote(program.command), stop_signal=program.stop_signal,
                stop_wait_s=program.stop_wait_s, log=program.log,
            )
        )
    for name, server, priority in (("servers", True, 1), ("cloudsite", False, 2)):
        if members := [program.name for program in programs if program.server is server]:
            parts.append(_GROUP.format(name=name, programs=",".join(members), priority=priority))
    return "".join(parts).replace("%", "%%")


class Supervised:
    """A supervisord of ours and its programs; it ends them all when it, or this process, ends."""

    def __init__(self, programs: Sequence[Program], *, run: Path, log: Path, environment: Mapping[str, str]) -> None:
        self._path = run / "supervisord.conf"
        self._log = log / "supervisord.log"
        self._path.write_text(config(programs, run=run, log=log))
        self._names = [program.name for program in programs]
        self._longest_s = sum(sorted(program.stop_wait_s for program in programs)[-2:])
        self._socket = run / "supervisor.sock"
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._seen: dict[str, int] = {}

    def start(self) -> None:
        """Start supervisord and, by it, everything."""
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "supervisor.supervisord", "-c", str(self._path)],
            cwd=BASE_DIR, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )

    def running(self) -> bool:
        """Whether supervisord lives."""
        return self._process is not None and self._process.poll() is None

    def changes(self) -> list[str]:
        """What died or came back since the last call, one sentence each."""
        sentences = []
        for info in self._infos():
            name, pid = str(info["name"]), int(info["pid"])
            before = self._seen.get(name, 0)
            if pid and before and pid != before:
                sentences.append(f"{name} ended and was started again (pid {pid}); see {info['stdout_logfile']}")
            if pid:
                self._seen[name] = pid
        return sentences

    def stop(self) -> None:
        """Stop all; what does not end is killed. More than once is no error."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self._longest_s + 5)
        except subprocess.TimeoutExpired:
            for info in self._infos():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(info["pid"]), signal.SIGKILL)
            self._process.kill()
            self._process.wait()

    def _infos(self) -> list[dict[str, Any]]:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            with ServerProxy("http://127.0.0.1", transport=transport) as server:
                return list(server.supervisor.getAllProcessInfo())  # type: ignore[arg-type]
        except (OSError, Fault):
            return []
        finally:
            with contextlib.suppress(OSError):
                transport.close()
