"""What a tenant does: boots guests, makes networks, opens ports."""

import base64
import itertools
import math
import re
import time
from typing import TYPE_CHECKING, Any

from tests.real.hosts.console import Shell
from tests.real.hosts.host import Host
from tests.real.hosts.place import PlaceError, wait_until
from tests.real.hosts.sender import program
from tests.scenarios.yard import Client, Refused

if TYPE_CHECKING:
    from tests.real.hosts.yard import Yard

_NETWORK = "apps.network.services"


class Project:
    """`api`: as its member over HTTP; `call`: services as that member, for what the API has not."""

    def __init__(self, yard: "Yard", name: str, project_id: str, user_id: str, api: Client) -> None:
        self.yard, self.name, self.id, self.user_id, self.api = yard, name, project_id, user_id, api

    def call(self, service: str, **arguments: Any) -> Any:
        """`networks:create` of the services of networks."""
        return self.yard.call(f"{_NETWORK}.{service}", by=self, **arguments)

    def default_network(self) -> dict[str, Any]:
        """Its fields; `router_id` among them."""
        return dict(self.call("defaults:ensure"))

    def network(self, name: str, *, router: str | None = None, subnets: tuple[dict[str, Any], ...] = (), **more: Any) -> dict[str, Any]:
        """A network with subnets, each attached to the router."""
        made = self.call("networks:create", name=name, **more)
        for wanted in subnets:
            subnet = self.call("subnets:create", network_id=made["id"], **wanted)
            if router:
                self.call("routers:attach", router_id=router, subnet_id=subnet["id"])
        return dict(made)

    def group(self, name: str) -> str:
        """Id of a new security group."""
        return str(self.call("groups:create", name=name)["id"])

    def allow(self, group: str, **rule: Any) -> str:
        """A rule for what comes in; its id."""
        return str(self.call("groups:add_rule", group_id=group, direction="ingress", **rule)["id"])

    def rules(self, group: str) -> list[dict[str, Any]]:
        return list(self.yard.rows("Rule", group_id=group))

    def groups_of(self, port: str) -> list[str]:
        return [str(row["group_id"]) for row in self.yard.rows("PortGroup", port_id=port)]

    def forbid(self, rule: str) -> None:
        self.call("groups:delete_rule", rule_id=rule)

    def boot(
        self, name: str, *, host: Host, network: str | None = None, address: str = "", script: str = "", **more: Any
    ) -> "Guest":
        """Ask for a guest, in the default network and with any address unless told; it is built while others are."""
        body: dict[str, Any] = {"name": name, "flavor": "tiny", "image": "demo-direct", "zone": host.name, **more}
        if address:
            body["networks"] = [{"network_id": network, "address": address}]
        elif network is not None:
            body["network_id"] = network
        if script:
            body["user_data"] = base64.b64encode(f"#!/bin/sh\n{script}\n".encode()).decode()
        made = self.api("POST", "instances", body)
        return Guest(self, host, name, str(made["instance"]["id"]), str(made["operation"]["id"]))


