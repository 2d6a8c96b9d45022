"""What agent tests build on: keys, commands, a pipeline without a broker, and a private Redis."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from agent.broker import BrokerDown
from agent.config import Config, HostIdentity, Simulated
from agent.drivers.simulated.driver import SimulatedHypervisor
from agent.drivers.simulated.store import Store
from agent.execute import Executor
from agent.journal import Journal
from agent.reporter import Reporter
from agent.running import Running
from agent.runtime import Agent
from contracts import topics
from contracts.compute import v1 as compute
from contracts.compute import v2 as compute2
from contracts.envelope import Envelope, Kind, Sealer, pack
from contracts.network import v2 as network
from contracts.report import Outcome, Report

ROOT = Path(__file__).resolve().parents[2]
HOST_ID = "host-1"
HOST_NAME = "node1"


def make_build(instance_id: str = "", **changes: Any) -> compute2.Build:
    """A complete build command; `changes` replace fields."""
    instance_id = instance_id or str(uuid.uuid4())
    card = network.Card(
        id=f"card-{instance_id}",
        network="net-1",
        mac="fa:16:3e:00:00:07",
        mtu=1450,
        addresses=[network.CardAddress(address="10.64.0.7", prefix_length=20, gateway="10.64.0.1")],
    )
    image = compute.Image(
        id="image-1", url="http://127.0.0.1:1/image", sha256="0" * 64, size_bytes=1, disk_format=compute.DiskFormat.RAW
    )
    command = compute2.Build(
        instance_id=instance_id,
        project_id="project-1",
        name="web-1",
        vcpus=1,
        memory_mb=128,
        disk_gb=1,
        image=image,
        cards=[card],
    )
    return msgspec.structs.replace(command, **changes)


class Control:
    """The control plane's half: signs commands, opens reports."""

    def __init__(self) -> None:
        self.sealer = Sealer.generate()
        self.host_sealer = Sealer.generate()

    def envelope(self, topic: str, body: msgspec.Struct | msgspec.Raw, **fields: Any) -> Envelope:
        fields.setdefault("host", HOST_ID)
        fields.setdefault("operation_id", str(uuid.uuid4()))
        fields.setdefault("step", "build")
        fields.setdefault("generation", 1)
        fields.setdefault("deadline", time.time() + 60)
        fields.setdefault("request_id", "req-1")
        raw = body if isinstance(body, msgspec.Raw) else pack(body)
        return Envelope(topic=topic, body=raw, **fields)

    def command(self, topic: str, body: msgspec.Struct | msgspec.Raw, **fields: Any) -> str:
        """The wire text of a command that is in order unless `fields` of the envelope say otherwise."""
        return self.sealer.seal(self.envelope(topic, body, **fields), Kind.COMMAND)

    def build(self, instance_id: str = "", **fields: Any) -> str:
        return self.command(topics.COMPUTE_BUILD, make_build(instance_id), **fields)

    def delete(self, instance_id: str, **fields: Any) -> str:
        return self.command(topics.COMPUTE_DELETE, compute2.Delete(instance_id=instance_id), **fields)

    def observe(self, instance_id: str, **fields: Any) -> str:
        return self.command(topics.COMPUTE_OBSERVE, compute.Observe(instance_id=instance_id), **fields)

    def open(self, wire: str) -> tuple[Envelope, Report]:
        """Check a report's signature and decode it."""
        envelope = self.host_sealer.public.open(wire, Kind.REPORT)
        return envelope, msgspec.json.decode(envelope.body, type=Report)


def domain(report: Report) -> compute.Domain:
    """The typed result of a build, delete, power or observe."""
    return msgspec.json.decode(report.result, type=compute.Domain)


