"""A complete private installation on free ports, for tests and the benchmark.

    with Stack(tmp_path, database="postgresql", simulated_hosts=200) as stack:
        stack.kill("conductor")
        stack.start_again("conductor")

Everything is below `var`, except sockets and the database's files, which are in a short folder below /tmp that `stop`
removes. Nothing survives `stop`, nor the death of the process that holds the Stack.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from cloudsite import tls
from cloudsite.launcher import programs, servers
from cloudsite.launcher.daemons import HostDaemons
from cloudsite.launcher.erase import purge
from cloudsite.launcher.helper import Helper
from cloudsite.launcher.hypervisor import own_bridge
from cloudsite.launcher.prepare import Plan, prepare
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.screen import Screen
from cloudsite.launcher.servers import free_ports, wait_until
from cloudsite.launcher.spawner import Spawner
from cloudsite.launcher.web import answers_ready
from cloudsite.settings.environment import BASE_DIR, PREFIX, Environment, load


class Stack:
    """Its processes: `web scheduler conductor ticker agent`, then `redis` (or `rabbitmq` and `epmd`), `postgresql`, `flower`, `s3`, `worker-images`.

    Known after `start`: `url`, `s3_url`, `token` (an operator's, in the project `demo`), `env` (what all processes have as
    environment), `hosts` (their names); after `stop`: `leftovers`, of how many guests something was left on this host.
    """

    def __init__(
        self, var: Path, *, database: Literal["sqlite", "postgresql"] = "sqlite",
        broker: Literal["redis", "rabbitmq"] = "redis", simulated_hosts: int = 0,
        driver: Literal["libvirt", "simulated"] | None = None, env: Mapping[str, str] | None = None,
        simulated: Mapping[str, Any] | None = None, restart: bool = False, flower: bool = False,
        static: bool = False, s3: bool = False, images: bool = False, screen: Screen | None = None, cache: Path | None = None, daemons: Path | None = None,
    ) -> None:
        """`driver`: one host with that driver; None: `simulated_hosts` of them in one agent, maybe none.

        `env`: further variables. `simulated`: fields of agent.config.Simulated, such as `{"latency_ms": 50}`.
        `restart`: a process that dies is started again after half a second. `static`: with what browsers need.
        `s3`: with the object store's process. `images`: with the worker that fetches and converts images.
        `screen`: shows the steps; None: silence. `cache`: where the demo image is built; simulated hosts get an empty
        file instead. `daemons`: folder of Open vSwitch's database, should it have to be started.
        """
        self.var, self.database, self.broker = var.resolve(), database, broker
        self.driver = driver or "simulated"
        self.hosts = [f"sim-{number:04d}" for number in range(1, simulated_hosts + 1)]
        if driver is not None and not self.hosts:
            self.hosts = [f"host-{hashlib.sha256(str(self.var).encode()).hexdigest()[:8]}"]
        self.token, self.leftovers = "", 0
        self._wished, self._simulated, self._flower = dict(env or {}), dict(simulated or {}), flower
        self._restart, self._static, self._screen = restart, static, screen or Screen(quiet=True)
        self._s3, self._images = s3, images
        self._cache, self._daemons_at = cache or BASE_DIR / "var" / "demo-image", daemons or BASE_DIR / "var" / "ovs"
        self._daemons: HostDaemons | None = None
        self._spawner: Spawner | None = None
        self._helper: Helper | None = None
        self._scratch = Path()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start all and wait until the API answers and every host is up. On failure all is stopped. Raises LaunchError."""
        self._scratch = Path(tempfile.mkdtemp(prefix="cs-"))
        self._scratch.chmod(0o711)
        self._spawner = Spawner(restart=self._restart)
        try:
            self._configure()
            self._start_daemons()
            self._start_servers()
            self._prepare()
            self._start_programs()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every process, remove guests and the scratch folder; `var` stays, with its logs. Twice is no error."""
        if self._helper is not None:
            self._helper.close()
            self._helper = None
        if self._spawner is not None:
            self._spawner.close()
            self._spawner = None
            shutil.rmtree(self._scratch, ignore_errors=True)
        if self._daemons is not None:
            self._purge()
            self._daemons.release()
            self._daemons = None

    def wait_ready(self, timeout_s: float = 180.0) -> None:
        """Until the API answers and every host is up. Raises LaunchError with the log's last lines."""
        log = self.var / "log"
        certificate = self.settings.tls_certificate if tls.is_on(self.settings) else None
        wait_until(lambda: answers_ready(self.url, certificate=certificate), f"{self.url} does not answer", timeout_s, log=log / "web.log")
        if self._s3:
            wait_until(
                lambda: answers_ready(self.s3_url, "", certificate, programs.S3_READY), f"{self.s3_url} does not answer", timeout_s, log=log / "s3.log"
            )
        if self.hosts:
            wait_until(self._hosts_up, "not all hosts are up", timeout_s, log=log / "agent.log")

    def pid(self, name: str) -> int:
        """Raises LaunchError if it does not run."""
        return self._running().pid(name)

    def pids(self) -> dict[str, int]:
        """Name → pid of all that run; each is the leader of its own process group."""
        return self._running().pids()

    def kill(self, name: str) -> None:
        """kill -9 of the process and its children; returns when they are dead. Redis loses its data by it."""
        self._running().kill(name)

    def start_again(self, name: str) -> int:
        """Start what was killed or stopped; its new pid. It may take a second to be ready, see `wait_ready`."""
        return self._running().start_again(name)

    def stop_one(self, name: str) -> None:
        """End one process in good order."""
        self._running().stop(name)

    def manage(self, *args: str, check: bool = False, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `manage.py args`; with `check` a failure raises CalledProcessError."""
        return subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=BASE_DIR, env=self.env, capture_output=True, text=True, check=check, timeout=timeout_s,
        )

    def prepare_demo_image(self) -> None:
        """Build and import the demo image in all its forms; done by `start` already if the driver is libvirt."""
        assert self._helper is not None
        self._helper.do("image", cache=str(self._cache))

    def order(self, order: str, /, **arguments: Any) -> Any:
        """Have one of `orders` done. Raises LaunchError."""
        assert self._helper is not None
        return self._helper.do(order, **arguments)

    def log(self, name: str) -> str:
        """What a process has written."""
        return (self.var / "log" / f"{name}.log").read_text(errors="replace")

    def _running(self) -> Spawner:
        assert self._spawner is not None, "the stack is not started"
        return self._spawner

    def _names(self) -> tuple[str, ...]:
        agent = (programs.AGENT,) if self.hosts else ()
        s3 = (programs.S3,) if self._s3 else ()
        images = (programs.IMAGES,) if self._images else ()
        return (*programs.CONTROL_PLANE, *s3, *images, *agent, *((programs.FLOWER,) if self._flower else ()))

    def _configure(self) -> None:
        for folder in (self.var, self.var / "static", self.var / "log", self._scratch / "run"):
            folder.mkdir(parents=True, exist_ok=True)
        self._inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        web, flower, s3, *ports = free_ports(6)
        given = {
            "var": self.var, "run": self._scratch / "run", "listen": f"127.0.0.1:{web}",
            "flower_listen": f"127.0.0.1:{flower}", "s3_listen": f"127.0.0.1:{s3}", "driver": self.driver, "bridge": own_bridge(self.var),
            # All that is measured and tried here comes from one address; the limits count, but out of reach.
            "rate_address": 100000, "rate_project": 100000, "rate_sign_in": 100000, "s3_rate": 100000,
        }
        self._servers: list[servers.Server] = []
        if self.database == "postgresql":
            self._servers.append(postgres := servers.Postgres(self._scratch / "pg", self.var / "log", self._inherited))
            given["database_url"] = postgres.url
        if self.broker == "rabbitmq":
            rabbit = servers.RabbitMQ(self._scratch / "mq", self.var / "log", self._inherited, ports=ports)
            self._servers.append(rabbit)
            given["broker_url"] = rabbit.url
        else:
            self._servers.append(servers.Redis(self._scratch / "run", self.var / "log", self._inherited))
        variables = {PREFIX + name.upper(): str(value) for name, value in given.items()} | self._wished
        self.settings: Environment = load(variables)
        self.env = programs.environment(self.settings, self._inherited | variables)
        self.url, self.s3_url = self.settings.public_url, self.settings.s3_url

    def _start_daemons(self) -> None:
        if self.driver == "libvirt":
            with self._screen.step("Host daemons") as step:
                self._daemons = HostDaemons(ovs=self._daemons_at, log=self.var / "log", environment=self.env)
                step.result(self._daemons.ensure(step.say))

    def _purge(self) -> None:
        """What a test has left on this host: guests, bridge."""
        config = programs.agent_config(self.settings)
        if config.exists():
            with contextlib.suppress(LaunchError):
                self.leftovers = purge(config, self.env)

    def _start_servers(self) -> None:
        for server in self._servers:
            for program in server.programs():
                self._running().start(program)
        for server in self._servers:
            wait_until(server.answers, f"{server.name} does not answer", 60, log=self.var / "log" / f"{server.name}.log")
            server.complete()

    def _start_programs(self) -> None:
        with self._screen.step("Processes") as step:
            for program in programs.ours(self.settings, self._names(), self.env):
                self._running().start(program)
            self.wait_ready()
            step.result(", ".join(self.pids()))

    def _prepare(self) -> None:
        self._helper = Helper(self.env, self.var / "log" / "prepare.log")
        plan = Plan(
            hosts=self.hosts, driver=self.driver, config=programs.agent_config(self.settings), broker_url=self.settings.broker_url,
            cache=self._cache if self.driver == "libvirt" else None, static=self._static,
            agent={"bridge": self.settings.bridge, "simulated": self._simulated},
        )
        if not prepare(self._helper, plan, self._screen):
            raise LaunchError(f"No demo image; see {self.var / 'log' / 'prepare.log'}")
        self.token = str(self._helper.do("token", hours=24, name="stack"))

    def _hosts_up(self) -> bool:
        assert self._helper is not None
        return bool(self._helper.do("hosts_up", names=self.hosts) == len(self.hosts))
