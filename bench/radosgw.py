"""Debian's radosgw on a Ceph of its own: one monitor and one disk, which is a file; no copies, no passwords between them.

It needs the packages radosgw, ceph-mon and ceph-osd; as many copies, and as little else, as Cloudsite has.
"""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path

from bench.signed import Access
from cloudsite.launcher.programs import LaunchError, Program
from cloudsite.launcher.servers import free_ports, wait_until
from cloudsite.launcher.spawner import Spawner
from cloudsite.launcher.web import answers_ready

_TOOLS = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "monmaptool", "osdmaptool")
_DISK_GIB = 20
_START_S = 90
_CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{port}]
ms bind msgr1 = false
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
run dir = {folder}
admin socket =
log file = {folder}/$name.log
crash dir = {folder}
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}
osd class dir = {libraries}/rados-classes
erasure code dir = {libraries}/ceph/erasure-code
plugin dir = {libraries}/ceph
osd objectstore = bluestore
bluestore block size = {disk_bytes}
osd memory target = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
debug rgw = 0
"""


def missing() -> list[str]:
    """Programs that it needs and that are not on the path."""
    return [name for name in _TOOLS if shutil.which(name) is None]


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Access]:
    """Until the end of the block; all of it is in a new `folder`. Raises LaunchError."""
    for each in (folder, folder / "mon", folder / "osd"):
        each.mkdir()
    port, web = free_ports(2)
    monitor, environment = _configured(folder, port)
    spawner = Spawner()
    try:
        _run(environment, folder, "ceph-mon", "-i", "a", "--mkfs", "--monmap", monitor, "--osdmap", "osdmap")
        _start(spawner, folder, environment, "ceph-mon -i a -f", server=True)
        _run(environment, folder, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", str(uuid.uuid4()))
        _start(spawner, folder, environment, "ceph-osd -i 0 -f", server=True)
        # It waits for the two, and makes the first pools.
        made = json.loads(_run(environment, folder, "radosgw-admin", "user", "create", "--uid=bench", "--display-name=bench"))
        _start(spawner, folder, environment, f'radosgw -n client.rgw -f --rgw-frontends "beast endpoint=127.0.0.1:{web} tcp_nodelay=1"', server=False)
        url = f"http://127.0.0.1:{web}"
        wait_until(lambda: answers_ready(url, "", None, "/"), f"radosgw does not answer at {url}", _START_S, log=folder / "client.rgw.log")
        yield Access(url, made["keys"][0]["access_key"], made["keys"][0]["secret_key"])
    finally:
        spawner.close()


def _configured(folder: Path, port: int) -> tuple[str, dict[str, str]]:
    """Its files; the name of the monitor's map, and the environment in which all are called."""
    program = Path(shutil.which("radosgw") or "")
    libraries, fsid = program.parent.parent / "lib" / str(sysconfig.get_config_var("MULTIARCH")), str(uuid.uuid4())
    (folder / "ceph.conf").write_text(
        _CONFIGURATION.format(fsid=fsid, port=port, folder=folder, libraries=libraries, disk_bytes=_DISK_GIB * 1024**3)
    )
    environment = {**os.environ, "CEPH_CONF": str(folder / "ceph.conf")}
    _run(environment, folder, "monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{port}]", "monmap")
    _run(environment, folder, "osdmaptool", "--createsimple", "1", "osdmap")
    return "monmap", environment


def _run(environment: dict[str, str], folder: Path, *command: str) -> str:
    """What it says. Raises LaunchError."""
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_START_S, check=False)
    except subprocess.TimeoutExpired:
        raise LaunchError(f"{shlex.join(command)} did not end within {_START_S} s.") from None
    if done.returncode != 0:
        raise LaunchError(f"{shlex.join(command)}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _start(spawner: Spawner, folder: Path, environment: dict[str, str], command: str, *, server: bool) -> None:
    name = command.split(maxsplit=1)[0]
    spawner.start(Program(name, f"exec {command}", environment, folder / f"{name}.out", server=server))