class Guest:
    """An instance of the demo image. `shell`: runs commands in it."""

    def __init__(self, project: Project, host: Host, name: str, instance_id: str, operation_id: str) -> None:
        self.project, self.host, self.name, self.id = project, host, name, instance_id
        self._operation = operation_id
        self.shell = Shell(host, instance_id)
        self._has_sender = False

    def ready(self, timeout_s: float = 240.0) -> "Guest":
        """Once it is active and says that it is ready. Raises PlaceError with what happened instead."""
        self._follow(timeout_s)
        wait_until(lambda: "cloudsite: ready" in self.console(), f"{self.name} says ready", timeout_s, every_s=0.2)
        return self

    def facts(self) -> dict[str, Any]:
        return dict(self.project.api("GET", f"instances/{self.id}"))

    def addresses(self) -> list[str]:
        return [str(each["address"]) for each in self.facts()["addresses"]]

    def address(self, family: int = 4) -> str:
        return next(each for each in self.addresses() if (":" in each) == (family == 6))

    def port(self) -> str:
        return str(self.facts()["addresses"][0]["port_id"])

    def mac(self) -> str:
        return str(self.facts()["addresses"][0]["mac"])

    def tap(self) -> str:
        return f"tap{self.port()[-11:]}"

    def console(self) -> str:
        """From the host's own file, so that asking costs the control plane nothing."""
        path = self.host.folder / "agent" / "instances" / self.id / "console.log"
        return path.read_text(errors="replace").replace("\r", "") if path.exists() else ""

    def pings(self, address: str, *, timeout_s: int = 1) -> bool:
        """Is one echo request answered?"""
        return self.shell.succeeds(f"ping -c 1 -W {timeout_s} {address}")

    def comes_to_ping(self, address: str, within_s: float = 60.0) -> float:
        """Seconds until an echo request was answered. Raises PlaceError."""
        return wait_until(lambda: self.pings(address), f"{self.name} pings {address}", within_s)

    def pinging(self, address: str, *, count: int, interval_s: float) -> "Pings":
        """Begin to ping; goes on while other things are done in the guest."""
        return Pings(self, address, count, interval_s)

    def serve(self, port: int) -> None:
        """Give back what is sent to a TCP port, for many callers."""
        self.offer(port, "cat")

    def offer(self, port: int, program: str) -> None:
        """Run a program for each who calls a TCP port; returns when somebody listens there."""
        listens = f"grep -q ':{port:04X} 0*:0000 0A' /proc/net/tcp /proc/net/tcp6 2>/dev/null"
        self.shell(f"nc -ll -p {port} -e {program} >/dev/null 2>&1 & until {listens}; do sleep 0.1; done")

    def reaches(self, address: str, port: int, *, timeout_s: float = 0.4) -> bool:
        """Is a TCP connection accepted?"""
        return self.shell.succeeds(f"timeout {timeout_s} nc {address} {port}")

    def comes_to_reach(self, address: str, port: int, within_s: float = 60.0) -> float:
        """Seconds until a TCP connection was accepted; it has longer each time, as a busy machine may need. Raises PlaceError."""
        patience = itertools.chain([0.4, 0.4, 0.4, 0.8, 1.6], itertools.repeat(3))
        return wait_until(lambda: self.reaches(address, port, timeout_s=next(patience)), f"{self.name} reaches port {port}", within_s, every_s=0.01)

    def groups(self) -> list[str]:
        """Ids of the security groups of its port."""
        return self.project.groups_of(self.port())

    def set_groups(self, *groups: str) -> None:
        self.project.call("groups:set_of_port", port_id=self.port(), group_ids=list(groups))

    def send(self, *frames: bytes) -> None:
        """Send frames as they are, out of the first card."""
        if not self._has_sender:
            self.shell(f"echo {program().hex()} | xxd -r -p >/bin/frame && chmod 755 /bin/frame")
            self._has_sender = True
        for frame in frames:
            self.shell(f"echo {frame.hex()} | xxd -r -p | frame")

    def attach(self, network: str) -> str:
        """Plug in one more card while it runs; the id of its port."""
        made = self.project.api("POST", f"instances/{self.id}/interfaces?wait=30", {"network_id": network})
        self._operation = str(made["operation"]["id"])
        self._follow(120)
        return next(str(each["port_id"]) for each in self.facts()["addresses"] if each["network_id"] == network)

    def detach(self, port: str) -> None:
        made = self.project.api("DELETE", f"instances/{self.id}/interfaces/{port}?wait=30")
        self._operation = str(made["operation"]["id"])
        self._follow(120)

    def ask_to_go(self) -> None:
        """Deleted soon; twice is no error."""
        self.shell.close()
        try:
            self.project.api("DELETE", f"instances/{self.id}")
        except Refused as refused:
            if refused.status not in (404, 409):
                raise

    def delete(self) -> None:
        self.ask_to_go()
        wait_until(self._gone, f"{self.name} is gone", 120)

    def _gone(self) -> bool:
        try:
            self.facts()
        except Refused as refused:
            return refused.status == 404
        return False

    def _follow(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        while (operation := self.project.api("GET", f"operations/{self._operation}"))["state"] != "succeeded":
            if operation["state"] in ("failed", "cancelled") or time.monotonic() > until:
                told = "\n".join(f"  {e['source']} {e['name']} {e['detail']}" for e in operation.get("events", []))
                raise PlaceError(f"{self.name}: {operation['state']}: {operation.get('error')}\n{told}")
            time.sleep(0.1)


class Pings:
    """One run of ping in a guest."""

    _numbers = itertools.count(1)

    def __init__(self, guest: Guest, address: str, count: int, interval_s: float) -> None:
        # Some more than are counted: ping ends soon after its last one, on a busy machine before the answers to the last few.
        sent = count + math.ceil(3 / interval_s)
        self._guest, self._count, self._s = guest, count, sent * interval_s
        self._file = f"/tmp/pings-{next(self._numbers)}"
        # The number is written last, and under another name first.
        guest.shell(f"(ping -c {sent} -i {interval_s} -W 1 {address} >{self._file}.new 2>&1; mv {self._file}.new {self._file}) &")

    def lost(self) -> int:
        """How many were not answered; waits for the end."""
        wait_until(lambda: self._guest.shell.succeeds(f"test -e {self._file}"), "ping ends", self._s + 60, every_s=0.2)
        answered = {int(each) for each in re.findall(r"seq=(\d+)", self._guest.shell(f"grep -o 'seq=[0-9]*' {self._file}; true"))}
        return len(set(range(self._count)) - answered)
