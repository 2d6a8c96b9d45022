"""Real guests: from POST to the first line on the console, beside `virsh create` of the very same domain."""

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.client import Client, until
from bench.figures import Figures
from cloudsite.launcher.stack import Stack

PROMPT = "cloudsite:"
_URI = "qemu:///system"


def measure(figures: Figures, *, boots: int) -> None:
    """Boots one guest after the other through the API, then starts its domain by hand, and compares the medians."""
    with tempfile.TemporaryDirectory(prefix="cs-real-") as folder:
        Path(folder).chmod(0o711)
        with Stack(Path(folder), driver="libvirt") as stack:
            stack.prepare_demo_image()
            client = Client(stack.url, stack.token)
            body = _request(client)
            _one(stack, client, body)  # fetches the image
            pairs = [_one(stack, client, body) for _ in range(boots)]
    ours, bare = statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)
    figures.put("real guest: POST to first console line, s", ours, 2)
    figures.put("real guest: virsh create to first console line, s", bare, 2)
    figures.put("  more than virsh create, s", ours - bare, 2)


def _request(client: Client) -> dict[str, Any]:
    images = {image["name"]: image["id"] for image in client.get("/images")["items"]}
    flavors = {flavor["name"]: flavor["id"] for flavor in client.get("/flavors")["items"]}
    return {"name": "bench", "image_id": images["demo"], "flavor_id": flavors["tiny"]}


def _one(stack: Stack, client: Client, body: dict[str, Any]) -> tuple[float, float]:
    """(seconds from POST, seconds from `virsh create`) to the guest's first line of its own."""
    began = time.perf_counter()
    instance = client.post("/instances", body)["instance"]["id"]
    log = _console(stack, instance)
    until(lambda: _says_something(log, 0), timeout_s=120)
    ours = time.perf_counter() - began
    until(lambda: client.get(f"/instances/{instance}")["state"] == "ACTIVE", timeout_s=60)
    bare = _by_hand(client, instance, log)
    operation = client.delete(f"/instances/{instance}")["operation"]["id"]
    client.get(f"/operations/{operation}?wait=60")
    return ours, bare


def _by_hand(client: Client, instance: str, log: Path) -> float:
    domain = f"cs-{instance}"
    xml = _virsh("dumpxml", "--inactive", domain)
    client.get(f"/operations/{_stop(client, instance)}?wait=60")
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(xml)
        file.flush()
        written = log.stat().st_size
        began = time.perf_counter()
        _virsh("create", file.name)
        until(lambda: _says_something(log, written), timeout_s=120)
        return time.perf_counter() - began


def _stop(client: Client, instance: str) -> str:
    return str(client.post(f"/instances/{instance}/actions", {"action": "stop"})["operation"]["id"])


def _console(stack: Stack, instance: str) -> Path:
    config: dict[str, str] = json.loads((stack.var / "agent" / "agent.json").read_text())
    log: Path = stack.var / "agent" / config["state_dir"] / "instances" / instance / "console.log"
    return log.resolve()


def _says_something(log: Path, after: int) -> bool:
    if not log.exists():
        return False
    with log.open("rb") as file:
        file.seek(after)
        return PROMPT.encode() in file.read()


def _virsh(*arguments: str) -> str:
    command = ["virsh", "-q", "-c", _URI, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
