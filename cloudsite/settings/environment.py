"""All that an operator can set: one typed field per `CLOUDSITE_*` variable, checked once, refused with a sentence.

The tables in docs/settings.md are made from these fields by `manage.py settings_table`.
"""

import dataclasses
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent.parent
PREFIX = "CLOUDSITE_"
# A port up to 65535, behind an address or a name; IPv6 in brackets.
_LISTEN = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])"


class SettingError(Exception):
    """A `CLOUDSITE_*` variable has a value that cannot be used; the text names it and what was expected."""


def _option(default: Any, doc: str, **limits: Any) -> Any:
    return field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Typed settings. Paths are absolute; durations are seconds."""

    var: Path = _option(BASE_DIR / "var", "Folder of all state: database, secrets, logs, sockets, images.")
    run: Path = _option(Path(), "Folder of sockets and pid files; empty: `<var>/run`.")
    secrets: Path = _option(Path(), "Folder of keys and passwords, mode 0700; empty: `<var>/secrets`.")
    debug: bool = _option(False, "Django's debug mode; never on a machine that others can reach.")
    database_url: str = _option(
        "", "`postgresql://user:password@host/name` or `sqlite:///path`; empty: SQLite in `<var>`.",
        schemes=("postgresql", "postgres", "sqlite"),
    )
    broker_url: str = _option(
        "", "`redis://`, `redis+socket://` or `amqp://` (RabbitMQ); empty: the private Redis in `<run>`.",
        schemes=("redis", "rediss", "redis+socket", "amqp", "amqps"),
    )
    listen: str = _option("127.0.0.1:8600", "Address and port of the web process.", pattern=_LISTEN, form="127.0.0.1:8600")
    flower_listen: str = _option("127.0.0.1:8655", "Address and port of Flower.", pattern=_LISTEN, form="127.0.0.1:8655")
    public_url: str = _option("", "How users and hosts reach the API; empty: `http://<listen>`.", schemes=("http", "https"))
    allowed_hosts: tuple[str, ...] = _option(("localhost", "127.0.0.1", "[::1]"), "Host names that the web process answers to.")
    driver: str = _option(
        "auto", "Hypervisor driver of the local host.", choices=("auto", "libvirt", "simulated")
    )
    bridge: str = _option("br-cloudsite", "Open vSwitch integration bridge of the local host; `make up` makes a name of its own out of `<var>` unless this is set.", pattern=r"[a-z][a-z0-9-]{0,14}", form="br-cloudsite")
    network_cidr: str = _option("10.64.0.0/20", "IPv4 range of a project's first network.", cidr=True)
    host_name: str = _option("", "Name of the local host; empty: this machine's host name.", pattern=r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}|", form="node-1.example")
    web_threads: int = _option(8, "Requests that one web process handles at once.", least=1, most=128)
    web_workers: int = _option(1, "Web processes.", least=1, most=64)
    host_silent_s: float = _option(60.0, "A host that is silent for so long is down.", least=2, most=3600)
    place_timeout_s: float = _option(60.0, "An instance that has no host after so long fails.", least=1, most=3600)
    build_timeout_s: float = _option(600.0, "A build that has not ended after so long is looked into.", least=1, most=86400)
    power_timeout_s: float = _option(120.0, "The same for start, stop and reboot.", least=1, most=86400)
    delete_timeout_s: float = _option(120.0, "The same for delete.", least=1, most=86400)
    observe_timeout_s: float = _option(20.0, "How long a host may take to say what is true.", least=1, most=3600)
    resend_s: float = _option(5.0, "A message unanswered for so long is sent again (then after twice as long …).", least=0.2, most=600)
    token_hours: int = _option(24, "Life of a bearer token.", least=1, most=8760)
    max_body_mb: int = _option(2, "Largest request body, MiB; image uploads have their own limit.", least=1, most=1024)
    max_image_gb: int = _option(50, "Largest image, GiB.", least=1, most=10240)
    max_batch: int = _option(500, "Most instances in one request.", least=1, most=10000)
    events_days: int = _option(30, "How long closed operations, their events and decisions are kept.", least=1, most=3650)
    log_level: str = _option("INFO", "Log level.", choices=("DEBUG", "INFO", "WARNING", "ERROR"))


def load(source: Mapping[str, str] = os.environ) -> Environment:
    """Read and check all `CLOUDSITE_*` variables. Raises SettingError with one sentence for the first bad one."""
    known = {PREFIX + f.name.upper(): f for f in dataclasses.fields(Environment)}
    for name in sorted(source):
        if name.startswith(PREFIX) and name not in known:
            raise SettingError(f"{name} is not a setting of Cloudsite; see docs/settings.md for those that are.")
    values = {f.name: _parse(name, f, source[name].strip()) for name, f in known.items() if source.get(name, "").strip()}
    env = Environment(**values)
    run = env.run if env.run != Path() else _short_run_dir(env.var)
    return dataclasses.replace(
        env,
        run=run,
        secrets=env.secrets if env.secrets != Path() else env.var / "secrets",
        database_url=env.database_url or f"sqlite:///{env.var / 'cloudsite.sqlite3'}",
        broker_url=env.broker_url or f"redis+socket://{run / 'redis.sock'}",
        public_url=(env.public_url or local_url(env.listen)).rstrip("/"),
    )


def local_url(listen: str) -> str:
    """How this very machine reaches what listens there; an address that stands for all others is none to go to."""
    host, _, port = listen.rpartition(":")
    return f"http://{ {'0.0.0.0': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"


def _short_run_dir(var: Path) -> Path:
    """`<var>/run`, unless sockets there would be longer than the 107 bytes that the kernel takes."""
    if len(str(var)) <= 70:
        return var / "run"
    import hashlib

    return Path("/tmp") / f"cloudsite-{os.getuid()}-{hashlib.sha256(str(var).encode()).hexdigest()[:10]}"


def _parse(name: str, spec: "dataclasses.Field[Any]", text: str) -> Any:
    kind, meta = spec.type, spec.metadata
    if kind is Path:
        return Path(text).expanduser().resolve()
    if kind is bool:
        if text.lower() not in ("0", "1", "true", "false", "yes", "no", "on", "off"):
            raise SettingError(f"{name}={text!r}: expected yes or no.")
        return text.lower() in ("1", "true", "yes", "on")
    if kind in (int, float):
        return _number(name, spec, text)
    if kind == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if "choices" in meta and text not in meta["choices"]:
        raise SettingError(f"{name}={text!r}: expected one of {', '.join(meta['choices'])}.")
    if "schemes" in meta and _scheme(text) not in meta["schemes"]:
        raise SettingError(f"{name}: expected an address that begins with {', '.join(s + '://' for s in meta['schemes'])}.")
    if "pattern" in meta and not re.fullmatch(meta["pattern"], text):
        raise SettingError(f"{name}={text!r}: expected something like {meta['form']}.")
    if "cidr" in meta:
        return _network(name, text)
    return text


def _scheme(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port  # looks at it only when asked
    except ValueError:  # brackets that do not close, a port that is no number
        return ""
    return parts.scheme


def _number(name: str, spec: "dataclasses.Field[Any]", text: str) -> int | float:
    least, most = spec.metadata["least"], spec.metadata["most"]
    what = "a whole number" if spec.type is int else "a number"
    try:
        value: int | float = int(text) if spec.type is int else float(text)
    except ValueError:
        raise SettingError(f"{name}={text!r}: expected {what} from {least} to {most}.") from None
    if not least <= value <= most:
        raise SettingError(f"{name}={text}: expected {what} from {least} to {most}.")
    return value


def _network(name: str, text: str) -> str:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise SettingError(f"{name}={text!r}: expected an IPv4 network such as 10.64.0.0/20 ({error}).") from None
    if not 8 <= network.prefixlen <= 28:
        raise SettingError(f"{name}={text!r}: expected a prefix length from 8 to 28.")
    return str(network)
