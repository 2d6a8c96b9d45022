"""One dnsmasq per routing domain, inside its namespace: the names of the domain's ports, and forwarding of all others.

Its files lie in a folder that anybody may enter, outside the agent's state directory: dnsmasq gives up root's rights
at its start and reads names and servers again later, which it could not below a private folder. All of them can be
made anew from the desired state, so they need not survive a reboot.
"""

import ipaddress
import os
import shutil
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from agent.drivers.command import run
from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.services import plan
from agent.drivers.openvswitch.services.inside import identity
from agent.network.desired import Desired
from contracts.network import v2 as network

CODE = "network.names"
STOP_TIMEOUT_S = 3.0
# The host's own servers; the second where the first only names a relay on the loopback address.
RESOLV_CONFS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))

log = structlog.get_logger(__name__)


class NameServer:
    """The server of one domain."""

    def __init__(self, folder: Path, namespace: str) -> None:
        """`folder`: its own, below one that anybody may pass through; `remove` removes it."""
        self._folder = folder
        self._namespace = namespace
        self._config = folder / "dnsmasq.conf"
        self._hosts = folder / "hosts"
        self._servers = folder / "servers"
        self._pid_file = folder / "pid"
        self._place = folder / "namespace"

    def ensure(self, hosts: str, servers: str) -> str:
        """Make it run and know `hosts` and `servers`; answers what had to be mended. Raises DriverError `network.names`."""
        new = not self._folder.exists()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o755)
        # Both, whichever of them changed.
        changed = [_write(self._hosts, hosts), _write(self._servers, servers)]
        restart = [_write(self._config, config_text(self._folder)), _write(self._place, str(identity(self._namespace)))]
        pid = self.pid()
        if pid is not None and not any(restart):
            if any(changed):
                _kill(pid, signal.SIGHUP)
            return ""
        self.stop()
        log.info("network.names_start", namespace=self._namespace)
        run("dnsmasq", f"--conf-file={self._config}", namespace=self._namespace, code=CODE)
        return "" if new or pid is not None else f"the name server of {self._namespace} had ended"

    def pid(self) -> int | None:
        """Process id of the running server, None when it is dead or was never started."""
        try:
            pid = int(self._pid_file.read_text())
            # Not just any process with that number, and not one that has ended and is only not yet reaped.
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if f"--conf-file={self._config}".encode() in command else None

    def stop(self) -> None:
        """End the process; fine when there is none."""
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            pid = self.pid()
            if pid is None:
                break
            _kill(pid, signal_number)
            until = time.monotonic() + STOP_TIMEOUT_S
            while self.pid() is not None and time.monotonic() < until:
                time.sleep(0.005)
        self._pid_file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def config_text(folder: Path) -> str:
    """dnsmasq's configuration; the same for every domain, so that changes need no restart."""
    lines = [
        # The gateways' devices, also those that come later.
        "bind-dynamic",
        f"interface={names.gateway('')}*",
        "except-interface=lo",
        f"pid-file={folder / 'pid'}",
        "no-hosts",
        f"addn-hosts={folder / 'hosts'}",
        "no-resolv",
        f"servers-file={folder / 'servers'}",
        "domain-needed",
        "bogus-priv",
        "cache-size=1000",
        "local-ttl=10",
    ]
    return "".join(f"{line}\n" for line in lines)


def host_lines(ports: Iterable[tuple[network.Port, str]]) -> str:
    """`address name.domain name` for every (port, its domain), wherever the port is."""
    lines = set()
    for port, domain in ports:
        name = plan.hostname(port)
        lines |= {f"{_checked(each.address)} {name}.{domain} {name}" for each in port.addresses}
    return "".join(f"{line}\n" for line in sorted(lines))


def server_lines(domains: Iterable[str], upstream: Iterable[str]) -> str:
    """The domains that nobody else is asked about, and who is asked about all others."""
    local = [f"server=/{domain}/" for domain in sorted(set(domains))]
    return "".join(f"{line}\n" for line in [*local, *(f"server={address}" for address in upstream)])


def upstream_servers(resolv_confs: Iterable[Path] = RESOLV_CONFS) -> list[str]:
    """The host's own name servers, as far as somebody else than the host can reach them."""
    for path in resolv_confs:
        with suppress(OSError):
            words = [line.split() for line in path.read_text().splitlines()]
            found = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
            if usable := [address for address in found if _is_usable(address)]:
                return usable
    return []


def by_domain(desired: Desired, links: Mapping[str, plan.Link]) -> dict[str, tuple[str, str]]:
    """Domain id → hosts and servers of its name server, for domains that have ports here."""
    served = {desired.domain_of(desired.networks[id_]) for id_ in links}
    names_of: dict[str, set[str]] = {domain: set() for domain in served}
    ports_of: dict[str, list[tuple[network.Port, str]]] = {domain: [] for domain in served}
    of_network = {net.id: (desired.domain_of(net), plan.domain_name(net)) for net in desired.networks.values()}
    for domain, name in of_network.values():
        if domain in served:
            names_of[domain].add(name)
    for port in desired.ports.values():
        domain, name = of_network.get(port.network, ("", ""))
        if domain in served:
            ports_of[domain].append((port, name))
    upstream = upstream_servers()
    made = {}
    for domain in served:
        router = desired.routers.get(domain)
        has_way_out = router is not None and router.up and router.out is not None
        servers = server_lines(names_of[domain], upstream if has_way_out else ())
        made[domain] = (host_lines(ports_of[domain]), servers)
    return made


def _checked(address: str) -> str:
    return str(ipaddress.ip_address(address))


def _is_usable(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)


def _write(path: Path, text: str) -> bool:
    """Replace a file unless it says the same already; answer whether it changed."""
    try:
        if path.read_text() == text:
            return False
    except OSError:
        pass
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.chmod(0o644)
    temporary.replace(path)
    return True


def _kill(pid: int, signal_number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal_number)
