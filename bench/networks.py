"""How quickly hosts are told of networks: 1,000 simulated hosts, 10,000 ports, 500 networks, in an installation of their own.

`python -m bench.networks` is the part that runs inside the installation's own settings: it fills the tables, measures, and
prints the figures as JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figures import Figures
from cloudsite.launcher.stack import Stack

HOSTS, NETWORKS, PORTS_EACH = 1000, 500, 20
ROUNDS = 20
_PATIENCE_S = 120.0


def measure(figures: Figures) -> None:
    """Adds the figures of telling hosts."""
    with tempfile.TemporaryDirectory(prefix="cs-bench-") as folder, Stack(
        Path(folder), database="postgresql", simulated_hosts=HOSTS, env={"CLOUDSITE_LOG_LEVEL": "WARNING"},
    ) as stack:
        told = _run(stack, "telling")
        for name in ("conductor", "ticker", "scheduler", "web"):
            stack.stop_one(name)
        computed = _run(stack, "computing")
    what = f"{HOSTS:,} hosts, {NETWORKS * PORTS_EACH:,} ports, {NETWORKS} networks"
    figures.put(f"whole state of one host among {what}, p50 ms", computed["state_p50_ms"])
    figures.put("  p95 ms", computed["state_p95_ms"])
    figures.put("  kB on the wire", computed["state_kb"])
    figures.put("one new port: its host and peers told, teller's share, p50 ms", computed["port_p50_ms"])
    figures.put(f"rule change in a group of {HOSTS:,} ports: teller's share, ms", computed["rule_ms"])
    figures.put(f"rule change in a group of {HOSTS:,} ports: applied by {HOSTS:,} hosts and reported, p50 s", told["rule_p50_s"], 2)
    figures.put("  worst of 5, s", told["rule_worst_s"], 2)
    figures.put(f"all {HOSTS:,} hosts told everything and reported, s", told["all_s"])


def _run(stack: Stack, part: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.networks", part]
    done = subprocess.run(command, env=stack.env, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class _Inside:
    """Works on the tables by their names: the bench is no part of the context that they belong to."""

    def __init__(self) -> None:
        from django.apps import apps

        self.model: Callable[[str], Any] = lambda name: apps.get_model("network", name)

    def fill(self) -> None:
        """Each network has a router to the outside and a port on each of 20 hosts; one group has a port on every host."""
        from apps.common.context import SYSTEM
        from apps.common.ids import new_id
        from apps.common.sql import insert_rows
        from apps.identity.services import projects
        from apps.network import builtin

        project = projects.ensure_project(actor=SYSTEM, name="bench-networks").pk
        hosts = list(self.model("HostNetwork").objects.order_by("host_name").values_list("pk", flat=True))
        group = self.model("SecurityGroup")(project_id=project, name="everyone")
        own = [self.model("SecurityGroup")(project_id=project, name=f"own-{n}") for n in range(NETWORKS)]
        routers = [
            self.model("Router")(project_id=project, name=f"r{n}", external_network_id=builtin.OUTSIDE_ID) for n in range(NETWORKS)
        ]
        networks = [
            self.model("Network")(project_id=project, name=f"n{n}", segment=100_000 + n, router=routers[n]) for n in range(NETWORKS)
        ]
        subnets = [
            self.model("Subnet")(
                network=networks[n], project_id=project, cidr="10.0.0.0/24", gateway="10.0.0.1", pools=[["10.0.0.2", "10.0.0.254"]]
            )
            for n in range(NETWORKS)
        ]
        ports, addresses, memberships = [], [], []
        for number in range(NETWORKS * PORTS_EACH):
            n, place = number % NETWORKS, number // NETWORKS
            host = hosts[(n * PORTS_EACH + place * 7) % len(hosts)] if number >= len(hosts) else hosts[number]
            mac = f"02:00:{number >> 24 & 255:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
            port = self.model("Port")(network=networks[n], project_id=project, mac=mac, device_id=new_id(), host_id=host, dns_name=f"vm{number}")
            ports.append(port)
            addresses.append(self.model("FixedIP")(subnet=subnets[n], port=port, address=f"10.0.0.{place + 2}"))
            memberships.append(self.model("PortGroup")(port=port, group=own[n]))
            if number < len(hosts):
                memberships.append(self.model("PortGroup")(port=port, group=group))
        rules = [_rule(self.model("Rule"), each, remote_group=each) for each in own]
        rules += [_rule(self.model("Rule"), each, direction="egress") for each in [*own, group]]
        interfaces = [self.model("RouterInterface")(router=routers[n], subnet=subnets[n]) for n in range(NETWORKS)]
        for rows in ([group, *own], routers, networks, subnets, ports, addresses, memberships, rules, interfaces):
            insert_rows(rows)
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")

    def behind(self) -> int:
        """Hosts that have not applied, or reported, what they were told."""
        from django.db.models import F, Q

        left: int = self.model("HostNetwork").objects.exclude(Q(applied=F("generation"), full_due=False)).count()
        return left + int(self.model("Change").objects.count())

    def until_all_have_it(self) -> float:
        """Seconds."""
        began = time.perf_counter()
        while self.behind():
            if time.perf_counter() - began > _PATIENCE_S:
                raise TimeoutError(f"{self.behind()} hosts are still behind")
            time.sleep(0.02)
        return time.perf_counter() - began

    def change_rule(self, last: int) -> None:
        from apps.common.context import SYSTEM
        from apps.network.services import groups

        group = self.model("SecurityGroup").objects.get(name="everyone")
        groups.add_rule(
            actor=SYSTEM, group_id=group.pk, direction="ingress", family=4, protocol="tcp", first=1, last=last, cidr="192.0.2.0/24"
        )


def _rule(model: Any, group: Any, **fields: Any) -> Any:
    return model(group=group, fingerprint=uuid.uuid4().hex, **{"direction": "ingress", "family": 4, **fields})


def telling() -> dict[str, Any]:
    """With conductor, ticker, broker and agents at work."""
    inside = _Inside()
    inside.until_all_have_it()
    inside.fill()
    inside.model("HostNetwork").objects.update(full_due=True, full_at=None)
    all_s = inside.until_all_have_it()
    taken = []
    for number in range(5):
        time.sleep(2)  # a host reports at most once a second
        began = time.perf_counter()
        inside.change_rule(1000 + number)
        inside.until_all_have_it()
        taken.append(time.perf_counter() - began)
    return {"all_s": all_s, "rule_p50_s": statistics.median(taken), "rule_worst_s": max(taken)}


def computing() -> dict[str, Any]:
    """Alone: what a teller needs from noticing to the message in the broker."""
    from apps.common import bus
    from apps.network.services import changes
    from apps.network.services.tell import tell

    inside = _Inside()
    tell()
    hosts = inside.model("HostNetwork").objects
    ids = list(hosts.values_list("pk", flat=True)[: ROUNDS + 3])
    sizes: list[int] = []
    deliver = bus._deliver

    def watched(batch: list[bus.Message]) -> None:
        sizes.extend(len(item) for message in batch for item in message.items)
        deliver(batch)

    bus._deliver = watched

    def state(number: int) -> None:
        hosts.filter(pk=ids[number]).update(full_due=True, full_at=None)

    def port(number: int) -> None:
        changes.ports([inside.model("Port").objects.filter(host_id=ids[number]).first()])

    states = _timed(tell, state)
    state_kb = statistics.median(sizes[-ROUNDS:]) / 1000
    ports = _timed(tell, port)
    inside.change_rule(2000)
    began = time.perf_counter()
    sent = tell()
    rule_ms = (time.perf_counter() - began) * 1000
    assert sent == HOSTS, sent
    return {
        "state_p50_ms": statistics.median(states), "state_p95_ms": sorted(states)[int(len(states) * 0.95)], "state_kb": state_kb,
        "port_p50_ms": statistics.median(ports), "rule_ms": rule_ms,
    }


def _timed(call: Callable[[], int], prepare: Callable[[int], None]) -> list[float]:
    """Milliseconds of each round but the first three."""
    taken = []
    for number in range(ROUNDS + 3):
        prepare(number)
        began = time.perf_counter()
        assert call() >= 1
        taken.append((time.perf_counter() - began) * 1000)
    return taken[3:]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudsite.settings")
    import django

    django.setup()
    print(json.dumps({"telling": telling, "computing": computing}[sys.argv[1]]()))
