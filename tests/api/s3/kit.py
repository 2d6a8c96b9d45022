"""S3 in this process: boto3 whose requests go straight to the application, and plain requests beside it."""

import hmac
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from xml.etree.ElementTree import Element, fromstring

import boto3
import pytest
import urllib3
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from apis.s3.application import Application
from apis.s3.request import Stream
from apps.identity.models import Project, User
from apps.identity.services import access_keys
from tests.support.identity import make_user

REGION = "us-east-1"
HOST = "s3.test"


@dataclass(frozen=True)
class Key:
    """Whose requests it signs."""

    user: User
    access: str
    secret: str


def make_key(name: str, project: Project, role: str = "member") -> Key:
    """An access key of a user with a role in a project."""
    from tests.support.identity import actor_in

    user = make_user(name, project, role)
    made = access_keys.create(actor=actor_in(user, project))
    return Key(user, made.key.access or "", made.secret)


def streamed(
    key: Key, target: str, content: bytes, *, size: int = 65536, trailer: tuple[str, str] | None = None, signed: bool = True,
    host: str = HOST,
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a PUT in aws-chunked, chunks and trailer `signed` one by one or not at all, put together by hand: boto3 does
    not sign so, other SDKs do."""
    now = datetime.now(UTC)
    stamp, scope = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime(f"%Y%m%d/{REGION}/s3/aws4_request")
    signing = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")

    def sign(kind: str, *lines: str) -> str:
        return hmac.digest(signing, "\n".join([f"AWS4-HMAC-SHA256{kind}", stamp, scope, *lines]).encode(), "sha256").hex()

    headers = {
        "host": host, "x-amz-content-sha256": f"STREAMING-{'AWS4-HMAC-SHA256' if signed else 'UNSIGNED'}-PAYLOAD{'-TRAILER' if trailer else ''}",
        "x-amz-date": stamp, "x-amz-decoded-content-length": str(len(content)), **({"x-amz-trailer": trailer[0]} if trailer else {}),
    }
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"PUT\n{target}\n\n{lines}\n{';'.join(headers)}\n{headers['x-amz-content-sha256']}"
    last = sign("", sha256(canonical.encode()).hexdigest())
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={key.access}/{scope},SignedHeaders={';'.join(headers)},Signature={last}"
    body = b""
    for piece in (*(content[at : at + size] for at in range(0, len(content), size)), b""):
        last = sign("-PAYLOAD", last, sha256().hexdigest(), sha256(piece).hexdigest())
        body += f"{len(piece):x}{f';chunk-signature={last}' if signed else ''}\r\n".encode() + (piece + b"\r\n" if piece else b"")
    if trailer:
        body += f"{':'.join(trailer)}\r\n".encode()
        if signed:
            last = sign("-TRAILER", last, sha256(f"{':'.join(trailer)}\n".encode()).hexdigest())
            body += f"x-amz-trailer-signature:{last}\r\n".encode()
    return body + b"\r\n", {**headers, "content-encoding": "aws-chunked"}


@dataclass
class Got:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def xml(self) -> Element:
        return fromstring(self.body.replace(b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', b""))

    def refused(self, status: int, code: str) -> Element:
        """A refusal in S3's shape."""
        assert self.status == status, self.body[:500]
        assert self.headers["content-type"] == "application/xml"
        error = self.xml
        assert (error.tag, error.findtext("Code")) == ("Error", code), self.body[:500]
        assert error.findtext("Message")
        assert error.findtext("RequestId") == self.headers["x-amz-request-id"]
        return error


class Server:
    """The application, called as a WSGI server does."""

    def __init__(self) -> None:
        self._application = Application(region=REGION, domains=(HOST,), strangers=2)

    def ask(
        self, method: str, target: str, body: bytes | Stream = b"", headers: Mapping[str, str] | None = None, *, length: int | None = None,
        host: str = HOST, scheme: str = "http",
    ) -> Got:
        """`target`: path and query as they are sent. `length`: what Content-Length says, if not the truth; needed for a stream."""
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method, "PATH_INFO": unquote_to_bytes(path).decode("latin-1"), "QUERY_STRING": query, "REMOTE_ADDR": "192.0.2.7",
            "HTTP_HOST": host, "wsgi.url_scheme": scheme, "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.input": io.BytesIO(body) if isinstance(body, bytes) else body,
        }
        for name, value in (headers or {}).items():
            named = name.upper().replace("-", "_")
            environ[named if named in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{named}"] = value
        if length is None and isinstance(body, bytes) and body:
            length = len(body)
        if length is not None:
            environ["CONTENT_LENGTH"] = str(length)
        told: list[Any] = []
        answer = self._application(environ, lambda status, names, exc_info=None: told.extend((status, names)))
        content = b"".join(answer)
        close = getattr(answer, "close", None)
        if close is not None:
            close()
        got = Got(int(told[0].split()[0]), {name.lower(): value for name, value in told[1]}, content)
        if method != "HEAD" and got.status not in (204, 304):
            assert int(got.headers["content-length"]) == len(content)
        return got

    def signed(self, key: Key, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Got:
        """A request of any kind, signed."""
        request = AWSRequest(method, f"http://{HOST}{target}", headers=dict(headers or {}), data=body)
        S3SigV4Auth(Credentials(key.access, key.secret), "s3", REGION).add_auth(request)
        return self.url(method, request.url, body, {name: str(value) for name, value in request.headers.items()})

    def client(self, key: Key | None, *, https: bool = False, **config: Any) -> Any:
        """boto3 for S3. None: without signatures."""
        settings = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}, **config}
        if key is None:
            settings["signature_version"] = UNSIGNED
        client = boto3.client(
            "s3", endpoint_url=f"{'https' if https else 'http'}://{HOST}", region_name=REGION, config=Config(**settings),
            aws_access_key_id=key.access if key else None, aws_secret_access_key=key.secret if key else None,
        )
        client.meta.events.register("before-send.s3", self._send)
        return client

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        headers = {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()}
        body = request.body or b""
        if hasattr(body, "read"):
            body = body.read()
        got = self.url(request.method, request.url, bytes(body.encode() if isinstance(body, str) else body), headers)
        raw = urllib3.HTTPResponse(
            body=io.BytesIO(got.body), headers=got.headers, status=got.status, preload_content=False, decode_content=False,
            request_method=request.method,
        )
        return AWSResponse(request.url, got.status, urllib3.HTTPHeaderDict(got.headers), raw)

    def url(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Got:
        """A request by its whole address, such as a presigned one."""
        parts = urlsplit(url)
        sent = {name: value for name, value in (headers or {}).items() if name.lower() not in ("host", "content-length", "expect")}
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        return self.ask(method, target, body, sent, host=parts.netloc, scheme=parts.scheme)


def refused(code: str, status: int) -> Any:
    """`with refused("NoSuchKey", 404):` what boto3 is told."""
    return _Refused(code, status)


class _Refused:
    def __init__(self, code: str, status: int) -> None:
        self._code, self._status = code, status
        self._raises = pytest.raises(ClientError)

    def __enter__(self) -> Any:
        self._caught = self._raises.__enter__()
        return self._caught

    def __exit__(self, *args: Any) -> bool:
        done = self._raises.__exit__(*args)
        if done:
            answer = self._caught.value.response
            assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (self._code, self._status), answer
        return bool(done)


def body_of(answer: Any) -> bytes:
    """The content of what get_object returns."""
    content: bytes = answer["Body"].read()
    return content
