"""The edge of a real installation: HTTPS by the web process itself, limits, and passwords that stay out of all logs."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from cloudsite import tls
from cloudsite.launcher.servers import wait_until
from cloudsite.launcher.stack import Stack
from cloudsite.launcher.web import Client, Refused
from tests.support import certificates
from tests.support.postgres import PrivatePostgres

PASSWORDS = ("hunter2-broker", "hunter2-database")


class Broker(NamedTuple):
    """A Redis that wants a password."""

    url: str
    server: "subprocess.Popen[bytes]"


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    folder = Path(tempfile.mkdtemp(prefix="cs-redis-"))
    # By configuration and not as an argument: command lines are everybody's to read.
    (folder / "redis.conf").write_text(f"port 0\nunixsocket {folder / 'redis.sock'}\nsave ''\nrequirepass {PASSWORDS[0]}\n")
    server = subprocess.Popen(["redis-server", str(folder / "redis.conf")], stdout=subprocess.DEVNULL)
    wait_until((folder / "redis.sock").exists, "Redis does not answer", 60)
    yield Broker(f"redis+socket://:{PASSWORDS[0]}@{folder / 'redis.sock'}", server)
    server.kill()
    server.wait()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, broker: Broker, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """With HTTPS, a broker and (unless the tests run on SQLite) a database with a password, and one limit within reach."""
    folder = tmp_path_factory.mktemp("edge")
    certificate, key = certificates.make(folder)
    secret = folder / "broker-url"
    secret.write_text(broker.url)
    env = {
        "CLOUDSITE_TLS_CERTIFICATE": str(certificate), "CLOUDSITE_TLS_KEY": str(key),
        "CLOUDSITE_BROKER_URL_FILE": str(secret), "CLOUDSITE_RATE_SIGN_IN": "5", "CLOUDSITE_LOG_LEVEL": "DEBUG",
    }
    postgres: PrivatePostgres | None = None
    if not request.config.getoption("--sqlite"):
        postgres = request.getfixturevalue("postgres")
        name = f"edge{os.getpid()}"
        subprocess.run(["createdb", "--host", str(postgres.folder), "--username", "cloudsite", name], check=True)
        env["CLOUDSITE_DATABASE_URL"] = f"postgresql://cloudsite:{PASSWORDS[1]}@/{name}?host={postgres.folder}"
    with Stack(folder / "var", simulated_hosts=1, env=env, flower=True) as running:
        yield running


def connected(stack: Stack) -> http.client.HTTPSConnection:
    parts = urlsplit(stack.url)
    return http.client.HTTPSConnection(
        str(parts.hostname), parts.port, timeout=60, context=tls.trust(stack.settings.tls_certificate)
    )


def test_it_speaks_https_only_and_says_so_to_browsers(stack: Stack) -> None:
    with closing(connected(stack)) as web:
        web.request("GET", "/healthz")
        answer = web.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"status": "ok"}')
        assert answer.headers["Strict-Transport-Security"] == "max-age=2592000"
        web.request("GET", "/admin/login/")
        page = web.getresponse()
        page.read()
        cookie = page.headers["Set-Cookie"]
        assert cookie.startswith("__Host-csrf=") and "Secure" in cookie and "Path=/" in cookie and "Domain" not in cookie
    parts = urlsplit(stack.url)
    with closing(http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)) as plain, pytest.raises((OSError, http.client.HTTPException)):
        plain.request("GET", "/healthz")
        plain.getresponse()


def test_the_whole_system_works_over_it(stack: Stack) -> None:
    client = Client(stack.url, stack.token, certificate=stack.settings.tls_certificate)
    assert client.get("flavors")["items"]
    with pytest.raises(OSError, match="certificate verify failed"):
        Client(stack.url, stack.token).get("flavors")
    found = {finding["check"]: finding["verdict"] for finding in json.loads(stack.manage("doctor", "--json").stdout)}
    assert (found["web"], found["broker"]) == ("ok", "ok") and not {"certificate", "transport"} & set(found)


def test_headers_that_are_too_large_are_refused_by_the_web_server(stack: Stack) -> None:
    parts = urlsplit(stack.url)
    for request in (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX-A: " + b"a" * 70_000 + b"\r\n"):
        raw = socket.create_connection((str(parts.hostname), parts.port), 60)
        with tls.trust(stack.settings.tls_certificate).wrap_socket(raw, server_hostname="cloud.example") as web:
            web.sendall(request + b"Host: 127.0.0.1\r\n\r\n")
            assert web.recv(100).startswith(b"HTTP/1.1 431")


def test_guessing_is_slowed_down(stack: Stack) -> None:
    client = Client(stack.url, "", certificate=stack.settings.tls_certificate)
    began = time.monotonic()
    statuses: list[int] = []
    while 429 not in statuses:
        with pytest.raises(Refused) as caught:
            client.post("tokens", {"username": "admin", "password": "guess"})
        statuses.append(caught.value.status)
        # The allowance refills in a minute, also while a busy machine takes its time to refuse.
        assert len(statuses) <= 6 + (time.monotonic() - began) * 5 / 60
    assert len(statuses) > 5


def test_no_password_is_in_any_log_or_command_line_also_when_servers_are_away(stack: Stack, broker: Broker) -> None:
    assert b"CLOUDSITE_DATABASE_URL" not in Path(f"/proc/{stack.pid('agent')}/environ").read_bytes()
    lines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in stack.pids().values())
    said = lines.decode() + stack.manage("doctor").stdout
    broker.server.kill()
    logs = stack.var / "log"
    wait_until(lambda: "onnect" in (logs / "conductor.log").read_text(), "nobody has noticed", 90)
    for name in ("doctor", "operation_list"):
        done = stack.manage(name)
        said += done.stdout + done.stderr
    for path in sorted(logs.iterdir()):
        said += path.read_text(errors="replace")
    assert len(said) > 1000
    for password in PASSWORDS:
        at = said.find(password)
        assert at < 0, said[max(0, at - 300) : at + 100]

