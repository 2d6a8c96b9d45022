"""The hosts made of namespaces, on which other tests stand: of them nothing may ever be left."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsite.launcher import hypervisor
from tests.real.hosts.frames import BROADCAST, IPV4, Sniffer, ethernet, ping
from tests.real.hosts.ground import GATEWAY4, OUTSIDE, WIRE, WORLD4, Ground, Outside
from tests.real.hosts.place import Place, PlaceError, wait_until

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(hypervisor.obstacle()), reason=hypervisor.obstacle() or "none")]

_MAKER = """
import sys, time
from pathlib import Path
from tests.real.hosts.place import Place
place = Place("doomed", Path(sys.argv[1]))
place.start("sleep", "sleep", "1000")
print(place.pid, flush=True)
time.sleep(1000)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Place("somewhere", tmp_path, own=("/etc/libvirt",), run=("netns",)) as made:
        yield made


def test_a_place_has_a_name_a_network_processes_and_files_of_its_own(place: Place) -> None:
    assert place.run("uname", "-n").strip() == "somewhere" != os.uname().nodename
    assert place.run("ls", "/sys/class/net").split() == ["lo"]
    place.run("touch", "/etc/libvirt/own", "/run/own")
    assert not Path("/etc/libvirt/own").exists()
    assert not Path("/run/own").exists()
    assert place.path("/run/own").exists()
    assert len(place.run("ls", "/proc").split()) < len(os.listdir("/proc"))


def test_named_namespaces_are_a_places_own(place: Place) -> None:
    place.run("ip", "netns", "add", "inner")
    assert not Path("/run/netns/inner").exists()
    place.run("ip", "link", "set", "lo", "up", within="inner")
    assert place.pings("127.0.0.1", within="inner")
    place.run("ip", "netns", "delete", "inner")


def test_programs_start_and_end_as_told(place: Place) -> None:
    place.start("sleep", "sleep", "1000")
    assert place.runs("sleep")
    assert place.end("sleep")
    assert not place.runs("sleep")
    assert not place.end("sleep")
    with pytest.raises(PlaceError, match="FileNotFoundError"):
        place.start("nonsense", "no-such-program")


def test_nothing_of_a_place_survives_its_maker(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _MAKER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        pid = int(maker.stdout.readline())
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert children
        maker.kill()
    for each in (str(pid), *children):
        wait_until(lambda each=each: not Path(f"/proc/{each}").exists(), f"process {each} is gone", 30)  # type: ignore[misc]


def test_places_meet_on_underlay_and_wire_and_take_their_devices_along(tmp_path: Path) -> None:
    for name in ("ground", "outside", "host"):
        (tmp_path / name).mkdir()
    before = set(os.listdir("/sys/class/net"))
    with Ground(tmp_path / "ground", "test00") as ground, Outside(tmp_path / "outside", ground) as outside, Place("host", tmp_path / "host") as host:
        ground.plug(host, number=11)
        assert host.pings(ground.underlay(OUTSIDE))
        assert host.pings(ground.control)
        assert outside.pings(ground.underlay6(11))
        assert host.pings(WORLD4)
        with Sniffer(host, "eth1") as nic, Sniffer(ground, WIRE) as wire, outside.raw("eth1") as port:
            body = ping(GATEWAY4, "203.0.113.9", b"tagged")
            for tag in (None, 42):
                port.send(ethernet("02:00:00:00:00:99", BROADCAST, IPV4, body, tag=tag))
            for place in (nic, wire):
                wait_until(lambda place=place: len(tags(place, body)) == 2, "both are heard", 30)  # type: ignore[misc]
                assert tags(place, body) == [None, 42]
    wait_until(lambda: set(os.listdir("/sys/class/net")) <= before, "no device is left", 30)


def tags(sniffer: Sniffer, body: bytes) -> list[int | None]:
    return [frame.tag for frame in sniffer.heard() if frame.body == body]
