"""Files by HTTP: whole or not at all, from where they may come from, and no longer than allowed. Against a server of the test."""

import hashlib
import io
import random
import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from apps.common.errors import CloudError, Invalid, Unavailable
from apps.images.fetching import download
from apps.images.fetching.connection import Rules
from tests.support import certificates
from tests.support.origin import Call, Origin, origin

CONTENT = random.Random(6).randbytes(3 * 1024 * 1024 + 17)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LOOPBACK = (ip_network("127.0.0.0/8"),)


class Watch:
    """Writes down what it is told; `stop_at`: raises when so many bytes are there."""

    def __init__(self, stop_at: int | None = None, limit: int | None = None) -> None:
        self.sizes: list[int] = []
        self.breaks: list[str] = []
        self.done = 0
        self._stop_at, self._limit = stop_at, limit

    def tick(self) -> None:
        if self._stop_at is not None and self.done >= self._stop_at:
            raise KeyboardInterrupt

    def expect(self, size_bytes: int) -> None:
        if self._limit is not None and size_bytes > self._limit:
            raise Invalid("quota.exceeded", "too much")
        self.sizes.append(size_bytes)

    def progress(self, done: int, total: int | None) -> None:
        self.done = done
        self.tick()

    def broke(self, reason: str, done: int) -> None:
        self.breaks.append(reason)


@pytest.fixture
def server() -> Iterator[Origin]:
    with origin() as running:
        yield running


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(download, "_PAUSES_S", (0.0,) * 5)


def fetch(
    url: str, path: Path, *, watch: Watch | None = None, most: int = 10 * 1024**2, stall_s: float = 5.0, sha256: str = "", **rules: Any
) -> Any:
    with path.open("xb") as file:
        return download.fetch(
            url, file, most_bytes=most, rules=Rules(**{"opened": LOOPBACK, "stall_s": stall_s, **rules}), watch=watch or Watch(), sha256=sha256
        )


def refusal(*args: Any, **options: Any) -> CloudError:
    with pytest.raises(CloudError) as error:
        fetch(*args, **options)
    return error.value


def test_a_file_comes_whole_and_hashed(server: Origin, tmp_path: Path) -> None:
    server.script = lambda call: call.serve(CONTENT)
    watch = Watch()
    found = fetch(server.url("/a?x=1"), tmp_path / "f", watch=watch, sha256=SHA256.upper())
    assert (found.sha256, found.size_bytes) == (SHA256, len(CONTENT))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert watch.sizes == [len(CONTENT)]
    assert server.paths() == ["/a?x=1"]
    assert server.seen[0].headers["Host"] == f"127.0.0.1:{server.port}"
    assert server.seen[0].headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in server.seen[0].headers


def test_a_chunked_file_comes_whole(server: Origin, tmp_path: Path) -> None:
    def script(call: Call) -> None:
        call.say(length=None, Transfer_Encoding="chunked")
        for first in range(0, len(CONTENT), 500_000):
            call.chunk(CONTENT[first : first + 500_000])
        call.chunk(b"")

    server.script = script
    assert fetch(server.url(), tmp_path / "f").sha256 == SHA256


def test_loopback_is_refused_unless_it_was_opened(server: Origin, tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"):
        assert refusal(server.url(host=host), tmp_path / host, opened=()).code == "image.url_address"
    assert server.seen == []


def test_one_private_address_among_public_ones_is_enough_to_refuse(server: Origin, tmp_path: Path) -> None:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in ("1.1.1.1", "10.0.0.1")]

    assert refusal(server.url(host="twofaced.example"), tmp_path / "f", resolve=resolve).code == "image.url_address"


def test_the_name_is_looked_up_once_and_the_checked_address_is_used(server: Origin, tmp_path: Path) -> None:
    """DNS rebinding: a second look-up would lead elsewhere."""
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    server.script = lambda call: call.serve(CONTENT)
    assert fetch(server.url(host="images.example"), tmp_path / "f", resolve=resolve).sha256 == SHA256
    assert asked == ["images.example"]
    assert server.seen[0].headers["Host"] == f"images.example:{server.port}"


