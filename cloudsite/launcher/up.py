"""`make up`: everything that is missing is made, everything runs, and it stays so until Ctrl-C."""

import dataclasses
import re
import signal
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from cloudsite import tls
from cloudsite.launcher import clouds, hypervisor, programs, servers
from cloudsite.launcher.daemons import HostDaemons
from cloudsite.launcher.guest import Guest, tail
from cloudsite.launcher.helper import Helper
from cloudsite.launcher.hypervisor import Choice
from cloudsite.launcher.lock import Lock
from cloudsite.launcher.prepare import Plan, prepare
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.screen import Screen
from cloudsite.launcher.servers import wait_until
from cloudsite.launcher.supervised import Supervised
from cloudsite.launcher.web import Client, Refused, answers_ready
from cloudsite.settings.environment import PREFIX, Environment, local_url

_LOOK_EVERY_S = 3.0


class Up:
    """One start of the installation that `env` describes."""

    def __init__(self, env: Environment, inherited: Mapping[str, str], screen: Screen) -> None:
        if PREFIX + "BRIDGE" not in inherited:
            env = dataclasses.replace(env, bridge=hypervisor.own_bridge(env.var))
        self._env, self._inherited, self._screen = env, dict(inherited), screen
        self._log = env.var / "log"
        # Ourselves we ask directly, but by the name that the world uses: the way there may lead over a proxy.
        self._url, self._name = local_url(env), urlsplit(env.public_url).netloc
        self._certificate = env.tls_certificate if tls.is_on(env) else None
        self._stop, self._staying = threading.Event(), False
        self._helper: Helper | None = None
        self._supervised: Supervised | None = None
        self._daemons: HostDaemons | None = None
        self._host, self._has_image = env.host_name or host_name(), False

    def run(self) -> int:
        """Start, stay, stop. Returns the exit code; raises LaunchError with nothing left running."""
        started = time.monotonic()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._told_to_stop)
        lock = self._begin()
        try:
            self._start()
            self._summary(time.monotonic() - started)
            self._stay()
        except Interrupted:
            pass
        finally:
            self._end()
            lock.release()
        return 0

    def _begin(self) -> Lock:
        with self._screen.step("Folders and secrets") as step:
            for folder in (self._env.var, self._env.run, self._log, self._env.var / "static", self._env.var / "agent"):
                folder.mkdir(parents=True, exist_ok=True, mode=0o755 if folder == self._env.var else 0o700)
            refuse_bad_tls(self._env)
            lock = Lock(self._env.run / "up.lock")
            self._settle_ports()
            step.result(str(self._env.var))
        return lock

    def _start(self) -> None:
        surroundings = programs.environment(self._env, self._inherited)
        self._helper = Helper(surroundings, self._log / "prepare.log")  # loads Django while we look around
        choice = self._choose()
        if choice.driver == "libvirt":
            with self._screen.step("Host daemons") as step:
                self._daemons = HostDaemons(ovs=self._env.var / "ovs", log=self._log, environment=surroundings)
                step.result(self._daemons.ensure(step.say))
        plan = Plan(
            hosts=[self._host], driver=choice.driver, config=programs.agent_config(self._env), broker_url=self._env.broker_url,
            static=True,
            cache=self._env.var / "demo-image" if choice.driver == "libvirt" else None,
            agent={"bridge": self._env.bridge},
        )
        self._has_image = prepare(self._helper, plan, self._screen)
        self._start_processes(surroundings)
        self._first_instance()

    def _choose(self) -> Choice:
        with self._screen.step("Hypervisor") as step:
            choice = hypervisor.choose(self._env)
            step.result(choice.driver + (f": {choice.reason}" if choice.reason else ""))
        return choice

    def _start_processes(self, surroundings: Mapping[str, str]) -> None:
        names = (*programs.CONTROL_PLANE, programs.S3, programs.IMAGES, programs.AGENT, programs.FLOWER)
        running = programs.ours(self._env, names, surroundings)
        if self._env.broker_url == f"redis+socket://{self._env.run / 'redis.sock'}":
            running = servers.Redis(self._env.run, self._log, surroundings).programs() + running
        self._supervised = Supervised(running, run=self._env.run, log=self._log, environment=surroundings)
        with self._screen.step("Processes") as step:
            self._supervised.start()
            self._wait(lambda: answers_ready(self._url, self._name, self._certificate), "The API does not answer", "web")
            s3 = local_url(self._env, self._env.s3_listen)
            self._wait(lambda: answers_ready(s3, "", self._certificate, programs.S3_READY), "S3 does not answer", "s3")
            step.result(", ".join(program.name for program in running))
        with self._screen.step("Agent says hello") as step:
            self._wait(self._host_is_up, f"The host {self._host} is not up", "agent")
            step.result(self._host)

    def _wait(self, true: "servers.Test", what: str, log: str) -> None:
        def look() -> bool:
            if self._supervised and not self._supervised.running():
                raise LaunchError(f"supervisord ended; see {self._log / 'supervisord.log'}")
            return true()

        wait_until(look, what, 60, every_s=0.1, log=self._log / f"{log}.log")

    def _host_is_up(self) -> bool:
        assert self._helper is not None
        return bool(self._helper.do("hosts_up", names=[self._host]))

    def _first_instance(self) -> None:
        assert self._helper is not None
        mark = self._env.var / "first-instance"
        if self._has_image and not mark.exists():
            client = Client(self._url, str(self._helper.do("token", hours=1)), host=self._name, certificate=self._certificate)
            try:
                self._boot_first(client, mark)
            except (LaunchError, Refused, OSError) as error:
                self._screen.problem(f"{error}\nThe cloud itself runs; the next start tries again.")
        self._helper.close()

    def _boot_first(self, client: Client, mark: Path) -> None:
        with self._screen.step("First instance") as step:
            guest = Guest.create(client, name="first", flavor="tiny", image="demo", say=step.say)
            mark.write_text(guest.id + "\n")
            address = guest.address()
            step.result(f"{guest.id}, {address}")
        with self._screen.step("Its console") as step:
            text = guest.wait_console((guest.id, address))
        self._screen.say(tail(text), style="cyan")

    def _summary(self, took_s: float) -> None:
        url = self._env.public_url
        self._screen.say()
        self._screen.say(f"Ready after {took_s:.1f} s. Ctrl-C stops it and leaves guests alone.", style="bold green")
        self._screen.facts(
            [
                ("API", f"{url}/api/v1/docs"),
                ("Admin", f"{url}/admin/"),
                ("S3", f"{self._env.s3_url}  (region {self._env.s3_region})"),
                ("Flower", f"http://{self._env.flower_listen}/"),
                ("User", "admin"),
                ("Password", f"in {self._env.secrets / 'admin-password'}"),
                ("Logs", f"{self._log}/"),
            ]
        )
        if (file := self._env.var / "clouds.yaml").exists():
            self._screen.say("\nOpenStack's tools find it by:")
            for line in clouds.hint(file):
                self._screen.say(f"  {line}", style="cyan")

    def _stay(self) -> None:
        assert self._supervised is not None
        self._staying = True
        while not self._stop.wait(_LOOK_EVERY_S):
            for sentence in self._supervised.changes():
                self._screen.say(f"{time.strftime('%H:%M:%S')}  {sentence}", style="yellow")
            if not self._supervised.running():
                raise LaunchError(f"supervisord ended by itself; see {self._log / 'supervisord.log'}")

    def _end(self) -> None:
        self._stop.set()
        if self._helper is not None:
            self._helper.close()
        with self._screen.step("Stop") as step:
            if self._supervised is not None:
                self._supervised.stop()
            if self._daemons is not None:
                step.result(self._daemons.release())

    def _told_to_stop(self, *_: object) -> None:
        if self._stop.is_set():
            return
        self._stop.set()
        if not self._staying:
            raise Interrupted

    def _settle_ports(self) -> None:
        refuse_taken(self._env.listen, "the API", PREFIX + "LISTEN")
        if PREFIX + "S3_LISTEN" in self._inherited:
            refuse_taken(self._env.s3_listen, "S3", PREFIX + "S3_LISTEN")
        elif not _is_free(self._env.s3_listen):
            listen = f"127.0.0.1:{servers.free_ports()[0]}"
            # A public address leads to the port that was said, and not to the one that is free.
            url = self._env.s3_url if PREFIX + "S3_URL" in self._inherited else local_url(self._env, listen)
            self._env = dataclasses.replace(self._env, s3_listen=listen, s3_url=url)
        if PREFIX + "FLOWER_LISTEN" in self._inherited:
            refuse_taken(self._env.flower_listen, "Flower", PREFIX + "FLOWER_LISTEN")
        elif not _is_free(self._env.flower_listen):
            self._env = dataclasses.replace(self._env, flower_listen=f"127.0.0.1:{servers.free_ports()[0]}")


class Interrupted(Exception):
    """Told to stop while starting."""


def host_name() -> str:
    """This machine's name, as far as it can be a host's name."""
    name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()).strip("-.")[:63]
    return name or "localhost"


def refuse_bad_tls(env: Environment) -> None:
    """Raises LaunchError with what is wrong with certificate and key, instead of a web process that dies again and again."""
    if found := list(tls.faults(env)):
        raise LaunchError("HTTPS cannot be served: " + "; ".join(found) + ".")


def refuse_taken(address: str, what: str, variable: str) -> None:
    """Raises LaunchError, with a way out, if somebody listens there."""
    if not _is_free(address):
        raise LaunchError(
            f"{address} is taken by another program, so {what} cannot listen there."
            f" Choose another port: make up {variable}=127.0.0.1:{servers.free_ports()[0]}"
        )


def _is_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError:
            return False
    return True
