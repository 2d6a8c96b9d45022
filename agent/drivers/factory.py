"""From the configuration to the hypervisor of each host."""

from pathlib import Path

from agent.config import Config
from agent.drivers.base import Hypervisor
from agent.drivers.simulated.driver import SimulatedHypervisor
from agent.drivers.simulated.store import Store


def hypervisors(config: Config) -> dict[str, Hypervisor]:
    """Host id → hypervisor. The libvirt driver is imported only here, where it is wanted.

    Raises ImportError if Python's libvirt binding is not installed, OSError if the state folder cannot be written.
    """
    if config.driver == "simulated":
        store = Store(Path(config.state_dir) / "simulated.sqlite")
        return {host.id: SimulatedHypervisor(host.id, config.simulated, store) for host in config.hosts}
    return {config.hosts[0].id: _libvirt(config)}


def _libvirt(config: Config) -> Hypervisor:
    from agent.drivers.libvirt.driver import LibvirtDriver
    from agent.drivers.openvswitch.driver import OpenvswitchNetwork
    from agent.images import ImageCache

    return LibvirtDriver(config, images=ImageCache.from_config(config), network=OpenvswitchNetwork(config))
