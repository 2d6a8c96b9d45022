"""Kernel settings (`sysctl net.…`) of the namespace of the thread that asks."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_FOLDER = Path("/proc/sys/net")


def put(path: str, value: str) -> bool:
    """True if it was another one before. What this kernel or namespace does not have is left out."""
    file = _FOLDER / path
    with suppress(FileNotFoundError):
        if file.read_text().strip() != value:
            file.write_text(value)
            return True
    return False


def put_all(wanted: Iterable[tuple[str, str]]) -> list[str]:
    """Those that were others before."""
    return [path for path, value in wanted if put(path, value)]


def deafen(device: str) -> None:
    """Keep the host's own IP away from what arrives on a port of the bridge; before the device is up.

    With the datapath in user space the host gets every frame of such a port, too: it would answer ARP for its own
    addresses, take up the router advertisements meant for guests, and forward what a guest sends to the device's MAC.
    """
    put(f"ipv6/conf/{device}/disable_ipv6", "1")
    put(f"ipv4/conf/{device}/arp_ignore", "8")
    put(f"ipv4/conf/{device}/forwarding", "0")
    # No route leads to guests by such a device, so that no source address is believed.
    put(f"ipv4/conf/{device}/rp_filter", "1")


def silence(device: str) -> None:
    """Keep a device from giving itself addresses; before it is up."""
    put(f"ipv6/conf/{device}/addr_gen_mode", "1")
    put(f"ipv6/conf/{device}/accept_ra", "0")
    put(f"ipv6/conf/{device}/accept_dad", "0")


def forward(*, ipv6: bool) -> None:
    """Let the host forward. Never switched off again: others on the machine may have come to rely on it."""
    put("ipv4/ip_forward", "1")
    if not ipv6 or _reads("ipv6/conf/all/forwarding") != "0":
        return
    # A host that forwards loses what routers told it, unless it is set to listen all the same.
    for folder in (_FOLDER / "ipv6/conf").iterdir():
        if folder.name != "all" and _reads(f"ipv6/conf/{folder.name}/accept_ra") == "1":
            put(f"ipv6/conf/{folder.name}/accept_ra", "2")
    put("ipv6/conf/all/forwarding", "1")


def _reads(path: str) -> str:
    try:
        return (_FOLDER / path).read_text().strip()
    except OSError:
        return ""
