"""What a host says of itself, unasked, version 1."""

import msgspec

from contracts.compute import v1 as compute
from contracts.compute.v3 import CachedImage


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """First message after an agent's start.

    `speaks`: the command topics it understands. `inventory`: totals by resource class (VCPU, MEMORY_MB, DISK_GB). `traits`: what
    it can do, by names of the field (HW_CPU_X86_AVX2) or of ours (CUSTOM_…); names that the control plane does not know are
    dropped there.
    `unfinished`: operation ids that were begun and not ended when the agent last stopped. `started_at`, Unix seconds: what
    changed after this moment may be missing from `domains`. `repeated`: said again by an agent that has said it before, in
    case it was lost; only the first one means that commands may have been forgotten. `tunnel_address`: where other hosts
    reach it with VXLAN. `physical_networks`: names of the wires that it is plugged into. `network_generation`: of the
    desired network state that it has. `images`: what its cache holds; None: its agent does not say.
    """

    agent_version: str
    hypervisor: str
    speaks: list[str]
    inventory: dict[str, int]
    traits: list[str] = []
    unfinished: list[str] = []
    domains: list[compute.Domain] = []
    started_at: float = 0.0
    repeated: bool = False
    tunnel_address: str = ""
    physical_networks: list[str] = []
    network_generation: int = 0
    images: list[CachedImage] | None = None


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """I am alive; every 10 seconds. `hypervisor_ok` is false when the hypervisor does not answer its agent. `load_percent`: of
    all processors, over the last minute; more than 100 where work waits for one."""

    running_operations: int = 0
    network_generation: int = 0
    hypervisor_ok: bool = True
    hypervisor_error: str = ""
    load_percent: int = 0


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of ours that is on the host. Domains of other owners are not listed.

    `started_at`, Unix seconds: what changed after this moment may be missing from the lists. `images`: as in `Hello`.
    """

    started_at: float
    domains: list[compute.Domain]
    images: list[CachedImage] | None = None