def test_a_name_of_nobody_is_told_so(tmp_path: Path) -> None:
    def resolve(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    assert refusal("http://nobody.example/", tmp_path / "f", resolve=resolve).code == "image.url_host"


def test_redirects_are_followed(server: Origin, tmp_path: Path) -> None:
    def script(call: Call) -> None:
        if call.path == "/disk.raw":
            call.say(302, Location="/next?a=1")
        elif call.path == "/next?a=1":
            call.say(307, Location=server.url("/end"))
        else:
            call.serve(CONTENT)

    server.script = script
    assert fetch(server.url(), tmp_path / "f").sha256 == SHA256
    assert server.paths() == ["/disk.raw", "/next?a=1", "/end"]


def test_a_redirect_into_the_inside_is_refused(server: Origin, tmp_path: Path) -> None:
    server.script = lambda call: call.say(302, Location="http://169.254.169.254/latest/meta-data/")
    assert refusal(server.url(), tmp_path / "a").code == "image.url_address"
    server.script = lambda call: call.say(301, Location="file:///etc/passwd")
    assert refusal(server.url(), tmp_path / "b").code == "image.url"


def test_redirects_have_an_end(server: Origin, tmp_path: Path) -> None:
    server.script = lambda call: call.say(302, Location="/again")
    assert refusal(server.url(), tmp_path / "f").code == "image.url_redirects"
    assert len(server.seen) == download.MOST_REDIRECTS + 1


def test_a_transfer_that_breaks_off_goes_on_where_it_was(server: Origin, tmp_path: Path) -> None:
    server.script = lambda call: call.serve(CONTENT, only=1_500_000)
    watch = Watch()
    found = fetch(server.url(), tmp_path / "f", watch=watch)
    assert (found.sha256, (tmp_path / "f").read_bytes()) == (SHA256, CONTENT)
    assert [call.headers.get("Range") for call in server.seen] == [None, "bytes=1500000-", "bytes=3000000-"]
    assert server.seen[1].headers["If-Range"] == '"one"'
    assert len(watch.breaks) == 2


def test_a_file_that_changes_meanwhile_is_begun_anew(server: Origin, tmp_path: Path) -> None:
    other = CONTENT[::-1]
    server.script = lambda call: call.serve(CONTENT, only=1_000_000) if len(server.seen) == 1 else call.serve(other, etag='"two"')
    assert fetch(server.url(), tmp_path / "f").sha256 == hashlib.sha256(other).hexdigest()
    assert (tmp_path / "f").read_bytes() == other


def test_without_a_strong_validator_nothing_is_pieced_together(server: Origin, tmp_path: Path) -> None:
    for etag in ("", 'W/"weak"'):
        server.seen.clear()
        server.script = lambda call, etag=etag: call.serve(CONTENT, etag=etag, only=1_000_000 if len(server.seen) == 1 else None)  # type: ignore[misc]
        assert fetch(server.url(), tmp_path / f"f{len(etag)}").sha256 == SHA256
        assert [call.headers.get("Range") for call in server.seen] == [None, None]


@pytest.mark.parametrize("wrong", ["bytes 5-9/10", "bytes 1000000-99/100", "nonsense", "bytes 1000000-3145744/9999999"])
def test_a_server_that_goes_on_elsewhere_is_not_believed(server: Origin, tmp_path: Path, wrong: str) -> None:
    def script(call: Call) -> None:
        if len(server.seen) == 1:
            call.serve(CONTENT, only=1_000_000)
        elif len(server.seen) == 2:
            call.say(206, body=CONTENT[1_000_000:], Content_Range=wrong)
        else:
            call.serve(CONTENT)

    server.script = script
    assert fetch(server.url(), tmp_path / "f").sha256 == SHA256
    assert len(server.seen) == 3


def test_who_always_breaks_off_is_given_up(server: Origin, tmp_path: Path) -> None:
    server.script = lambda call: call.say(length=1000)
    error = refusal(server.url("/x?signature=secret"), tmp_path / "f")
    assert isinstance(error, Unavailable)
    assert error.code == "image.source_broken"
    assert "secret" not in error.message
    assert len(server.seen) == 5


def test_a_server_in_trouble_is_tried_again(server: Origin, tmp_path: Path) -> None:
    server.script = lambda call: call.say(503) if len(server.seen) < 3 else call.serve(CONTENT)
    assert fetch(server.url(), tmp_path / "f").sha256 == SHA256


def test_what_is_not_there_is_said_at_once(server: Origin, tmp_path: Path) -> None:
    assert refusal(server.url(), tmp_path / "f").code == "image.source_status"
    assert len(server.seen) == 1


def test_a_server_that_falls_silent_is_not_waited_for(server: Origin, tmp_path: Path) -> None:
    def script(call: Call) -> None:
        call.say(length=1000, body=b"x" * 10)
        call.until(server.over)

    server.script = script
    error = refusal(server.url(), tmp_path / "f", stall_s=0.2)
    assert error.code == "image.source_broken"
    assert "next to nothing" in error.message


def test_a_byte_now_and_then_is_as_good_as_nothing(server: Origin, tmp_path: Path) -> None:
    def script(call: Call) -> None:
        call.say(length=100_000)
        while not server.over.wait(0.02):
            call.wfile.write(b"x")

    server.script = script
    assert "next to nothing" in refusal(server.url(), tmp_path / "f", stall_s=0.3).message


def test_header_lines_without_end_are_not_waited_for(server: Origin, tmp_path: Path) -> None:
    def script(call: Call) -> None:
        call.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not server.over.wait(0.02):
            call.wfile.write(b"X")

    server.script = script
    assert refusal(server.url(), tmp_path / "f", stall_s=0.3).code == "image.source_broken"


def test_too_large_a_file_is_refused_before_it_is_read(server: Origin, tmp_path: Path) -> None:
    server.script = lambda call: call.serve(CONTENT)
    assert refusal(server.url(), tmp_path / "f", most=1_000_000).code == "image.too_large"
    assert (tmp_path / "f").stat().st_size == 0


def test_a_file_that_is_larger_than_anybody_said_is_cut_off(server: Origin, tmp_path: Path) -> None:
    def script(call: Call) -> None:
        call.say(length=None, Transfer_Encoding="chunked")
        while not server.over.is_set():
            call.chunk(CONTENT[:500_000])

    server.script = script
    assert refusal(server.url(), tmp_path / "f", most=1_000_000).code == "image.too_large"
    assert (tmp_path / "f").stat().st_size <= 1_000_000


def test_the_quota_is_asked_before_anything_is_read(server: Origin, tmp_path: Path) -> None:
    server.script = lambda call: call.serve(CONTENT)
    assert refusal(server.url(), tmp_path / "f", watch=Watch(limit=1000)).code == "quota.exceeded"
    assert (tmp_path / "f").stat().st_size == 0


def test_a_file_of_unknown_length_needs_a_hash(server: Origin, tmp_path: Path) -> None:
    server.script = lambda call: call.say(body=CONTENT, length=None)
    assert refusal(server.url(), tmp_path / "a").code == "image.source_length"
    assert fetch(server.url(), tmp_path / "b", sha256=SHA256).sha256 == SHA256


def test_another_hash_than_expected_is_refused(server: Origin, tmp_path: Path) -> None:
    server.script = lambda call: call.serve(CONTENT)
    assert refusal(server.url(), tmp_path / "f", sha256="0" * 64).code == "image.sha256"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content_Encoding": "gzip"}, "image.source_encoding"), ({"Content_Encoding": "xz"}, "image.source_encoding"),
        ({"Transfer_Encoding": "gzip"}, "image.source_encoding"), ({"Content_Type": "text/html; charset=utf-8"}, "image.source_type"),
    ],
)
def test_what_is_no_plain_file_is_refused(server: Origin, tmp_path: Path, headers: dict[str, str], code: str) -> None:
    server.script = lambda call: call.say(body=CONTENT, **headers)  # type: ignore[arg-type]
    assert refusal(server.url(), tmp_path / "f").code == code


