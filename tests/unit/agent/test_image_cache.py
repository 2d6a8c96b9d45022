"""The image cache against a real HTTP server on the loopback address."""

import errno
import hashlib
import http.server
import os
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import msgspec
import pytest

from agent.download import Download
from agent.drivers.base import DriverError
from agent.images import DOWNLOADS, ImageCache
from agent.trace import Trace
from contracts.compute import v1 as compute
from tests.support.killed import killed_at_line

CONTENT = os.urandom(300_000)
MIB = 1024 * 1024


class Server(http.server.ThreadingHTTPServer):
    """Serves one content; misbehaves as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag = '"one"'
        self.ranges = True
        self.status = 200
        # Of the next answers, before that.
        self.statuses: list[int] = []
        # Bytes of the body after which the connection breaks, one entry per answer; then no more breaks.
        self.breaks: list[int] = []
        self.delay_s = 0.0
        self.asked: list[str] = []
        self.mutex = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/image?signature=secret"

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range", "")
        with server.mutex:
            server.asked.append(wanted)
            breaks = server.breaks.pop(0) if server.breaks else None
            status = server.statuses.pop(0) if server.statuses else server.status
        time.sleep(server.delay_s)
        if status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        unchanged = self.headers.get("If-Range") in (None, server.etag)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges and unchanged else 0
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if breaks is None else body[:breaks])
        if breaks is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path, limit_bytes=10 * MIB, retry_after_s=0.001)


def image(server: Server, content: bytes = CONTENT, disk_format: str = "raw") -> compute.Image:
    return compute.Image(
        id="an-image",
        url=server.url,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        disk_format=compute.DiskFormat(disk_format),
    )


def refusal(cache: ImageCache, wanted: compute.Image) -> DriverError:
    with pytest.raises(DriverError) as caught:
        cache.ensure(wanted, Trace())
    assert "secret" not in str(caught.value)
    return caught.value


def test_an_image_is_fetched_once(cache: ImageCache, server: Server) -> None:
    for _ in range(3):
        local = cache.ensure(image(server), Trace())
        assert local.path.read_bytes() == CONTENT
    assert server.asked == [""]


def test_an_image_of_no_bytes_is_an_image_too(cache: ImageCache, server: Server) -> None:
    server.content = b""
    assert cache.ensure(image(server, b""), Trace()).path.read_bytes() == b""


def test_a_broken_transfer_goes_on_where_it_broke(cache: ImageCache, server: Server) -> None:
    server.breaks = [100_000, 50_000]
    assert cache.ensure(image(server), Trace()).path.read_bytes() == CONTENT
    assert server.asked == ["", "bytes=100000-", "bytes=150000-"]


def test_many_breaks_are_survived_while_each_attempt_brings_something(cache: ImageCache, server: Server) -> None:
    server.breaks = [10_000] * 20
    assert cache.ensure(image(server), Trace()).path.read_bytes() == CONTENT


def test_after_a_crash_the_next_process_resumes(tmp_path: Path, server: Server) -> None:
    wanted = image(server)
    (tmp_path / f"{wanted.sha256}.part").write_bytes(CONTENT[:200_000])
    ImageCache(tmp_path, limit_bytes=10 * MIB).ensure(wanted, Trace())
    assert server.asked == ["bytes=200000-"]


def test_a_finished_part_that_was_not_yet_renamed_is_not_fetched_again(tmp_path: Path, server: Server) -> None:
    wanted = image(server)
    (tmp_path / f"{wanted.sha256}.part").write_bytes(CONTENT)
    ImageCache(tmp_path, limit_bytes=10 * MIB).ensure(wanted, Trace())
    assert server.asked == []


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_an_agent_killed_between_any_two_lines_leaves_a_cache_that_goes_on(tmp_path: Path, server: Server, every: int) -> None:
    number, wanted = 0, image(server)
    while _killed_at_line(tmp_path, wanted, number):
        cache = ImageCache(tmp_path, limit_bytes=10 * MIB)
        assert [each.sha256 for each in cache.listed()] in ([], [wanted.sha256])
        local = cache.ensure(wanted, Trace())
        assert local.path.read_bytes() == CONTENT, f"killed at line {number}"
        local.path.unlink()
        assert list(tmp_path.iterdir()) == [], f"killed at line {number}"
        number += every
    assert number > 60, "so many lines there are at least"


def _killed_at_line(folder: Path, wanted: compute.Image, number: int) -> bool:
    """Fetch in a process that is killed before its `number`-th line; False if it got to its end before."""
    return killed_at_line(
        lambda: ImageCache(folder, limit_bytes=10 * MIB).ensure(wanted, Trace()), number, "agent/images.py", "agent/download.py"
    )


def test_a_server_that_cannot_resume_starts_over(cache: ImageCache, server: Server) -> None:
    server.breaks, server.ranges = [100_000], False
    assert cache.ensure(image(server), Trace()).path.read_bytes() == CONTENT


def test_content_that_changed_meanwhile_is_fetched_from_the_start(
    cache: ImageCache, server: Server, tmp_path: Path
) -> None:
    wanted = image(server)
    (tmp_path / f"{wanted.sha256}.part").write_bytes(b"x" * 1000)
    (tmp_path / f"{wanted.sha256}.part.tag").write_text('"zero"')
    assert cache.ensure(wanted, Trace()).path.read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_a_beginning_that_was_wrong_is_thrown_away_once(cache: ImageCache, server: Server, tmp_path: Path) -> None:
    wanted = image(server)
    (tmp_path / f"{wanted.sha256}.part").write_bytes(b"x" * 1000)
    assert cache.ensure(wanted, Trace()).path.read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", ""]


def test_wrong_content_is_corrupt_and_leaves_nothing(cache: ImageCache, server: Server, tmp_path: Path) -> None:
    server.content = bytes(len(CONTENT))
    error = refusal(cache, image(server))
    assert (error.code, error.retryable, len(server.asked)) == ("image.corrupt", True, DOWNLOADS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x"])
def test_a_wrong_size_is_corrupt(cache: ImageCache, server: Server, content: bytes) -> None:
    server.content = content
    assert refusal(cache, image(server)).code == "image.corrupt"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusing_server_is_unavailable_and_another_host_may_try(
    cache: ImageCache, server: Server, status: int
) -> None:
    server.status = status
    error = refusal(cache, image(server))
    assert (error.code, error.retryable) == ("image.unavailable", True)
    assert len(server.asked) == (1 if status < 500 else 6)


def test_no_server_at_all_is_unavailable(cache: ImageCache, server: Server) -> None:
    gone = msgspec.structs.replace(image(server), url="http://127.0.0.1:1/image?secret")
    assert refusal(cache, gone).code == "image.unavailable"


def test_only_http_is_spoken(cache: ImageCache, server: Server, tmp_path: Path) -> None:
    local = msgspec.structs.replace(image(server), url=f"file://{tmp_path}/secret")
    assert refusal(cache, local).code == "image.unavailable"


def test_many_callers_wait_for_one_download(cache: ImageCache, server: Server) -> None:
    server.delay_s = 0.1
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: cache.ensure(image(server), Trace()).path.read_bytes(), range(16)))
    assert found == [CONTENT] * 16
    assert server.asked == [""]


def test_an_image_larger_than_the_cache_is_refused(tmp_path: Path, server: Server) -> None:
    error = refusal(ImageCache(tmp_path, limit_bytes=100_000), image(server))
    assert (error.code, error.retryable) == ("image.too_large", False)


def fetched(cache: ImageCache, server: Server, content: bytes, age_s: float = 0.0) -> Path:
    server.content = content
    path = cache.ensure(image(server, content), Trace()).path
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path, server: Server) -> None:
    cache = ImageCache(tmp_path, limit_bytes=1000)
    oldest = fetched(cache, server, b"a" * 400, age_s=300)
    newer = fetched(cache, server, b"b" * 400, age_s=100)
    assert fetched(cache, server, b"c" * 400).exists()
    assert (oldest.exists(), newer.exists()) == (False, True)


def test_use_keeps_an_image_young(tmp_path: Path, server: Server) -> None:
    cache = ImageCache(tmp_path, limit_bytes=1000)
    oldest = fetched(cache, server, b"a" * 400, age_s=300)
    fetched(cache, server, b"b" * 400, age_s=100)
    cache.ensure(image(server, b"a" * 400), Trace())
    fetched(cache, server, b"c" * 400)
    assert oldest.exists()


def test_an_image_in_use_is_never_dropped(tmp_path: Path, server: Server) -> None:
    cache = ImageCache(tmp_path / "images", limit_bytes=1000)
    used = fetched(cache, server, b"a" * 900, age_s=300)
    (tmp_path / "base").hardlink_to(used)
    assert fetched(cache, server, b"b" * 900).exists()
    assert used.exists()


def test_parts_that_nobody_wanted_for_a_day_are_removed(tmp_path: Path, server: Server) -> None:
    stale = tmp_path / f"{'0' * 64}.part"
    stale.write_bytes(b"x")
    os.utime(stale, (0, 0))
    tag, recent = tmp_path / f"{stale.name}.tag", tmp_path / f"{'1' * 64}.part"
    tag.write_text('"one"')
    recent.write_bytes(b"x")
    ImageCache(tmp_path, limit_bytes=1000).tidy()
    assert (stale.exists(), tag.exists(), recent.exists()) == (False, False, True)


def test_a_download_that_a_full_disk_has_ended_leaves_the_room_to_others(
    cache: ImageCache, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(download: Download, response: object, file: IO[bytes], offset: int) -> None:
        file.write(CONTENT[:100_000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as while_full:
        while_full.setattr(Download, "_copy", full)
        error = refusal(cache, image(server))
    assert (error.code, error.retryable, "No space left" in str(error)) == ("image.no_space", True, True)
    assert list(tmp_path.iterdir()) == []
    assert cache.ensure(image(server), Trace()).path.read_bytes() == CONTENT


def test_a_download_of_an_image_that_is_deleted_meanwhile_leaves_nothing(
    cache: ImageCache, server: Server, tmp_path: Path
) -> None:
    server.breaks, server.statuses = [100_000], [200, 404]
    error = refusal(cache, image(server))
    assert (error.code, server.asked) == ("image.unavailable", ["", "bytes=100000-"])
    assert list(tmp_path.iterdir()) == []


class Disk:
    """A file system of which so many bytes are free while the cache is empty."""

    def __init__(self, folder: Path, free_bytes: int) -> None:
        self.folder, self.free_bytes = folder, free_bytes

    def usage(self, folder: Path) -> SimpleNamespace:
        return SimpleNamespace(free=self.free_bytes - sum(path.stat().st_size for path in self.folder.iterdir()))


def test_a_disk_that_is_nearly_full_makes_room_too(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ImageCache(tmp_path, limit_bytes=10_000, spare_bytes=500)
    monkeypatch.setattr("shutil.disk_usage", Disk(tmp_path, 1400).usage)
    oldest = fetched(cache, server, b"a" * 400, age_s=300)
    newer = fetched(cache, server, b"b" * 400, age_s=100)
    assert fetched(cache, server, b"c" * 400).exists()
    assert (oldest.exists(), newer.exists()) == (False, True)


def test_what_is_kept_for_guests_is_not_filled_with_images(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ImageCache(tmp_path / "images", limit_bytes=10_000, spare_bytes=500)
    monkeypatch.setattr("shutil.disk_usage", Disk(tmp_path / "images", 1000).usage)
    used, idle = fetched(cache, server, b"a" * 400), fetched(cache, server, b"b" * 10)
    (tmp_path / "base").hardlink_to(used)
    assert refusal(cache, image(server, b"c" * 400)).code == "image.no_space"
    assert used.exists() and len(server.asked) == 2
    assert idle.exists(), "dropped for nothing"


def qcow2(*, backing: int = 0, incompatible: int = 0, version: int = 3) -> bytes:
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 0, 16, MIB)
    return (header + bytes(72 - len(header)) + struct.pack(">Q", incompatible)).ljust(512, b"\0")


def test_a_plain_qcow2_image_is_taken(cache: ImageCache, server: Server) -> None:
    server.content = qcow2()
    assert cache.ensure(image(server, qcow2(), "qcow2"), Trace()).disk_format is compute.DiskFormat.QCOW2


@pytest.mark.parametrize(
    "content",
    [
        qcow2(backing=512),
        qcow2(incompatible=4),
        qcow2(version=2, backing=512),
        qcow2(incompatible=1 << 20),
        b"raw" * 99,
    ],
)
def test_a_qcow2_image_that_refers_to_other_files_or_is_none_is_unsafe(
    cache: ImageCache, server: Server, content: bytes
) -> None:
    server.content = content
    error = refusal(cache, image(server, content, "qcow2"))
    assert (error.code, error.retryable) == ("image.unsafe", False)


def test_fifty_callers_of_a_new_image_cause_one_download(cache: ImageCache, server: Server, tmp_path: Path) -> None:
    server.delay_s = 0.1
    together = threading.Barrier(50)

    def boot(number: int) -> bytes:
        together.wait(30)
        link = tmp_path / f"base-{number}"
        link.hardlink_to(cache.ensure(image(server), Trace()).path)
        return link.read_bytes()

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(boot, range(50))) == [CONTENT] * 50
    assert server.asked == [""]


def test_a_corrupted_download_is_thrown_away_and_tried_again(cache: ImageCache, server: Server, tmp_path: Path) -> None:
    wanted = image(server)
    spoilt, whole = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]), server.content
    contents = [spoilt, spoilt, whole]
    server.content = contents[0]
    original = server.asked

    class Changing(list[str]):
        def append(self, asked: str) -> None:
            server.content = contents[len(original)]
            original.append(asked)

    server.asked = Changing()
    assert cache.ensure(wanted, Trace()).path.read_bytes() == CONTENT
    assert original == ["", "", ""]
    assert [path.name for path in tmp_path.iterdir()] == [wanted.sha256]


def test_what_others_are_fetching_counts_for_the_room_that_is_made(tmp_path: Path, server: Server) -> None:
    cache = ImageCache(tmp_path, limit_bytes=1000)
    oldest = fetched(cache, server, b"a" * 400, age_s=300)
    slow = image(server, b"b" * 500)
    server.content, server.delay_s = b"b" * 500, 0.3
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(cache.ensure, slow, Trace())
        while not server.asked[1:]:
            time.sleep(0.01)
        with pytest.raises(DriverError):  # its content is the other's, which does not matter here
            cache.ensure(image(server, b"c" * 400), Trace())
        coming.result()
    assert not oldest.exists()


def test_the_cache_says_what_it_holds(cache: ImageCache, server: Server, tmp_path: Path) -> None:
    used, idle = fetched(cache, server, b"a" * 400), fetched(cache, server, b"b" * 300, age_s=1000)
    (tmp_path / "base").hardlink_to(used)
    (tmp_path / f"{'0' * 64}.part").write_bytes(b"x")
    listed = {each.sha256: each for each in cache.listed()}
    assert {(each.size_bytes, each.in_use) for each in listed.values()} == {(400, True), (300, False)}
    assert abs(listed[idle.name].last_used - (time.time() - 1000)) < 60
