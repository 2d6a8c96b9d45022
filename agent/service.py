"""One agent process put together: everything made, started and stopped in the right order."""

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any, Final

import structlog
from celery import signals

from agent import app as celery_app
from agent import broker, heartbeat
from agent.config import Config
from agent.drivers import factory
from agent.drivers.base import DriverError
from agent.execute import Executor
from agent.journal import Journal
from agent.network.converger import Converger
from agent.network.take import Intake
from agent.network.tunnel import tunnel_address
from agent.periodic import Periodic
from agent.reporter import Outgoing, Reporter
from agent.running import Running
from agent.runtime import Agent
from agent.watchdog import CHECK_EVERY_S, Watchdog
from contracts import topics

log = structlog.get_logger(__name__)

# Commands get this long to end after SIGTERM; what has not ended then is resumed by the next start.
STOP_GRACE_S: Final = 30.0
EXIT_CUT_SHORT: Final = 75
TEND_EVERY_S: Final = 30.0


class AlreadyRunning(Exception):
    """Another agent holds the state folder; the message is for people."""


class StateLock:
    """At most one agent per state folder, held for the life of the process, also against a kill -9."""

    def __init__(self, state_dir: Path) -> None:
        """Raises AlreadyRunning, or OSError if the folder cannot be made or written."""
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = state_dir / "agent.lock"
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode().strip()
            os.close(self._file)
            raise AlreadyRunning(f"another agent (process {holder}) is using {state_dir}") from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)


class Service:
    """All parts of a running agent. `run` blocks until SIGTERM."""

    def __init__(self, config: Config, *, stop_grace_s: float = STOP_GRACE_S) -> None:
        """`stop_grace_s`: what commands get to end after SIGTERM. Raises ConfigError, OSError or sqlite3.Error."""
        self.config = config
        self._stop_grace_s = stop_grace_s
        state_dir = Path(config.state_dir)
        self.hypervisors = factory.hypervisors(config)
        self.agent = Agent.from_config(config, self.hypervisors)
        hosts = list(self.agent.hosts.values())
        self.journal = Journal(state_dir / "journal.sqlite")
        self.journal.prune()
        self.running = Running()
        self.app = celery_app.create_app(config, self.take)
        self.publisher = broker.Publisher(self.app)
        self.reporter = Reporter(self.publisher.publish, self.journal)
        self.executor = Executor(self.agent, self.journal, self.reporter, self.running, lanes=config.threads)
        # Simulated hosts are many, and forget: they ask at every start.
        kept_in = state_dir if config.driver != "simulated" else None
        self.converger = Converger(hosts, self.reporter.announce, state_dir=kept_in)
        self.network = Intake(self.agent, self.converger)
        self._messages = 0
        self._mutex = threading.Lock()
        self.observer = heartbeat.Observer(
            hosts,
            self.reporter.announce,
            self.running,
            self.journal,
            speaks=list(celery_app.OBEYED),
            observation_s=config.observation_s,
            reach=heartbeat.Reach(tunnel_address(config), sorted(config.physical)),
            generation=self.converger.generation,
        )
        self.heartbeat = heartbeat.Heartbeat(
            hosts,
            self.reporter.announce,
            self.running,
            on_hello=self.observer.repeat_hello,
            generation=self.converger.generation,
        )
        self.reporter.when_connected.append(self.observer.hello_soon)
        self.watchdog = Watchdog([queue.name for queue in broker.queues(config)], self.publisher.waiting, self._busy)
        self._threads = [
            *heartbeat.threads(self.heartbeat, self.observer, config.heartbeat_s),
            Periodic("progress", 0.5, self._progress),
            Periodic("tend", TEND_EVERY_S, self._tend),
            Periodic("watchdog", CHECK_EVERY_S, self.watchdog.check),
        ]

    def take(self, topic: str, wires: list[str]) -> None:
        """The body of every Celery task. Never raises."""
        self.watchdog.took()
        with self._mutex:
            self._messages += 1
        try:
            if topic in topics.STATES:
                self.network.take(topic, wires)
            else:
                self.executor.run(topic, wires)
        finally:
            with self._mutex:
                self._messages -= 1

    def start(self) -> None:
        """Start the background threads: heartbeats go out from now on."""
        self.reporter.start()
        self.converger.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the background threads and send what is still to be reported."""
        for thread in self._threads:
            thread.stop(timeout_s=0.5)
        self.converger.stop(timeout_s=0.5)
        self.reporter.stop()
        self.publisher.close()
        self.journal.close()

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; returns the exit code."""
        signals.worker_shutting_down.connect(self._shutting_down, weak=False)
        self.start()
        worker: Any = celery_app.create_worker(self.app, self.config)
        log.info("agent.started", hosts=len(self.agent.hosts), threads=self.config.threads, pid=os.getpid())
        worker.start()
        self.stop()
        log.info("agent.stopped", exit_code=worker.exitcode or 0)
        return int(worker.exitcode or 0)

    def _busy(self) -> bool:
        return self._messages >= self.config.threads + celery_app.SPARE_THREADS

    def _tend(self) -> None:
        for host in self.agent.hosts.values():
            try:
                host.hypervisor.tend()
            except DriverError as error:
                log.warning("tend.failed", host=host.name, code=error.code, reason=str(error))

    def _progress(self) -> None:
        due = self.running.progress_due(time.monotonic())
        if due:
            self.reporter.send([Outgoing(wire, keep=False) for wire in due])

    def _shutting_down(self, **_: object) -> None:
        """In the signal handler: bound the time that the rest may take."""
        self.watchdog.stop()
        timer = threading.Timer(self._stop_grace_s, self._cut_short)
        timer.daemon = True
        timer.start()

    def _cut_short(self) -> None:
        log.warning("agent.cut_short", under_way=len(self.running), seconds=self._stop_grace_s)
        os._exit(EXIT_CUT_SHORT)
