"""From the configuration to the hypervisor of each host."""

import hashlib
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
    from agent.drivers.libvirt import record
    from agent.drivers.libvirt.driver import LibvirtDriver
    from agent.drivers.openvswitch.driver import OpenvswitchNetwork
    from agent.drivers.openvswitch.services import Services
    from agent.images import ImageCache
    from agent.metadata.tokens import kept_key

    network = OpenvswitchNetwork(config)
    driver = LibvirtDriver(config, images=ImageCache.from_config(config), network=network)
    state = Path(config.state_dir)
    digest = hashlib.blake2b(str(state).encode(), digest_size=4).hexdigest()
    network.services = Services(
        network.run_dir / f"names-{digest}",
        record.finder(driver.folders.of),
        kept_key(state / "network" / "metadata.key"),
        tokens_required=config.metadata_tokens_required,
    )
    return driver
