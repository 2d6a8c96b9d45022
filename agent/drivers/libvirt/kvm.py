"""Does KVM really work here? The device node alone does not say: nested virtualisation may open it and then crawl.

A guest of 512 bytes starts on it: a boot sector that goes through real and protected mode into long mode, as every
kernel must, prints a line and ends. With working KVM that costs QEMU a tenth of a second of processor time.
"""

import contextlib
import grp
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import structlog

DEVICE = Path("/dev/kvm")
PROBE_TIMEOUT_S = 10.0
# Processor time, because the clock on the wall also counts how busy the host is otherwise.
PROBE_CPU_S = 1.5
LINE = b"cloudsite-kvm"

# 16 bit:  cli; segments = 0; stack; clear 0x1000-0x3fff; page tables for the first 2 MiB; lgdt; CR4.PAE; CR3;
#          EFER.LME; CR0.PG|PE; far jump
# 64 bit:  each byte of the line to port 0x3f8 (the first serial port); 1 to port 0xf4 (isa-debug-exit); hlt
_BOOT_CODE = bytes.fromhex(
    "fa31c08ed88ec08ed0bc007cfcbf0010b90018f3abc70600100320c70600200330c706003083000f0116907c66b820000000"
    "0f22e066b8001000000f22d866b9800000c00f320d00010f3066b8010000800f22c0ea597c0800be717c000066baf803ac84"
    "c07403eeebf8b001e6f4f4ebfd636c6f7564736974652d6b766d0a00000000000000000000000000009a20000f00807c"
)

log = structlog.get_logger(__name__)


def works(state_dir: Path, emulator: str, qemu_version: str, owner: tuple[int, int]) -> bool:
    """The answer for this boot of the host and this QEMU; tried once and then kept in `state_dir`.

    `owner`: uid and gid that guests' QEMU runs as; KVM that only root may use is of no use.
    """
    cache = state_dir / "kvm-probe.json"
    key = {"boot_id": _boot_id(), "qemu": qemu_version, "owner": list(owner)}
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(cache.read_text())
        if all(kept.get(name) == value for name, value in key.items()):
            return bool(kept["works"])
    verdict, reason = probe(emulator, owner)
    log.info("kvm.probe", works=verdict, reason=reason)
    temporary = cache.with_suffix(".new")
    temporary.write_text(json.dumps({**key, "works": verdict, "reason": reason}))
    temporary.replace(cache)
    return verdict


def probe(emulator: str, owner: tuple[int, int]) -> tuple[bool, str]:
    """Start the probe guest; whether KVM counts, and why (not)."""
    if not DEVICE.exists():
        return False, f"{DEVICE} is absent"
    if os.uname().machine != "x86_64":
        return False, "no probe guest for this architecture: say `emulate: false` if KVM works"
    with tempfile.NamedTemporaryFile(prefix="cloudsite-kvm-") as sector:
        sector.write(_BOOT_CODE.ljust(510, b"\0") + b"\x55\xaa")
        sector.flush()
        os.fchmod(sector.fileno(), 0o644)
        return _run(_command(emulator, sector.name), owner)


def _command(emulator: str, sector: str) -> list[str]:
    return [
        emulator,
        *("-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc,accel=kvm", "-cpu", "host"),
        *("-m", "16", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4"),
        *("-drive", f"file={sector},if=ide,format=raw,snapshot=on"),
    ]


def _run(command: list[str], owner: tuple[int, int]) -> tuple[bool, str]:
    uid, gid = owner
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=uid,
            group=gid,
            extra_groups=_groups(gid),
            cwd="/",
        )
        cpu_s = _cpu_time_until_end(process, began + PROBE_TIMEOUT_S)
        output.seek(0)
        text = output.read()
    if cpu_s is None:
        return False, f"the probe guest did not end within {PROBE_TIMEOUT_S:g} s"
    if LINE not in text:
        return False, f"the probe guest did not start: {text.decode(errors='replace').strip()[-200:]}"
    if cpu_s > PROBE_CPU_S:
        return False, f"the probe guest took {cpu_s:.1f} s of processor time"
    return True, f"the probe guest ran in {time.monotonic() - began:.2f} s"


def _cpu_time_until_end(process: subprocess.Popen[bytes], until: float) -> float | None:
    """Seconds of processor time that it used; None when it had to be killed."""
    killed = False
    while True:
        pid, status, usage = os.wait4(process.pid, 0 if killed else os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return None if killed else usage.ru_utime + usage.ru_stime
        if time.monotonic() > until:
            process.kill()
            killed = True
        else:
            time.sleep(0.01)


def _groups(gid: int) -> list[int]:
    with contextlib.suppress(KeyError):
        return sorted({gid, grp.getgrnam("kvm").gr_gid})
    return [gid]


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
