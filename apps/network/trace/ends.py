"""Both ends of the way: the port, and the host that it is on. Pure."""

from apps.network.states import DeviceKind
from apps.network.trace.facts import Facts, Hop, Host, Port

ASK = "Ask the operator."


def host_label(facts: Facts, host: Host | None) -> str:
    return f"host {host.name}" if host is not None and facts.hosts_shown else "its host"


def port_hop(facts: Facts, port: Port, end: str) -> Hop:
    """Is it there, plugged in and up?"""
    if port.device_kind == DeviceKind.NONE:
        return Hop(name=end, ok=False, detail=f"{port.label} is attached to nothing.", fix="Attach it to an instance.")
    if port.device_kind != DeviceKind.INSTANCE:
        stands_for = port.device_kind.replace("_", " ")
        return Hop(
            name=end, ok=False, detail=f"{port.label} only holds an address of a {stands_for}; no guest is plugged in there.",
            fix="Name the port of an instance.",
        )
    if port.host is None:
        return Hop(
            name=end, ok=False, detail=f"The instance of {port.label} is on no host.",
            fix="See the instance's operations for why it was not placed.",
        )
    if not port.up:
        return Hop(
            name=end, ok=False, detail=f"{port.label} is administratively down: it gets and sends nothing.",
            fix="Set admin_up of the port.",
        )
    where = f" on host {port.host.name}" if facts.hosts_shown else ""
    addresses = ", ".join(each.address for each in port.addresses) or "no address"
    return Hop(name=end, ok=True, detail=f"{port.label} in network {port.network.name} is up{where}: {addresses}.")


def host_hop(facts: Facts, port: Port, end: str) -> Hop | None:
    """Has the host brought about what the database says? None where the port is on no host."""
    host, name = port.host, f"{end}.host"
    if host is None:
        return None
    label = host_label(facts, host).capitalize()
    look = f"See `manage.py network_hosts`, and the agent's log on {host.name}." if facts.hosts_shown else ASK
    if not host.speaks:
        fix = f"Update the agent on {host.name}." if facts.hosts_shown else ASK
        return Hop(name=name, ok=False, detail=f"{label} has not said that it understands networks: nothing is set up there.", fix=fix)
    for about in (port.id, port.network.id, *_routers(port)):
        if about in host.problems:
            said = f": {host.problems[about]}" if facts.hosts_shown else "."
            return Hop(name=name, ok=False, detail=f"{label} could not bring about all that this port needs{said}", fix=look)
    if not host.up:
        return Hop(
            name=name, ok=None, detail=f"{label} is not heard of: its guests may run on, but it learns of no change.", fix=look
        )
    if host.applied < host.told:
        behind = f"has applied generation {host.applied} of {host.told}" if facts.hosts_shown else "has not applied all changes yet"
        return Hop(name=name, ok=None, detail=f"{label} {behind}.", fix=f"Wait a few seconds, then: {look}")
    if "" in host.problems:
        said = f": {host.problems['']}" if facts.hosts_shown else "."
        return Hop(name=name, ok=None, detail=f"{label} has a problem with its networking{said}", fix=look)
    return Hop(name=name, ok=True, detail=f"{label} has applied everything that it was told.")


def _routers(port: Port) -> set[str]:
    return {each.subnet.router.id for each in port.addresses if each.subnet.router is not None}
