"""Private servers: Redis, and for tests and the benchmark PostgreSQL and RabbitMQ. Sockets or loopback only."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Protocol
from urllib.parse import quote as url_quote

from cloudsite.launcher.programs import LaunchError, Program

_POSTGRES_CONF = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 100
shared_buffers = 128MB
log_min_messages = warning
"""


class Server(Protocol):
    """Something that others need before they start."""

    name: str

    def programs(self) -> list[Program]:
        """What to run, in order; makes its files. Raises LaunchError."""

    def answers(self) -> bool:
        """Whether it can be used."""

    def complete(self) -> None:
        """What is to be done once it answers."""


class Redis:
    """A Redis without TCP port and without files: the broker is a hint, the database is the truth."""

    name = "redis"

    def __init__(self, run: Path, log: Path, environment: Mapping[str, str]) -> None:
        self._run, self._log, self._environment = run, log, environment
        self.url = f"redis+socket://{run / 'redis.sock'}"

    def programs(self) -> list[Program]:
        command = (
            f"exec {_find('redis-server', 'redis-server')} --port 0 --unixsocket {quote(str(self._run / 'redis.sock'))}"
            f" --unixsocketperm 700 --dir {quote(str(self._run))} --daemonize no --save '' --appendonly no --loglevel warning"
        )
        return [Program("redis", command, self._environment, self._log / "redis.log", stop_wait_s=5, server=True)]

    def answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(2)
                client.connect(str(self._run / "redis.sock"))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def complete(self) -> None:
        """Nothing."""


class Postgres:
    """A PostgreSQL server of its own in `folder`, reached by a Unix socket there."""

    name = "postgresql"

    def __init__(self, folder: Path, log: Path, environment: Mapping[str, str]) -> None:
        """Raises LaunchError if PostgreSQL is not installed."""
        self.folder, self._log, self._environment = folder, log, environment
        self._bin = _postgres_bin()
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.url = f"postgresql://{self.user}@{url_quote(str(folder), safe='')}/cloudsite"

    def programs(self) -> list[Program]:
        self._create()
        # A fast shutdown, which does not wait for clients, is SIGINT.
        command = f"exec {' '.join(self._become())} {self._bin}/postgres -D {self.folder / 'data'}"
        return [Program(self.name, command, self._environment, self._log / "postgresql.log", stop_signal="INT", server=True)]

    def _create(self) -> None:
        data = self.folder / "data"
        if (data / "PG_VERSION").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user)
        self._run(f"{self._bin}/initdb", "-D", str(data), "-U", self.user, "--auth=trust", "-E", "UTF8", "--locale=C", "-N")
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(_POSTGRES_CONF.format(folder=self.folder))
            # Counts statements for the benchmark; Debian has it in the server's package.
            if (self._bin.parent / "lib" / "pg_stat_statements.so").exists():
                conf.write("shared_preload_libraries = 'pg_stat_statements'\n")

    def answers(self) -> bool:
        asked = [f"{self._bin}/pg_isready", "-q", "-h", str(self.folder)]
        return subprocess.run(asked, check=False, capture_output=True).returncode == 0

    def complete(self) -> None:
        """The database, unless it is there."""
        with contextlib.suppress(LaunchError):
            self._run(f"{self._bin}/createdb", "-h", str(self.folder), "-U", self.user, "cloudsite")

    def _become(self) -> list[str]:
        # The signal at the parent's death is lost when the user changes, so it is set again behind that.
        who = ["--reuid", self.user, "--regid", self.user, "--clear-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *who, "--pdeathsig", "INT"]

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [*self._become(), *command], check=False, cwd="/", env=dict(self._environment), capture_output=True, text=True
        )
        if done.returncode:
            raise LaunchError(f"{command[0]} failed: {done.stderr.strip()}")


class RabbitMQ:
    """A RabbitMQ node of its own with its own epmd, on loopback."""

    name = "rabbitmq"

    def __init__(self, folder: Path, log: Path, environment: Mapping[str, str], *, ports: Sequence[int]) -> None:
        """`ports`: three free ones. Raises LaunchError if RabbitMQ is not installed."""
        port, dist, epmd = ports
        self._home = Path("/usr/lib/rabbitmq/bin")
        if not (self._home / "rabbitmq-server").exists():
            raise LaunchError("RabbitMQ is not installed: apt-get install rabbitmq-server")
        self.folder, self._log, self._epmd, self.port = folder, log, epmd, port
        self.url = f"amqp://guest:guest@127.0.0.1:{port}//"
        self._environment = {
            **environment,
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"cloudsite{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_BASE": str(folder),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def programs(self) -> list[Program]:
        """The node, and before it an epmd, of which Erlang would otherwise leave one behind."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "rabbitmq.conf").write_text("vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 50MB\n")
        epmd = f"exec epmd -port {self._epmd} -address 127.0.0.1"
        node = f"exec {self._home / 'rabbitmq-server'}"
        return [
            Program("epmd", epmd, self._environment, self._log / "epmd.log", stop_wait_s=2, server=True),
            Program("rabbitmq", node, self._environment, self._log / "rabbitmq.log", stop_wait_s=20, server=True),
        ]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as client:
                client.settimeout(2)
                client.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(client.recv(8))
        except OSError:
            return False

    def complete(self) -> None:
        """Nothing: there is a guest account."""


Test = Callable[[], bool]


def wait_until(true: Test, what: str, timeout_s: float, *, every_s: float = 0.05, log: Path | None = None) -> None:
    """Raises LaunchError `what` after the timeout."""
    until = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > until:
            raise LaunchError(f"{what} (waited {timeout_s:.0f} s).{log_tail(log)}")
        time.sleep(every_s)


def free_ports(count: int = 1) -> list[int]:
    """Loopback ports that nobody listens on now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def log_tail(log: Path | None, lines: int = 12) -> str:
    if log is None or not log.exists():
        return ""
    last = log.read_text(errors="replace").splitlines()[-lines:]
    return f" Last lines of {log}:\n" + "\n".join(f"    {line}" for line in last)


def _find(program: str, package: str) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise LaunchError(f"{program} is not installed: apt-get install {package}")
    return found


def _postgres_bin() -> Path:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if versions:
        return versions[-1].parent
    found = shutil.which("postgres")
    if found is None:
        raise LaunchError("PostgreSQL is not installed: apt-get install postgresql")
    return Path(found).resolve().parent
