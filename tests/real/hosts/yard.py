"""A whole cloud on one machine: a real control plane, and hosts made of namespaces with real guests on them.

    with Yard(folder, demo) as yard:
        project = yard.project("one")
        guest = project.boot("a", host=yard.hosts[0])
        guest.shell("ping -c 1 192.0.2.1")

Nothing of it survives `close`, nor the death of this process: hosts end with the pipe that they take orders from, the
control plane's processes with the thread that started them, and devices with their namespaces.
"""

import contextlib
import json
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from apps.images.demo import DemoImage
from cloudsite.launcher.daemons import share_kvm
from cloudsite.launcher.stack import Stack
from cloudsite.settings.environment import BASE_DIR
from tests.real.hosts.ground import Ground, Outside
from tests.real.hosts.host import PHYSICAL, WIRE_BRIDGE, WIRE_NIC, Host
from tests.real.hosts.place import PlaceError, wait_until
from tests.real.hosts.project import Project
from tests.scenarios.yard import PASSWORD, Client


class Yard:
    """`hosts`; `outside`: the world; `ground`: underlay and wire; `stack`: the control plane; `operator`: its API."""

    def __init__(
        self, folder: Path, demo: DemoImage, *, hosts: int = 3, database: Literal["sqlite", "postgresql"] = "sqlite",
        cache: Path | None = None,
    ) -> None:
        """`cache`: kept between runs, so that libvirt need not learn QEMU's abilities anew."""
        self.folder, self._demo, self._count, self._database, self._cache = folder, demo, hosts, database, cache
        self.hosts: list[Host] = []
        self._services: Services | None = None
        self._projects: dict[str, Project] = {}
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Twice is no error."""
        self._closing.close()

    def _start(self) -> None:
        # QEMU, which does not run as root, must manage below.
        self.folder.chmod(0o711)
        share_kvm()
        self._make_places()
        self.stack = Stack(
            self.folder / "control", database=self._database, cache=self._demo.disk.parent,
            env={"CLOUDSITE_LISTEN": f"{self.ground.control}:8600", "CLOUDSITE_NETWORK_CIDR": "10.64.0.0/20"},
        )
        self._closing.callback(self.stack.stop)
        with ThreadPoolExecutor() as pool:
            daemons = [pool.submit(host.start_daemons, self._cache) for host in self.hosts]
            self.stack.start()
            image = pool.submit(self.stack.prepare_demo_image)
            self._services = Services(self.stack.env, self.folder / "services.log")
            self._closing.callback(self._services.close)
            for each in daemons:
                each.result()
            image.result()
        self.operator = Client(self.stack.url, self.stack.token)
        self._enrol()
        wait_until(self._all_up, "all hosts are up", 120)

    def _make_places(self) -> None:
        short = uuid.uuid4().hex[:6]
        for name in ("ground", "outside"):
            (self.folder / name).mkdir()
        self.ground = self._closing.enter_context(Ground(self.folder / "ground", short))
        self.outside = self._closing.enter_context(Outside(self.folder / "outside", self.ground))
        for number in range(1, self._count + 1):
            name, at = f"{short}-{number}", 10 + number
            host = self._closing.enter_context(Host(name, self.folder / name, self.ground.underlay(at)))
            self.ground.plug(host, number=at)
            self.hosts.append(host)

    def _enrol(self) -> None:
        for number, host in enumerate(self.hosts):
            # Every other one is left to find out by itself where its tunnels end.
            tunnel = {"tunnel_address": host.address} if number % 2 == 0 else {}
            self.stack.order(
                "enrol_hosts", names=[host.name], zone=host.name, config=str(host.config), state_dir=".", driver="libvirt",
                bridge="br-int", emulate=True, heartbeat_s=2.0, observation_s=10.0,
                physical={PHYSICAL: {"bridge": WIRE_BRIDGE, "interface": WIRE_NIC}}, **tunnel,
            )
            host.start_agent(self.stack.env)

    def _all_up(self) -> bool:
        return bool(self.stack.order("hosts_up", names=[host.name for host in self.hosts]) == len(self.hosts))

    # --- what to ask of it ----------------------------------------------------------------------------------------

    def call(self, service: str, *, by: Project | None = None, **arguments: Any) -> Any:
        """Call a service or selector, `apps.network.services.networks:create`, as a project's user or as the system."""
        assert self._services is not None
        return self._services.call(service, [by.user_id, by.id] if by else [], arguments)

    def rows(self, model: str, **where: Any) -> list[dict[str, Any]]:
        """Rows of a table of networks, as they are now."""
        assert self._services is not None
        return list(self._services.call(f"apps.network.models:{model}", [], where))

    def project(self, name: str) -> Project:
        """A project with a user of its own who is a member there; made when first asked for."""
        if name not in self._projects:
            user = self.operator("POST", "users", {"username": f"{name}-user", "password": PASSWORD})
            project = self.operator("POST", "projects", {"name": name})
            self.operator("POST", "role-assignments", {"role": "member", "user_id": user["id"], "project_id": project["id"]})
            made = self.operator("POST", "tokens", {"username": f"{name}-user", "password": PASSWORD, "project": project["id"]})
            client = Client(self.stack.url, str(made["secret"]))
            self._projects[name] = Project(self, name, str(project["id"]), str(user["id"]), client)
        return self._projects[name]

    def told(self, host: Host) -> str:
        """When a host last said how far its networks are."""
        return str(self._network_of(host)["applied_at"])

    def wait_told(self, host: Host, *, since: str, within_s: float = 90.0) -> None:
        """Until a host has said once more, after `since`, that it has all that it was sent. Raises PlaceError."""

        def has_all() -> bool:
            row = self._network_of(host)
            return bool(str(row["applied_at"]) != since and row["applied"] == row["generation"] and not row["problems"])

        wait_until(has_all, f"{host.name} has all that it was sent", within_s)

    def _network_of(self, host: Host) -> dict[str, Any]:
        return next(row for row in self.rows("HostNetwork") if row["host_name"] == host.name)

    def host_named(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)


class Services:
    """A process with Django in it, see `inside`."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._asking = threading.Lock()
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.real.hosts.inside"], cwd=BASE_DIR, env=dict(environment), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, start_new_session=True,
            )
        self._log = log

    def call(self, service: str, actor: list[str], arguments: dict[str, Any]) -> Any:
        """Raises ServiceRefused with a CloudError's code, or PlaceError."""
        assert self._process.stdin and self._process.stdout
        with self._asking:
            self._process.stdin.write(json.dumps({"call": service, "as": actor, "with": arguments}, default=str) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise PlaceError(f"{service}: {self._log.read_text()[-3000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise ServiceRefused(f"{service}: {answer['error']} ({answer['code'] or self._log})", answer["code"])
        return answer["done"]

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class ServiceRefused(PlaceError):
    """`code`: a CloudError's."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


