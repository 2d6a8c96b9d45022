"""One dnsmasq per network, inside its namespace: DHCP with fixed answers only, and DNS forwarding.

Its files lie in a folder that anybody may enter, outside the agent's state directory: dnsmasq gives up root's rights
at its start and reads the host entries again later, which it could not below a private folder. All of them can be
made anew from the port records, so they need not survive a reboot.
"""

import ipaddress
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import structlog

from agent.drivers.command import run
from agent.drivers.openvswitch.namespace import GATEWAY_DEVICE, Names
from contracts.network import v1 as network

CODE = "network.dhcp"
LEASE_S = 86400
STOP_TIMEOUT_S = 3.0
RESOLV_CONF = Path("/etc/resolv.conf")

log = structlog.get_logger(__name__)


class Dnsmasq:
    """The server of one network. Used under the network's lock."""

    def __init__(self, folder: Path, network_id: str) -> None:
        """`folder`: made by the caller, passable for anybody; `remove` removes it."""
        self._folder = folder
        self._namespace = Names.of(network_id).namespace
        self._config = folder / "dnsmasq.conf"
        self._hosts = folder / "hosts"
        self._leases = folder / "leases"
        self._pid_file = folder / "pid"

    def ensure(self, net: network.Network, ports: list[network.Port]) -> None:
        """Make it run and answer exactly `ports`. Raises DriverError `network.dhcp`."""
        hosts_changed = _write(self._hosts, host_lines(ports))
        config_changed = _write(self._config, config_text(net, self._folder, upstream_servers(net)))
        if self._conflicting_leases(ports) or config_changed:
            self.stop()
            self._forget_conflicting_leases(ports)
        pid = self.pid()
        if pid is None:
            self._start()
        elif hosts_changed:
            _kill(pid, signal.SIGHUP)

    def pid(self) -> int | None:
        """Process id of the running server, None when it is dead or was never started."""
        try:
            pid = int(self._pid_file.read_text())
            # Not just any process with that number, and not one that has ended and is only not yet reaped.
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if f"--conf-file={self._config}".encode() in command else None

    def host_macs(self) -> set[str]:
        """MACs that have an entry."""
        try:
            return {line.partition(",")[0] for line in self._hosts.read_text().splitlines()}
        except OSError:
            return set()

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
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                path.unlink(missing_ok=True)
            self._folder.rmdir()

    def _start(self) -> None:
        log.info("network.dhcp_start", namespace=self._namespace)
        run("dnsmasq", f"--conf-file={self._config}", namespace=self._namespace, code=CODE)

    def _lease_lines(self) -> list[str]:
        try:
            return self._leases.read_text().splitlines()
        except OSError:
            return []

    def _conflicting_leases(self, ports: list[network.Port]) -> list[str]:
        """Leases of vanished guests that would keep a new one from its address.

        dnsmasq does not give an address away while another MAC holds a lease on it, whatever its host entries say.
        """
        by_address = {port.address: port.mac for port in ports}
        by_mac = {port.mac: port.address for port in ports}
        conflicting = []
        for line in self._lease_lines():
            _, mac, address, *_ = [*line.split(), "", "", ""]
            if by_address.get(address, mac) != mac or by_mac.get(mac, address) != address:
                conflicting.append(line)
        return conflicting

    def _forget_conflicting_leases(self, ports: list[network.Port]) -> None:
        conflicting = set(self._conflicting_leases(ports))
        if conflicting:
            kept = [line for line in self._lease_lines() if line not in conflicting]
            _write(self._leases, "".join(f"{line}\n" for line in kept))


def host_lines(ports: list[network.Port]) -> str:
    """`mac,address,name` per port; the name is made from the address, as no two ports may share one."""
    lines = sorted(f"{port.mac},{port.address},host-{port.address.replace('.', '-')}" for port in ports)
    return "".join(f"{line}\n" for line in lines)


def config_text(net: network.Network, folder: Path, upstream: list[str]) -> str:
    """dnsmasq's configuration. `upstream`: addresses of the name servers to ask."""
    cidr = ipaddress.IPv4Network(net.subnet.cidr)
    lines = [
        f"interface={GATEWAY_DEVICE}",
        "except-interface=lo",
        "bind-interfaces",
        f"pid-file={folder / 'pid'}",
        f"dhcp-range={cidr.network_address},static,{cidr.netmask},{LEASE_S}s",
        f"dhcp-hostsfile={folder / 'hosts'}",
        f"dhcp-leasefile={folder / 'leases'}",
        "dhcp-lease-max=100000",
        "dhcp-authoritative",
        "dhcp-no-override",
        # No tenant chooses its own name here: names come from the host entries only.
        "dhcp-ignore-names",
        # An option without a value keeps dnsmasq from offering itself as a router.
        f"dhcp-option=option:router,{net.subnet.gateway}" if net.nat else "dhcp-option=option:router",
        f"dhcp-option=option:dns-server,{net.subnet.gateway}",
        f"dhcp-option=option:mtu,{net.mtu}",
        "no-hosts",
        "no-resolv",
        "cache-size=1000",
        "quiet-dhcp",
        *(f"server={address}" for address in upstream),
    ]
    return "".join(f"{line}\n" for line in lines)


def upstream_servers(net: network.Network) -> list[str]:
    """The subnet's name servers, or else the host's own as far as the namespace can reach them."""
    if not net.nat:
        return []
    if net.subnet.dns:
        return list(net.subnet.dns)
    try:
        words = [line.split() for line in RESOLV_CONF.read_text().splitlines()]
    except OSError:
        return []
    found = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return [address for address in found if _is_usable(address)]


def _is_usable(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.version == 4 and not parsed.is_loopback


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
