"""S3 as a client of little weight speaks it: requests signed by botocore before the clock runs, sent by http.client."""

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cloudsite.launcher.stack import Stack

REGION = "us-east-1"
PIECE_BYTES = 1024**2


@dataclass(frozen=True)
class Access:
    """An S3 server, and a key to it."""

    url: str
    key: str
    secret: str

    def boto3(self) -> Any:
        """boto3 as it is by default, but that it tries once."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3", endpoint_url=self.url, region_name=REGION, aws_access_key_id=self.key, aws_secret_access_key=self.secret,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )


def access_to(stack: Stack) -> Access:
    """A new key of the operator's, without limits of a quota."""
    stack.manage("quota_set", "--default", "object_bytes=-1", "buckets=-1", check=True)
    made = json.loads(stack.manage("access_key_create", "admin", "--project", "demo", "--json", check=True).stdout)
    return Access(stack.s3_url, made["access"], made["secret"])


@dataclass(frozen=True)
class Prepared:
    """A request whose signature is made; it is good for fifteen minutes."""

    method: str
    target: str
    headers: dict[str, str]


class Client:
    """Talks to one server, S3 or not; a kept connection for each thread, so that only the answer is timed."""

    def __init__(self, url: str, access: Access | None = None) -> None:
        parts = urlsplit(url)
        self._url, self._place, self._own = url.rstrip("/"), (parts.hostname or "", parts.port), threading.local()
        self._signer = _Unsigned(Credentials(access.key, access.secret), "s3", REGION) if access else None

    def prepare(self, method: str, target: str) -> Prepared:
        """`target`: path and query, as they are sent."""
        request = AWSRequest(method, self._url + target)
        if self._signer is not None:
            self._signer.add_auth(request)
        return Prepared(method, target, {name: str(value) for name, value in request.headers.items()})

    def ask(self, prepared: Prepared, body: bytes | None = None) -> bytes:
        """The content of the answer; an assertion unless it went well."""
        connection = self._connection()
        connection.request(prepared.method, prepared.target, body, prepared.headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 300, f"{prepared.method} {prepared.target}: {answer.status} {content[:300]!r}"
        return content

    def send_file(self, prepared: Prepared, path: Path) -> None:
        """The request with a file as its body, which the kernel sends."""
        connection = self._connection()
        with path.open("rb") as file:
            connection.putrequest(prepared.method, prepared.target)
            for name, value in {**prepared.headers, "Content-Length": str(path.stat().st_size)}.items():
                connection.putheader(name, value)
            connection.endheaders()
            assert connection.sock is not None
            connection.sock.sendfile(file)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 300, f"{prepared.method} {prepared.target}: {answer.status} {content[:300]!r}"

    def receive(self, prepared: Prepared, take: Callable[[memoryview], object]) -> int:
        """Hands the answer's content on in pieces; how many bytes there were."""
        connection, buffer, received = self._connection(), memoryview(bytearray(PIECE_BYTES)), 0
        connection.request(prepared.method, prepared.target, headers=prepared.headers)
        answer = connection.getresponse()
        assert answer.status < 300, f"{prepared.method} {prepared.target}: {answer.status}"
        while size := answer.readinto(buffer):
            take(buffer[:size])
            received += size
        return received

    def close(self) -> None:
        """This thread's connection: servers do not keep idle ones for ever."""
        if hasattr(self._own, "connection"):
            self._own.connection.close()
            del self._own.connection

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(*self._place, timeout=120)
        connection: http.client.HTTPConnection = self._own.connection
        return connection


class _Unsigned(S3SigV4Auth):
    """Signs all but the content."""

    def payload(self, request: Any) -> str:
        return "UNSIGNED-PAYLOAD"