class Pipeline:
    """Everything of an agent but Celery and its threads; `down` makes the broker refuse."""

    def __init__(self, state_dir: Path, control: Control, simulated: Simulated | None = None, lanes: int = 4) -> None:
        self.control = control
        self.state_dir = state_dir
        self.simulated = simulated or Simulated(seed=1)
        self.lanes = lanes
        self.down = False
        self.messages: list[tuple[str, list[str]]] = []
        self.open()

    def open(self) -> None:
        """Start; again after `crash` as a new process would."""
        self.journal = Journal(self.state_dir / "journal.sqlite")
        self.store = Store(self.state_dir / "simulated.sqlite")
        self.hypervisor = SimulatedHypervisor(HOST_ID, self.simulated, self.store)
        self.agent = Agent.from_config(config(self.state_dir, self.control), {HOST_ID: self.hypervisor})
        self.host = self.agent.hosts[HOST_ID]
        self.reporter = Reporter(self._publish, self.journal)
        self.running = Running()
        self.executor = Executor(self.agent, self.journal, self.reporter, self.running, lanes=self.lanes)

    def crash(self) -> None:
        """Forget what is only in memory."""
        self.journal.close()
        self.store.close()
        self.open()

    def run(self, topic: str, *wires: str) -> list[Report]:
        """Carry out one message; the reports that it led to."""
        return [report for _, report in self.run_open(topic, *wires)]

    def run_open(self, topic: str, *wires: str) -> list[tuple[Envelope, Report]]:
        before = len(self.messages)
        self.executor.run(topic, list(wires))
        return [self.control.open(wire) for _, sent in self.messages[before:] for wire in sent]

    def build(self, *wires: str) -> list[Report]:
        return self.run(topics.COMPUTE_BUILD, *wires)

    def _publish(self, topic: str, wires: list[str]) -> None:
        if self.down:
            raise BrokerDown("down")
        self.messages.append((topic, wires))


def config(state_dir: Path, control: Control, **changes: Any) -> Config:
    """The configuration of one simulated host."""
    fields: dict[str, Any] = {
        "hosts": [HostIdentity(id=HOST_ID, name=HOST_NAME, private_key=control.host_sealer.private_hex())],
        "control_key": control.sealer.public.hex(),
        "broker_url": "memory://",
        "state_dir": str(state_dir),
        "driver": "simulated",
    }
    return Config(**{**fields, **changes})


def wait_for(what: Callable[[], Any], timeout_s: float = 60.0, every_s: float = 0.02) -> Any:
    """Call until the answer is true; fails after `timeout_s` seconds."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if answer := what():
            return answer
        time.sleep(every_s)
    raise AssertionError(f"not within {timeout_s} s: {what}")


class RedisServer:
    """A private Redis on a unix socket, without persistence: killed, it has lost everything."""

    def __init__(self) -> None:
        # Not pytest's tmp_path: a socket's path must be shorter than 108 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="cs-redis-"))
        self.socket = self.folder / "redis.sock"
        self.url = f"redis+socket://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        import redis

        command = ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([*command, "--dir", str(self.folder)], stdout=subprocess.DEVNULL)
        self.client = redis.Redis(unix_socket_path=str(self.socket))

        def answers() -> bool:
            try:
                return bool(self.client.ping())
            except redis.ConnectionError:
                return False

        wait_for(answers)

    def kill(self) -> None:
        """kill -9: no goodbye, nothing saved."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Keep the connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class AgentProcess:
    """`python -m agent` as a process of its own."""

    def __init__(self, folder: Path, settings: Config, *arguments: str, python: str = sys.executable) -> None:
        self.config_file = folder / "agent.json"
        self.config_file.write_bytes(msgspec.json.encode(settings))
        self.config_file.chmod(0o600)
        self.log_file = folder / "agent.log"
        self._command = [python, "-m", "agent", "--config", str(self.config_file), *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log, env=_environment())

    def once(self) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        return self.once_with()

    def once_with(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env=_environment(),
            timeout=60,
            check=False,
        )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout_s)

    def wait(self, timeout_s: float) -> int:
        assert self._process is not None
        return self._process.wait(timeout_s)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def log(self) -> list[dict[str, Any]]:
        """The log lines that are JSON."""
        lines = self.log_file.read_text().splitlines() if self.log_file.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO")}
    return {**kept, "PYTHONPATH": str(ROOT)}


__all__ = [
    "HOST_ID",
    "HOST_NAME",
    "ROOT",
    "AgentProcess",
    "Control",
    "Outcome",
    "Pipeline",
    "RedisServer",
    "config",
    "domain",
    "make_build",
    "wait_for",
]
