"""The S3 process as it really runs: over HTTP, by boto3, with memory watched and connections that break off."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from cloudsite.launcher.servers import wait_until
from cloudsite.launcher.stack import Stack
from tests.api.s3.kit import Key, streamed

MIB = 1024**2


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    database = "sqlite" if request.config.getoption("--sqlite") else "postgresql"
    with Stack(tmp_path_factory.mktemp("s3"), database=database, s3=True) as running:  # type: ignore[arg-type]
        running.manage("quota_set", "--default", "object_bytes=-1", "buckets=-1", check=True)
        yield running


@pytest.fixture(scope="module")
def s3(stack: Stack) -> Any:
    key = json.loads(stack.manage("access_key_create", "admin", "--project", "demo", "--json", check=True).stdout)
    return boto3.client(
        "s3", endpoint_url=stack.s3_url, region_name="us-east-1", aws_access_key_id=key["access"], aws_secret_access_key=key["secret"],
        config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@pytest.fixture(scope="module")
def bucket(s3: Any) -> str:
    s3.create_bucket(Bucket="real-bucket")
    return "real-bucket"


def resident_mb(stack: Stack) -> float:
    """Of the server and its workers."""
    pids = [str(stack.pid("s3"))]
    for pid in pids:
        pids += Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return sum(int(line.split()[1]) for line in lines) / 1024


def test_objects_travel_over_http_whatever_their_names_say(s3: Any, bucket: str) -> None:
    for key in ("a/ü b+c", "..", "a//b", "%2F", "x" * 1000):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"with_line": "1"})
        found = s3.get_object(Bucket=bucket, Key=key)
        assert (found["Body"].read(), found["Metadata"]) == (key.encode(), {"with_line": "1"})
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(key.encode())


def test_memory_stays_flat_whatever_the_size(s3: Any, stack: Stack, bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="warm", Body=b"x" * MIB)
    before = resident_mb(stack)
    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(256):
            file.write(os.urandom(MIB))
    with path.open("rb") as file:
        s3.put_object(Bucket=bucket, Key="large", Body=file)
    digest = hashlib.md5()
    for piece in s3.get_object(Bucket=bucket, Key="large")["Body"].iter_chunks(MIB):
        digest.update(piece)
    with path.open("rb") as file:
        assert digest.digest() == hashlib.file_digest(file, "md5").digest()
    assert resident_mb(stack) - before < 32


def test_the_transfer_manager_sends_and_fetches_parts_at_once(s3: Any, bucket: str, tmp_path: Path) -> None:
    content = os.urandom(20 * MIB + 5)
    (tmp_path / "a").write_bytes(content)
    parts = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    s3.upload_file(str(tmp_path / "a"), bucket, "parts", Config=parts)
    assert s3.head_object(Bucket=bucket, Key="parts")["ETag"].endswith('-5"')
    s3.download_file(bucket, "parts", str(tmp_path / "b"), Config=parts)
    assert (tmp_path / "b").read_bytes() == content


def connected(stack: Stack) -> socket.socket:
    parts = urlsplit(stack.s3_url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60)


def target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def host(stack: Stack) -> str:
    return urlsplit(stack.s3_url).netloc


def test_who_is_refused_need_not_send_the_body(stack: Stack, bucket: str) -> None:
    """`Expect: 100-continue` is answered by the refusal, and by no "go on"."""
    with connected(stack) as wire:
        wire.sendall(f"PUT /{bucket}/k HTTP/1.1\r\nHost: {host(stack)}\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n".encode())
        answer = http.client.HTTPResponse(wire)
        answer.begin()
        assert (answer.status, b"AccessDenied" in answer.read()) == (403, True)
        assert wire.recv(1) == b""  # nobody waits for that body


def test_who_asks_whether_to_send_it_is_told_to(stack: Stack, s3: Any, bucket: str) -> None:
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "asked"})
    with connected(stack) as wire:
        wire.sendall(f"PUT {target(url)} HTTP/1.1\r\nHost: {host(stack)}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode())
        assert wire.recv(100).startswith(b"HTTP/1.1 100 ")
        wire.sendall(b"hello")
        assert b" 200 OK" in wire.recv(1000)
    assert s3.get_object(Bucket=bucket, Key="asked")["Body"].read() == b"hello"


def test_who_asks_before_an_empty_body_comes_back_by_another_connection(stack: Stack, s3: Any, bucket: str) -> None:
    """There is no 100 for it, and the aws tool would wait ten seconds for more of the next answer."""
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "empty"})
    with connected(stack) as wire:
        wire.sendall(f"PUT {target(url)} HTTP/1.1\r\nHost: {host(stack)}\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n".encode())
        answer = http.client.HTTPResponse(wire)
        answer.begin()
        assert (answer.status, answer.getheader("Connection")) == (200, "close")
        assert wire.recv(1) == b""


def told(stack: Stack, request: bytes, expected: bytes) -> bytes:
    """What comes back until it has what is expected, or the connection ends, or nothing more comes for long."""
    got = b""
    with connected(stack) as wire:
        with contextlib.suppress(OSError):
            wire.sendall(request)
        with contextlib.suppress(OSError):
            while expected not in got and (piece := wire.recv(65536)):
                got += piece
    return got


def test_what_is_no_proper_http_is_refused_and_stores_nothing(stack: Stack, s3: Any, bucket: str) -> None:
    put = f"PUT {target(s3.generate_presigned_url('put_object', Params={'Bucket': bucket, 'Key': 'no'}))} HTTP/1.1\r\nHost: {host(stack)}\r\n".encode()
    for headers, expected in (
        (b"Content-Length: abc\r\n", b"HTTP/1.1 400 "), (b"Content-Length: -1\r\n", b"HTTP/1.1 400 "),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n", b"HTTP/1.1 400 "), (b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1 411 "),
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"HTTP/1.1 4"), (b"Content-Length: 3\r\nbad header\r\n", b"HTTP/1.1 400 "),
        (b"X-A: " + b"x" * 100_000 + b"\r\nContent-Length: 3\r\n", b"RequestHeaderSectionTooLarge"),
        (b"X-A: " + b"x" * 400_000 + b"\r\nContent-Length: 3\r\n", b"HTTP/1.1 4"),
    ):
        assert expected in told(stack, put + headers + b"\r\nabc", expected), headers[:60]
    assert b"HTTP/1.1 400 " in told(stack, b"\x16\x03\x01 what is this\r\n\r\n", b"HTTP/1.1 400 ")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="no")


@pytest.mark.parametrize("size", [64 * 1024, 256 * 1024, MIB])
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "not signed"])
def test_bodies_in_chunks_with_a_trailer_come_over_the_wire(stack: Stack, s3: Any, bucket: str, size: int, signed: bool) -> None:
    credentials = s3._request_signer._credentials
    content = os.urandom(4 * MIB + 3)
    trailer = ("x-amz-checksum-crc32", base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode())
    key = Key(None, credentials.access_key, credentials.secret_key)  # type: ignore[arg-type]
    body, headers = streamed(key, f"/{bucket}/chunks", content, size=size, trailer=trailer, signed=signed, host=host(stack))
    for sent, status in ((body, 200), (body.replace(content[:8], b"forgery!"), 403 if signed else 400)):
        connection = http.client.HTTPConnection(host(stack), timeout=60)
        connection.request("PUT", f"/{bucket}/chunks", sent, headers)
        assert connection.getresponse().status == status
        connection.close()
    assert s3.get_object(Bucket=bucket, Key="chunks")["Body"].read() == content


def test_one_connection_carries_many_requests(stack: Stack, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="small", Body=b"hello")
    connection = http.client.HTTPConnection(host(stack), timeout=60)
    for method, expected in (("HEAD", b""), ("GET", b"hello"), ("HEAD", b""), ("GET", b"hello")):
        url = s3.generate_presigned_url(f"{method.lower()}_object", Params={"Bucket": bucket, "Key": "small"})
        connection.request(method, target(url))
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Content-Length"), answer.read()) == (200, "5", expected)
    connection.request("HEAD", f"/{bucket}/not-there")
    assert connection.getresponse().read() == b""
    connection.request("GET", "/-/healthz")
    assert connection.getresponse().status == 200
    connection.close()


def test_an_upload_that_breaks_off_leaves_nothing(stack: Stack, s3: Any, bucket: str) -> None:
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "torn"})
    with connected(stack) as wire:
        wire.sendall(f"PUT {target(url)} HTTP/1.1\r\nHost: {host(stack)}\r\nContent-Length: 1000000\r\n\r\n".encode() + b"x" * 300_000)
    incoming = stack.var / "objects" / "objects" / "incoming"
    wait_until(lambda: not list(incoming.glob("*")), "the torn upload is not removed", 60)
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=bucket, Key="torn")


def test_a_download_that_breaks_off_holds_nothing(stack: Stack, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="long", Body=b"x" * (64 * MIB))
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "long"})
    for _ in range(40):  # more than there are threads
        with connected(stack) as wire:
            wire.sendall(f"GET {target(url)} HTTP/1.1\r\nHost: {host(stack)}\r\n\r\n".encode())
            wire.recv(1000)

    def opened() -> list[str]:
        children = Path(f"/proc/{stack.pid('s3')}/task/{stack.pid('s3')}/children").read_text().split()
        links = [link for pid in children for link in Path(f"/proc/{pid}/fd").iterdir()]
        return [name for link in links if "/objects/" in (name := os.path.realpath(link))]

    wait_until(lambda: not opened(), "content is held open", 60)
    assert s3.head_object(Bucket=bucket, Key="long")["ContentLength"] == 64 * MIB


def test_the_doctor_looks_at_it(stack: Stack) -> None:
    findings = json.loads(stack.manage("doctor", "--json").stdout)
    assert ("s3", "ok") in {(each["check"], each["verdict"]) for each in findings}
