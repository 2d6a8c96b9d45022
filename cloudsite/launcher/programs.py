"""The processes of an installation as data: the Procfile's lines with the surroundings that they need."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cloudsite import tls
from cloudsite.settings.environment import BASE_DIR, FROM_FILE, PREFIX, Environment

PROCFILE = BASE_DIR / "Procfile"
# In this order they start, and in the opposite order they stop.
CONTROL_PLANE = ("web", "scheduler", "conductor", "ticker")
S3 = "s3"
IMAGES = "worker-images"
# Where it says whether it can work; no bucket has such a name.
S3_READY = "/-/readyz"
AGENT = "agent"
FLOWER = "flower"


class LaunchError(Exception):
    """Something cannot be started; the text says what, why, and what to do about it."""


@dataclass(frozen=True)
class Program:
    """One long-running process. `command` is a line for /bin/sh that ends in `exec …`, so that its pid is the program's.

    `environment` is complete, nothing is inherited. `stop_wait_s`: how long it may take to end before it is killed.
    `server`: others need it (broker, database), so it starts before them and stops after them.
    """

    name: str
    command: str
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    stop_signal: str = "TERM"
    stop_wait_s: float = 12.0
    server: bool = False


def procfile(path: Path = PROCFILE) -> dict[str, str]:
    """Name → command, in the file's order. Raises LaunchError for a line that is none."""
    commands = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, command = line.partition(":")
        if not colon or not command.strip():
            raise LaunchError(f"{path}: expected `name: command`, got {line!r}.")
        commands[name.strip()] = command.strip()
    return commands


def ours(env: Environment, names: tuple[str, ...], inherited: Mapping[str, str]) -> list[Program]:
    """The Procfile's programs of these names."""
    commands = procfile()
    surroundings = environment(env, inherited)
    return [Program(name, commands[name], surroundings, env.var / "log" / f"{name}.log") for name in names]


def agent_config(env: Environment) -> Path:
    """Where the local agent's configuration is."""
    return env.var / "agent" / "agent.json"


def environment(env: Environment, inherited: Mapping[str, str]) -> dict[str, str]:
    """What all our processes get: what was set, the answers that followed from it, and the Procfile's variables."""
    web_host, _, web_port = env.listen.rpartition(":")
    s3_host, _, s3_port = env.s3_listen.rpartition(":")
    return {
        # Compiling all modules anew is most of a cold start.
        **{name: value for name, value in inherited.items() if name != "PYTHONDONTWRITEBYTECODE"},
        **{name: value for name, value in explicit(env).items() if not inherited.get(name + FROM_FILE)},
        **_tls(env),
        "PATH": f"{Path(sys.executable).parent}:{inherited.get('PATH', os.defpath)}:/usr/sbin:/sbin",
        "PYTHONPATH": str(BASE_DIR),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "cloudsite.settings",
        # Threads otherwise get an arena of 64 MB each from glibc, and a buffer of 32 MB each from OpenBLAS.
        "MALLOC_ARENA_MAX": "2",
        "OPENBLAS_NUM_THREADS": "1",
        "WEB_HOST": web_host.strip("[]"),
        "WEB_PORT": web_port,
        "WEB_WORKERS": str(env.web_workers),
        "WEB_THREADS": str(env.web_threads),
        "S3_HOST": s3_host.strip("[]"),
        "S3_PORT": s3_port,
        "S3_WORKERS": str(env.s3_workers),
        "S3_THREADS": str(env.s3_threads),
        "STATIC_ROOT": str(env.var / "static"),
        "LOG_LEVEL": env.log_level.lower(),
        "AGENT_CONFIG": str(agent_config(env)),
        "FLOWER_CONFIG": str(BASE_DIR / "cloudsite" / "launcher" / "flower_config.py"),
    }


def explicit(env: Environment) -> dict[str, str]:
    """The settings that processes must agree on, spelled out, so that no process derives one differently."""
    names = (
        "var", "run", "secrets", "database_url", "broker_url", "listen", "flower_listen", "public_url", "s3_listen", "s3_url", "bridge", "driver",
    )
    return {PREFIX + name.upper(): str(getattr(env, name)) for name in names}


def _tls(env: Environment) -> dict[str, str]:
    """What granian calls its own variables."""
    if not tls.is_on(env):
        return {}
    return {
        "GRANIAN_SSL_CERTIFICATE": str(env.tls_certificate), "GRANIAN_SSL_KEYFILE": str(env.tls_key),
        "GRANIAN_SSL_PROTOCOL_MIN": "tls1.2",
    }


def port_of(address: str) -> int:
    """The port in `host:port` or in a URL."""
    return urlsplit(address if "//" in address else f"//{address}").port or 0
