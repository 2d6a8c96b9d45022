"""qemu-img, kept on a short leash: formats are told and never guessed, memory, time and size have limits, nothing outlives the worker.

Only for files that `inspect` has found safe: what a header could make qemu-img open is refused there.
"""

import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.common.errors import Invalid, Unavailable

# Each to each other; qemu-img calls them just so.
FORMATS = ("qcow2", "raw", "vmdk", "vdi", "vhdx")
PROGRAM = "qemu-img"
PACKAGE = "qemu-utils"
_HELPERS = ("prlimit", "setpriv", "nice", "ionice")
_PERCENT = re.compile(rb"\((\d{1,3}(?:\.\d+)?)/100%\)")
# Of its words: enough to see what it did not like.
_MOST_WORDS = 2000


@dataclass(frozen=True)
class Limits:
    """`memory_mb`: address space (qemu-img's threads reserve far more than they use); `seconds`: of the clock, and of the processor;
    `size_bytes`: of the largest file that it may write."""

    memory_mb: int
    seconds: float
    size_bytes: int


def is_installed() -> bool:
    """Whether this machine has qemu-img."""
    return shutil.which(PROGRAM) is not None


def missing() -> list[str]:
    """What this machine lacks for conversions."""
    return [name for name in (PROGRAM, *_HELPERS) if shutil.which(name) is None]


def convert(
    source: Path, source_format: str, target: Path, target_format: str, *, limits: Limits, tick: Callable[[float], None]
) -> None:
    """Write `source` as `target`, which is on the disk on return. `tick` is called with the percentage about once a second; what it
    raises ends the conversion.

    Raises Invalid `image.conversion` (qemu-img does not take the file, or not within the limits), `image.conversion_format`, Unavailable
    `image.no_qemu_img`, `image.store`.
    """
    if source_format not in FORMATS or target_format not in FORMATS:
        raise Invalid(
            "image.conversion_format", f"{source_format} cannot be converted to {target_format}; {', '.join(FORMATS)} can, to each other.",
            field="disk_format",
        )
    if lacking := missing():
        raise Unavailable("image.no_qemu_img", f"The image worker's machine has no {lacking[0]}: install {PACKAGE} and util-linux there.")
    # Absolute paths: a name with a colon would be a protocol to qemu-img.
    _run(_command(source.resolve(), source_format, target.resolve(), target_format, limits), target.parent, limits, tick)
    with target.open("rb") as file:
        # Its cache is its own affair until here.
        os.fsync(file.fileno())


def _command(source: Path, source_format: str, target: Path, target_format: str, limits: Limits) -> list[str]:
    return [
        "prlimit", f"--as={limits.memory_mb * 1024**2}", f"--cpu={max(1, int(limits.seconds))}", f"--fsize={limits.size_bytes}", "--core=0",
        "--nofile=64", "setpriv", "--pdeathsig", "KILL", "--no-new-privs", "nice", "-n", "10", "ionice", "-c", "3",
        PROGRAM, "convert", "-p", "-f", source_format, "-O", target_format, str(source), str(target),
    ]


def _run(command: Sequence[str], folder: Path, limits: Limits, tick: Callable[[float], None]) -> None:
    try:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            # None of our secrets; few arenas, so that threads do not eat up the address space.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "MALLOC_ARENA_MAX": "2"},
        )
    except OSError as error:
        raise Unavailable("image.no_qemu_img", f"{PROGRAM} cannot be started: {error.strerror}.") from error
    try:
        words = _listen(process, limits.seconds, tick)
        code = process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdout, process.stderr):
            stream.close()  # type: ignore[union-attr]
    if code:
        raise _failed(code, words, folder)


def _listen(process: "subprocess.Popen[bytes]", seconds: float, tick: Callable[[float], None]) -> str:
    """Its words on standard error. Raises what `tick` raises, and Invalid when the time is up."""
    said: dict[Any, bytes] = {process.stdout: b"", process.stderr: b""}
    open_streams, ends, percent = list(said), time.monotonic() + seconds, 0.0
    while open_streams:
        ready, _, _ = select.select(open_streams, [], [], 1.0)
        for stream in ready:
            chunk = os.read(stream.fileno(), 4096)
            if not chunk:
                open_streams.remove(stream)
            said[stream] = (said[stream] + chunk)[-_MOST_WORDS:]
        if found := _PERCENT.findall(said[process.stdout]):
            percent = min(float(found[-1]), 100.0)
        tick(percent)
        if time.monotonic() > ends:
            raise _too_long(seconds)
    return said[process.stderr].decode(errors="replace")


def _failed(code: int, words: str, folder: Path) -> Invalid | Unavailable:
    if code == -signal.SIGXCPU:
        return Invalid("image.conversion", f"{PROGRAM} needed more time of the processor than it is allowed.")
    if code == -signal.SIGXFSZ or "File too large" in words:
        return Invalid("image.too_large", "The converted image is larger than images may be.")
    if "No space left" in words:
        return Unavailable("image.store", "The image store cannot take this now: No space left on device.")
    # Paths of this machine are nobody's business outside.
    said = re.sub(r"/\S*/", "", words.replace(str(folder), "")).strip().splitlines()
    reason = said[-1][:300] if said else (f"signal {-code}" if code < 0 else f"code {code}")
    return Invalid("image.conversion", f"{PROGRAM} cannot convert this image: {reason}.", exit_code=code)


def _too_long(seconds: float) -> Invalid:
    return Invalid("image.conversion", f"The conversion took longer than {seconds:.0f} s.")
