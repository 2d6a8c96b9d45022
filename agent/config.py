"""What an agent must be told: one JSON file per host, written by `manage.py host_enroll`, readable by its owner only."""

import ipaddress
from pathlib import Path

import msgspec


class ConfigError(Exception):
    """The configuration file cannot be used; the message names file and field."""


class HostIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a host is: public id, name (its queues bear it) and its ed25519 private key in hex."""

    id: str
    name: str
    private_key: str


class Simulated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How simulated hosts behave. Latencies are drawn from a log-normal around `latency_ms` (0: none at all). `traits`: what
    they say they can do, such as HW_CPU_X86_AVX2; `load_percent`: how busy they say they are."""

    latency_ms: float = 0.0
    spread: float = 0.5
    failure_rate: float = 0.0
    seed: int | None = None
    vcpus: int = 32
    memory_mb: int = 131072
    disk_gb: int = 2000
    traits: list[str] = msgspec.field(default_factory=list)
    load_percent: int = 0


class Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A physical network as this host reaches it: an Open vSwitch bridge (made if it is not there) with the host's
    network device in it. `interface`: the device that the agent puts in; empty: somebody else does."""

    bridge: str
    interface: str = ""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent process. Relative paths are taken from the folder of the configuration file.

    `hosts` has one entry; more only with the simulated driver. `control_key`: ed25519 public key (hex) of the control
    plane. `bridge`: name of the Open vSwitch integration bridge. `emulate`: None means probe whether KVM works.
    `tunnel_address`: where other hosts send VXLAN to; empty: the address with which this host reaches the broker, or else
    that of its default route. `physical`: the wires it is plugged into, by the name that operators give them.
    `metadata_tokens_required`: instances read their metadata only with a session token (EC2's version 2).
    """

    hosts: list[HostIdentity]
    control_key: str
    broker_url: str
    state_dir: str
    driver: str = "libvirt"
    libvirt_uri: str = "qemu:///system"
    bridge: str = "br-cloudsite"
    emulate: bool | None = None
    ca_file: str = ""
    threads: int = 8
    heartbeat_s: float = 10.0
    observation_s: float = 120.0
    image_cache_gb: int = 20
    simulated: Simulated = msgspec.field(default_factory=Simulated)
    tunnel_address: str = ""
    vxlan_port: int = 4789
    physical: dict[str, Wire] = msgspec.field(default_factory=dict)
    metadata_tokens_required: bool = False


def load(path: Path) -> Config:
    """Read a configuration file. Raises ConfigError."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=Config)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    if config.driver not in ("libvirt", "simulated"):
        raise ConfigError(f"{path}: driver: expected libvirt or simulated, got {config.driver!r}")
    if len(config.hosts) != 1 and config.driver != "simulated":
        raise ConfigError(f"{path}: hosts: exactly one, unless the driver is simulated")
    if not config.hosts or len({host.name for host in config.hosts}) < len(config.hosts):
        raise ConfigError(f"{path}: hosts: at least one, each with a name of its own")
    if config.threads < 1:
        raise ConfigError(f"{path}: threads: at least 1")
    _check_network(path, config)
    state_dir = (path.parent / config.state_dir).resolve()
    return msgspec.structs.replace(config, state_dir=str(state_dir))


def _check_network(path: Path, config: Config) -> None:
    if not 1 <= config.vxlan_port <= 65535:
        raise ConfigError(f"{path}: vxlan_port: from 1 to 65535")
    try:
        ipaddress.ip_address(config.tunnel_address or "::")
    except ValueError as error:
        raise ConfigError(f"{path}: tunnel_address: {error}") from error
    # Linux refuses longer names of devices, and a bridge is one.
    for name, what in [("bridge", config.bridge), *((f"physical: {key}", w.bridge) for key, w in config.physical.items())]:
        if not 1 <= len(what) <= 15 or "/" in what or what.split() != [what]:
            raise ConfigError(f"{path}: {name}: {what!r} cannot be the name of a bridge (15 characters at most)")
