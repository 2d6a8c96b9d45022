"""The doctor: what is wrong with this installation, and what to do about it. Each check is a small function."""

import dataclasses
import http.client
import ipaddress
import os
import shutil
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from apps.common import bus, clock, vault
from apps.common.logs import masked
from apps.hosts import selectors as hosts
from apps.hosts.states import HostState
from apps.identity.services import directory_health
from apps.images import conversion
from apps.network.selectors import hosts as host_networks
from apps.operations import selectors as operations
from cloudsite import tls
from cloudsite.launcher import programs
from cloudsite.settings.environment import FROM_FILE, PREFIX, local_url
from contracts import topics

Verdict = Literal["ok", "warning", "fault"]
_GIB = 1024**3
# Hosts named one by one.
_SHOWN = 5
_TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86", "libvirtd": "libvirt-daemon-system", "ovs-vsctl": "openvswitch-switch",
}


@dataclass(frozen=True)
class Finding:
    """One line: how it is, and if it is not well, the fix."""

    check: str
    verdict: Verdict
    what: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> Iterator[Finding]:
    """All checks. Those that need the database are left out while it does not answer."""
    alive = True
    for check, needs_database in CHECKS:
        if alive or not needs_database:
            for finding in _safely(check):
                alive = alive and not (finding.check == "database" and finding.verdict == "fault")
                yield finding


