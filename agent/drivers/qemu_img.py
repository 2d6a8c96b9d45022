"""qemu-img, bounded: in memory, in processor time, in what it writes, and ended when nobody wants its work any more."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.drivers.base import DriverError
from agent.drivers.command import PATH, run

# What reading and writing the formats takes; of a file made to use more, nothing is made.
MEMORY_BYTES = 1024**3
CPU_S = 4 * 3600
POLL_S = 0.1
_MAX_STDERR_CHARS = 400


def limited(*, memory_bytes: int = MEMORY_BYTES, file_bytes: int = 0) -> list[str]:
    """The words before a program's name that bound it, and have it give way to guests."""
    limits = [f"--as={memory_bytes}", f"--cpu={CPU_S}", *([f"--fsize={file_bytes}"] if file_bytes else [])]
    return ["prlimit", *limits, "--", "nice", "-n", "10"]


def measure(disk: Path, *, code: str) -> tuple[int, int]:
    """(bytes that a copy of all that is written needs, bytes at most) of a qcow2 disk with its bases, in use or not.

    Raises DriverError `code`.
    """
    told = run(*limited(), "qemu-img", "measure", "-U", "--output=json", "-f", "qcow2", "-O", "qcow2", disk, code=code, timeout_s=60.0)
    try:
        found: dict[str, Any] = json.loads(told)
        return int(found["required"]), int(found["fully-allocated"])
    except (ValueError, KeyError) as error:
        raise DriverError(code, f"qemu-img measure: {error}") from error


def create(path: Path, size_bytes: int, *, code: str) -> None:
    """An empty qcow2 file without a base. Raises DriverError `code`."""
    run(*limited(), "qemu-img", "create", "-q", "-f", "qcow2", path, str(size_bytes), code=code)


def convert(source: Path, target: Path, *, most_bytes: int, code: str, watch: Callable[[], object]) -> None:
    """Write all of a qcow2 disk with its bases as one qcow2 file that stands alone.

    `most_bytes`: the file never becomes larger. `watch` is called all the time; what it raises ends the work. Raises DriverError
    `code`, leaving what there is of `target`.
    """
    command = [
        *limited(file_bytes=most_bytes), "qemu-img", "convert", "-q", "-f", "qcow2", "-O", "qcow2",
        str(source), str(target),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
        env={**os.environ, "PATH": PATH, "LC_ALL": "C"},
    )
    try:
        while True:
            try:
                _, told = process.communicate(timeout=POLL_S)
                break
            except subprocess.TimeoutExpired:
                watch()
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode != 0:
        reason = told.strip()[-_MAX_STDERR_CHARS:] or f"exit status {process.returncode}"
        raise DriverError(code, f"qemu-img convert: {reason}")