@pytest.mark.parametrize("garbage", [b"\x00" * 100_000, b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200, b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000])
def test_what_is_no_http_is_refused(server: Origin, tmp_path: Path, garbage: bytes) -> None:
    server.script = lambda call: call.raw(garbage)
    assert refusal(server.url(), tmp_path / "f").code == "image.source_broken"


def test_whoever_watches_can_end_it(server: Origin, tmp_path: Path) -> None:
    server.script = lambda call: call.serve(CONTENT)
    with pytest.raises(KeyboardInterrupt):
        fetch(server.url(), tmp_path / "f", watch=Watch(stop_at=1_000_000))


def test_a_full_disk_is_told_as_such(server: Origin, tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    server.script = lambda call: call.serve(CONTENT)
    with pytest.raises(Unavailable) as error:
        download.fetch(server.url(), Full(), most_bytes=10**8, rules=Rules(opened=LOOPBACK), watch=Watch())
    assert error.value.code == "image.store"


def test_certificates_are_those_of_the_name_and_not_of_the_address(tmp_path: Path) -> None:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def trusting() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(certificate))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = certificates.make(tmp_path, host="images.example")
    context.load_cert_chain(certificate, key)
    with origin(context) as server:
        server.script = lambda call: call.serve(CONTENT, only=2_000_000)
        url = server.url(host="images.example")
        assert fetch(url, tmp_path / "a", resolve=resolve, tls=trusting).sha256 == SHA256
        assert refusal(url, tmp_path / "b", resolve=resolve).code == "image.url_tls"
        other = server.url(host="other.example")
        assert refusal(other, tmp_path / "c", resolve=resolve, tls=trusting).code == "image.url_tls"