def _safely(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:  # the doctor must get to the end, above all in a sick installation
        name = check.__name__.strip("_").replace("_", " ")
        yield Finding(name, "fault", f"cannot be examined: {type(error).__name__}: {masked(str(error))}", "see the message")


def _database() -> Iterator[Finding]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            yield from _sqlite(cursor) if connection.vendor == "sqlite" else _postgresql(cursor)
    except Error as error:
        text = masked(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__
        yield Finding("database", "fault", f"does not answer: {text}", "start it, or correct CLOUDSITE_DATABASE_URL")


def _sqlite(cursor: Any) -> Iterator[Finding]:
    mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    immediate = settings.DATABASES["default"]["OPTIONS"].get("transaction_mode") == "IMMEDIATE"
    if mode == "wal" and immediate:
        yield Finding("database", "ok", "SQLite, write-ahead log, IMMEDIATE")
    else:
        yield Finding("database", "warning", f"SQLite with journal {mode}", "put it on a local disk: WAL does not work on network ones")


def _postgresql(cursor: Any) -> Iterator[Finding]:
    sent = time.time()
    cursor.execute("SELECT version(), extract(epoch FROM clock_timestamp())")
    version, moment = cursor.fetchone()
    yield Finding("database", "ok", str(version).split(" on ")[0])
    skew = float(moment) - (sent + time.time()) / 2
    if abs(skew) > 1:
        yield Finding("clock", "warning", f"the database's clock differs by {skew:+.1f} s", "run chrony or systemd-timesyncd on both")


def _migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        yield Finding("migrations", "fault", f"{len(missing)} not applied", "manage.py migrate")
    else:
        yield Finding("migrations", "ok", "all applied")


def _broker() -> Iterator[Finding]:
    from kombu import Connection

    address = urlsplit(settings.ENV.broker_url)
    shown = f"{address.scheme}://{address.hostname or address.path}"
    try:
        with Connection(settings.ENV.broker_url, connect_timeout=3) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=3)
    except Exception as error:  # each transport has its own
        yield Finding("broker", "fault", f"{shown} does not answer: {masked(str(error))}", "start it, or correct CLOUDSITE_BROKER_URL")
        return
    yield Finding("broker", "ok", shown)
    for queue in (topics.SCHEDULER, topics.CONDUCTOR, topics.IMAGES):
        length = bus.queue_length(queue) or 0
        if length > 1000:
            yield Finding("queues", "warning", f"{length} messages wait in {queue}", f"is the {queue} running? Start more of them")


def _secrets() -> Iterator[Finding]:
    folder: Path = settings.ENV.secrets
    files = [path for path in folder.rglob("*") if path.is_file()]
    if loose := _readable_by_others([folder, *files]):
        yield Finding("secrets", "fault", f"others can read {loose}", f"chmod -R go= {folder}")
    else:
        yield Finding("secrets", "ok", f"{len(files)} files, for their owner only")
    # Where these lie, and who must read them there, is the operator's business.
    known = {PREFIX + field.name.upper() for field in dataclasses.fields(settings.ENV)}
    named = [Path(text) for name, text in os.environ.items() if name.startswith(PREFIX) and name.endswith(FROM_FILE) and name not in known]
    if loose := _readable_by_others([path for path in named if path.is_file()]):
        yield Finding("secrets", "warning", f"others can read {loose}", f"chmod go= {loose}")


def _readable_by_others(paths: Sequence[Path]) -> str:
    return " ".join([str(path) for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077][:_SHOWN])


def _vault() -> Iterator[Finding]:
    known, total, lost = set(vault.key_ids()), 0, 0
    for column in vault.columns():
        by_key = column.by_key()
        total += sum(by_key.values())
        missing = {key: count for key, count in by_key.items() if key not in known}
        lost += sum(missing.values())
        for key, count in missing.items():
            yield Finding(
                "vault", "fault", f"{count} rows of {column.label} are sealed with the key {key}, which is not in {vault.path()}",
                "bring that file back from the backup; without it their owners make new ones",
            )
    if not lost:
        yield Finding("vault", "ok", f"{total} secrets sealed, {len(known)} keys in the ring")


def _disk() -> Iterator[Finding]:
    for path in sorted({settings.ENV.var, settings.MEDIA_ROOT}):
        present = next(each for each in (path, *path.parents) if each.exists())
        free = shutil.disk_usage(present).free / _GIB
        verdict: Verdict = "fault" if free < 1 else "warning" if free < 5 else "ok"
        yield Finding("disk", verdict, f"{free:.1f} GiB free in {path}", "" if verdict == "ok" else "delete images, or make room")
        if not os.access(present, os.W_OK):
            yield Finding("disk", "fault", f"{present} cannot be written to", "run as its owner")


def _images() -> Iterator[Finding]:
    """Of this machine; where the image worker runs on another one, it is asked there."""
    if lacking := conversion.missing():
        packages = f"apt-get install {conversion.PACKAGE} util-linux, where worker-images runs"
        yield Finding("images", "warning", f"missing: {', '.join(lacking)}: images cannot be converted", packages)
    else:
        opened = ", ".join(settings.ENV.image_import_private)
        yield Finding("images", "ok", "can be converted here" + (f"; may be imported from {opened}, too" if opened else ""))


def _ticker() -> Iterator[Finding]:
    until = operations.leases().get("sweep")
    if until is None:
        yield Finding("ticker", "fault", "has never run", "start it: `make up`, or manage.py run_ticker")
    elif until < clock.now():
        ago = (clock.now() - until).total_seconds()
        yield Finding("ticker", "fault", f"not running for {ago:.0f} s: nothing is resent, no host is found down", "start the ticker")
    else:
        yield Finding("ticker", "ok", "sweeps")


def _directory() -> Iterator[Finding]:
    for step in directory_health.examine():
        yield Finding("directory", step.verdict, step.what, step.fix)


def _work() -> Iterator[Finding]:
    late = operations.overdue_since(clock.now() - timedelta(seconds=60))
    if late:
        kinds = ", ".join(sorted({operation.kind for operation in late}))
        yield Finding("work", "fault", f"{len(late)} operations are past their deadline ({kinds})", "manage.py audit --fix")


def _hosts() -> Iterator[Finding]:
    rows = list(hosts.hosts())
    up = [row for row in rows if row.state == HostState.UP]
    if not rows:
        yield Finding("hosts", "fault", "none is enrolled", "manage.py host_enroll NAME")
        return
    yield Finding("hosts", "ok" if up else "fault", f"{len(up)} of {len(rows)} up", "" if up else "start their agents")
    away = [row for row in rows if row.state != HostState.UP]
    for row in away[:_SHOWN]:
        since = f"silent since {row.last_seen_at:%Y-%m-%d %H:%M:%S}" if row.last_seen_at else "its agent has never said hello"
        yield Finding("hosts", "warning", f"{row.name} is {row.state}: {since}", f"start the agent on {row.name}, see its log")
    if len(away) > _SHOWN:
        yield Finding("hosts", "warning", f"and {len(away) - _SHOWN} more are not up", "manage.py host_list --state down")
    for row in [row for row in up if not row.hypervisor_ok][:_SHOWN]:
        yield Finding("hosts", "fault", f"{row.name}: {row.hypervisor_error}", f"repair the hypervisor on {row.name}")
    if up and not any(row.enabled and row.hypervisor_ok for row in up):
        yield Finding("hosts", "fault", "no host takes new instances", "manage.py host_enable NAME")


def _networks() -> Iterator[Finding]:
    up = {row.pk for row in hosts.hosts() if row.state == HostState.UP}
    rows = [row for row in host_networks.in_trouble() if row.pk in up]
    if not rows:
        yield Finding("networks", "ok", "no host that is up is late or in trouble with them")
    for row in rows[:_SHOWN]:
        troubles = [each["message"] for each in (*row.problems, *row.lacking)]
        if row.is_late:
            troubles.insert(0, f"has done nothing since {row.behind_since:%Y-%m-%d %H:%M:%S} of what it was told")
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        yield Finding("networks", "warning", f"{row.host_name}: {troubles[0]}{more}", "manage.py network_hosts; docs/networks.md, At night")
    if len(rows) > _SHOWN:
        yield Finding("networks", "warning", f"and {len(rows) - _SHOWN} more hosts", "manage.py network_hosts")


def _refused() -> Iterator[Finding]:
    for code, host, count in operations.refused_since(clock.now() - timedelta(hours=1)):
        fix = "run chrony or systemd-timesyncd there" if code == "report.clock" else "manage.py host_enroll NAME --renew, if it is ours at all"
        yield Finding("reports", "warning", f"{count} refused in the last hour: {code} {host or 'of nobody we know'}", fix)


def _public() -> Iterator[Finding]:
    env = settings.ENV
    listens, public = _is_public(env.listen.rsplit(":", 1)[0]), urlsplit(env.public_url)
    outside = listens or _is_public(public.hostname or "")
    if settings.DEBUG:
        text = "debug mode is on" + (" and others can reach it: it shows settings and secrets" if outside else "")
        yield Finding("debug", "fault" if outside else "warning", text, "unset CLOUDSITE_DEBUG")
    if outside and public.scheme != "https":
        yield Finding(
            "transport", "warning", f"{env.public_url}: passwords and tokens travel in the clear",
            "see docs/operations.md, At the edge: a proxy, or CLOUDSITE_TLS_CERTIFICATE",
        )
    if public.scheme == "https" and not tls.is_on(env) and not env.trusted_proxies:
        yield Finding(
            "transport", "fault", "no proxy is trusted, so all clients have the proxy's address, and nothing is known to come by HTTPS",
            "CLOUDSITE_TRUSTED_PROXIES=<the proxy's address>",
        )
    if tls.is_on(env) and listens and not env.trusted_proxies:
        yield Finding("transport", "warning", "a few slow senders can hold all threads of the web process", "put a buffering proxy in front")
    yield from _certificate()
    if public.hostname not in settings.ALLOWED_HOSTS and "*" not in settings.ALLOWED_HOSTS:
        yield Finding(
            "addresses", "fault", f"{public.hostname} is not answered to, so hosts cannot fetch images",
            f"CLOUDSITE_ALLOWED_HOSTS={','.join([*settings.ALLOWED_HOSTS, public.hostname or ''])}",
        )


def _certificate() -> Iterator[Finding]:
    found = list(tls.faults(settings.ENV))
    for sentence in found:
        yield Finding("certificate", "fault", sentence, "correct it, then restart web")
    for sentence in [] if found else tls.warnings(settings.ENV):
        yield Finding("certificate", "warning", sentence, "renew it, then restart web")


def _web() -> Iterator[Finding]:
    address = f"{settings.ENV.public_url}/readyz"
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if tls.is_on(settings.ENV):
        handlers.append(urllib.request.HTTPSHandler(context=tls.trust(settings.ENV.tls_certificate)))
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(address, timeout=3) as answer:
            yield Finding("web", "ok" if answer.status == 200 else "warning", settings.ENV.public_url)
    except (urllib.error.URLError, OSError) as error:
        yield Finding("web", "warning", f"{address} does not answer: {error}", "start it: `make up`")


def _s3() -> Iterator[Finding]:
    yield _s3_process()
    public = urlsplit(settings.ENV.s3_url)
    if public.scheme != "https" and (_is_public(settings.ENV.s3_listen.rsplit(":", 1)[0]) or _is_public(public.hostname or "")):
        yield Finding("s3", "warning", f"{settings.ENV.s3_url}: objects travel in the clear", "see docs/operations.md, At the edge")


def _s3_process() -> Finding:
    # By the address of this machine: a proxy before it may ask for signatures that a doctor has not.
    address = f"{local_url(settings.ENV, settings.ENV.s3_listen)}{programs.S3_READY}"
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if tls.is_on(settings.ENV):
        handlers.append(urllib.request.HTTPSHandler(context=tls.trust(settings.ENV.tls_certificate)))
    log = settings.ENV.var / "log" / f"{programs.S3}.log"
    try:
        with urllib.request.build_opener(*handlers).open(address, timeout=3) as answer:
            status, headers = 200, answer.headers
    except urllib.error.HTTPError as error:
        status, headers = error.code, error.headers
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        what = f"{address} does not answer ({reason}): S3 clients and presigned addresses fail, all else goes on"
        return Finding("s3", "warning", what, f"start it: `make up`; if it ended, {log} says why")
    if "x-amz-request-id" not in headers:
        fix = f"end that, or choose another port: {PREFIX}S3_LISTEN"
        return Finding("s3", "fault", f"another program answers at {settings.ENV.s3_listen}", fix)
    if status != 200:
        return Finding("s3", "fault", f"{address} answers {status}: it runs, and cannot work", f"mostly it is the database; {log} says more")
    return Finding("s3", "ok", settings.ENV.s3_url)


def _local_host() -> Iterator[Finding]:
    """What a hypervisor on this very machine needs."""
    if settings.ENV.driver == "simulated":
        return
    verdict: Verdict = "fault" if settings.ENV.driver == "libvirt" else "warning"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = {tool: package for tool, package in _TOOLS.items() if shutil.which(tool, path=path) is None}
    if missing:
        packages = " ".join(sorted(missing.values()))
        yield Finding("local host", verdict, f"missing: {', '.join(missing)}", f"apt-get install {packages}")
    elif os.access("/dev/kvm", os.R_OK | os.W_OK):
        yield Finding("local host", "ok", "QEMU, libvirt, Open vSwitch; KVM is there (the agent probes whether it works)")
    else:
        yield Finding("local host", "ok", "QEMU, libvirt, Open vSwitch; no KVM, so guests are emulated and slow")


def _is_public(host: str) -> bool:
    name = host.strip("[]")
    try:
        return not ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name not in ("", "localhost")


# In this order; with each whether it needs the database.
CHECKS: tuple[tuple[Callable[[], Iterator[Finding]], bool], ...] = (
    (_database, False), (_migrations, True), (_broker, False), (_secrets, False), (_vault, True), (_disk, False), (_public, False),
    (_web, False), (_s3, False), (_images, False), (_ticker, True), (_directory, True), (_work, True), (_hosts, True), (_networks, True), (_refused, True), (_local_host, False),
)
