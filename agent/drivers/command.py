"""The one way in which drivers run other programs: bounded in time, no shell, failures as DriverError."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from agent.drivers.base import DriverError

TIMEOUT_S = 20.0
MAX_STDERR_CHARS = 400
# Locations of system programs that a service's or a cron job's PATH often lacks.
PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def run(
    *args: str | Path,
    stdin: str | None = None,
    timeout_s: float = TIMEOUT_S,
    code: str = "host.command_failed",
    namespace: str = "",
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a program and return what it wrote to standard output. `namespace`: a network namespace to run it in.

    Raises DriverError `code` when it fails, is missing or takes longer than `timeout_s` seconds (it is killed then).
    """
    command = [str(arg) for arg in args]
    if namespace:
        # Not `ip netns exec`, which also remounts /sys and takes twice the time.
        command = ["nsenter", f"--net=/run/netns/{namespace}", "--", *command]
    try:
        done = subprocess.run(
            command,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env={**os.environ, **(env or {}), "PATH": PATH, "LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DriverError(code, f"{_told(command)}: no end after {timeout_s:g} s") from error
    except OSError as error:
        raise DriverError(code, f"{_told(command)}: {error.strerror}") from error
    if done.returncode != 0:
        reason = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise DriverError(code, f"{_told(command)}: {reason[-MAX_STDERR_CHARS:]}")
    return done.stdout


def _told(command: list[str]) -> str:
    text = " ".join(command)
    return f"{text[:160]}…" if len(text) > 160 else text
