"""One large object there and back: seconds beside floors of the same run on the same disk, and the server's memory.

`python -m bench.transfers FOLDER` is the floor of a GET: a plain server of static files on a port that it prints, the kernel sends them.
"""

import contextlib
import hashlib
import http.server
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from bench import measures
from bench.figures import Figures
from bench.signed import PIECE_BYTES, Access, Client
from cloudsite.launcher.stack import Stack
from cloudsite.settings.environment import BASE_DIR

MIB, ROUNDS = 1024, 3
# In MB, and in per cent of the floor's speed.
MEMORY_MOST, GET_LEAST, PUT_LEAST = 32, 60, 40
_BUCKET = "bench-transfers"


def bytes_needed(mib: int, rounds: int) -> int:
    """Of disk: the source and its copy, one object to begin with, one to be fetched, one a round, and two of boto3's."""
    return (6 + rounds) * mib * 1024**2 if mib else 0


def measure(stack: Stack, access: Access, figures: Figures, *, mib: int = MIB, rounds: int = ROUNDS) -> None:
    """Adds the figures of one object of so many MiB; files are beside the store, in the installation's folder."""
    folder = stack.var / "transfers"
    folder.mkdir()
    with (folder / "source").open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(PIECE_BYTES))
    bench = _Bench(stack, access, folder)
    bench.check_disk()
    _first(bench, figures, mib)
    with _static_server(folder) as url:
        _compare(bench, Client(url), figures, mib, rounds)
    _boto3(bench, figures, mib)
    shutil.rmtree(folder)


class _Bench:
    """What is sent, where to, and where it is put down."""

    def __init__(self, stack: Stack, access: Access, folder: Path) -> None:
        self.stack, self.access, self.source, self.target = stack, access, folder / "source", folder / "target"
        self.client, self.size, self._number = Client(access.url, access), self.source.stat().st_size, 0
        self.client.ask(self.client.prepare("PUT", f"/{_BUCKET}"))

    def check_disk(self) -> None:
        """A store on another disk, or in memory, would say nothing."""
        store = self.stack.settings.object_folder if self.stack.settings.object_folder != Path() else self.stack.var
        assert store.stat().st_dev == self.source.stat().st_dev, f"{store} is on another file system than {self.source}"

    def put(self) -> str:
        """The target of a new object with the content."""
        self._number += 1
        target = f"/{_BUCKET}/object-{self._number}"
        self.client.send_file(self.client.prepare("PUT", target), self.source)
        return target

    def get(self, client: Client, target: str, take: Callable[[memoryview], object] = lambda piece: None) -> None:
        received = client.receive(client.prepare("GET", target), take)
        assert received == self.size, f"{target}: {received} of {self.size} bytes"

    def copy(self, client: Client, target: str) -> None:
        """To a file, until it is on the disk."""
        with self.target.open("wb", buffering=0) as file:
            self.get(client, target, file.write)
            os.fsync(file.fileno())

    def timed(self, work: Callable[[], object]) -> float:
        """Seconds, when nothing of what was before is still to be written; connections are new.

        A virtual machine gives memory back that it has not used for a moment, and who writes first pays for getting it again: three
        times as long for the same copy. So somebody else writes first, before every work and every floor.
        """
        self._write_first()
        self.client.close()
        os.sync()
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    def _write_first(self) -> None:
        self.target.unlink(missing_ok=True)
        with self.target.open("wb", buffering=0) as file:
            for _ in range(-(-self.size // PIECE_BYTES)):
                file.write(bytes(PIECE_BYTES))
            os.fsync(file.fileno())
        self.target.unlink()


def _first(bench: _Bench, figures: Figures, mib: int) -> None:
    """One PUT and one GET by a server that has served little, its memory watched; what comes back is what was sent."""
    pid, small = bench.stack.pid("s3"), f"/{_BUCKET}/small"
    for _ in range(20):
        bench.client.ask(bench.client.prepare("PUT", small), os.urandom(PIECE_BYTES))
        bench.client.ask(bench.client.prepare("GET", small))
    before = measures.resident_mb(pid)
    measures.forget_peaks(pid)
    bench.client.close()
    found, sent = hashlib.md5(usedforsecurity=False), hashlib.md5(usedforsecurity=False)
    bench.get(bench.client, bench.put(), found.update)
    figures.put(f"resident memory of s3, at most, by PUT and GET of {mib:,} MiB: growth, MB (at most {MEMORY_MOST})", measures.peak_mb(pid) - before)
    with bench.source.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            sent.update(piece)
    assert found.digest() == sent.digest(), "what came back is not what was sent"


def _compare(bench: _Bench, static: Client, figures: Figures, mib: int, rounds: int) -> None:
    """Each beside its floor, in turns, so that both have the same quick and slow moments of the machine."""
    taken, target = dict[str, list[float]](), bench.put()
    works: Mapping[str, Callable[[], object]] = {
        "put": bench.put, "dd": lambda: _dd(bench.source, bench.target),
        "get": lambda: bench.get(bench.client, target), "static": lambda: bench.get(static, "/source"),
        "copy": lambda: bench.copy(bench.client, target), "static copy": lambda: bench.copy(static, "/source"),
    }
    for client, warm in ((bench.client, target), (static, "/source")):
        bench.get(client, warm)
    for _ in range(rounds):
        for name, work in works.items():
            static.close()
            taken.setdefault(name, []).append(bench.timed(work))
    seconds = {name: statistics.median(each) for name, each in taken.items()}
    for name, floor, told, floor_told, least in (
        ("put", "dd", f"PUT of {mib:,} MiB", "floor: dd conv=fsync beside md5sum", PUT_LEAST),
        ("get", "static", f"GET of {mib:,} MiB, thrown away", "floor: static file by sendfile, thrown away", GET_LEAST),
        ("copy", "static copy", f"GET of {mib:,} MiB, to the disk", "floor: static file by sendfile, to the disk", GET_LEAST),
    ):
        figures.put(f"{told}, s", seconds[name], 2)
        figures.put(f"  {floor_told}, s", seconds[floor], 2)
        figures.put(f"  speed of the {told} / floor, % (at least {least})", 100 * seconds[floor] / seconds[name])


def _boto3(bench: _Bench, figures: Figures, mib: int) -> None:
    """As most clients send and fetch: in one PUT with checksum and signed content, and in parts, ten at once."""
    client, pid = bench.access.boto3(), bench.stack.pid("s3")

    def put_object() -> None:
        with bench.source.open("rb") as file:
            client.put_object(Bucket=_BUCKET, Key="boto3-whole", Body=file)

    client.list_buckets()
    before = measures.resident_mb(pid)
    measures.forget_peaks(pid)
    for told, work in (
        (f"boto3 put_object of {mib:,} MiB (CRC32, SHA-256 on both sides)", put_object),
        (f"boto3 upload_file of {mib:,} MiB, parts of 8 MiB", lambda: client.upload_file(str(bench.source), _BUCKET, "boto3-parts")),
        (f"boto3 download_file of {mib:,} MiB, parts of 8 MiB", lambda: client.download_file(_BUCKET, "boto3-parts", str(bench.target))),
    ):
        figures.put(f"{told}, s", bench.timed(work), 2)
    figures.put("  resident memory of s3, at most: growth by these three, MB", measures.peak_mb(pid) - before)
    assert bench.target.stat().st_size == bench.size


def _dd(source: Path, target: Path) -> None:
    """A file written as dd does it, its bytes hashed on the way: three processes, each does one thing."""
    reading, writing = os.pipe()
    try:
        hashing = subprocess.Popen(["md5sum"], stdin=reading, stdout=subprocess.DEVNULL)
        with source.open("rb") as file:
            branching = subprocess.Popen(["tee", f"/dev/fd/{writing}"], stdin=file, stdout=subprocess.PIPE, pass_fds=(writing,))
    finally:
        os.close(reading)
        os.close(writing)
    order = ["dd", f"of={target}", "bs=1M", "iflag=fullblock", "conv=fsync", "status=none"]
    written = subprocess.run(order, stdin=branching.stdout, check=False)
    assert branching.stdout is not None
    branching.stdout.close()
    codes = (hashing.wait(), branching.wait(), written.returncode)
    assert codes == (0, 0, 0), f"md5sum, tee and dd ended with {codes}"
    assert target.stat().st_size == source.stat().st_size


@contextlib.contextmanager
def _static_server(folder: Path) -> Iterator[str]:
    """A plain server of what is in a folder, in a process of its own."""
    command = [sys.executable, "-m", "bench.transfers", str(folder)]
    process = subprocess.Popen(command, cwd=BASE_DIR, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(10)


class _Static(http.server.SimpleHTTPRequestHandler):
    """Files as they are."""

    protocol_version = "HTTP/1.1"

    def copyfile(self, source: BinaryIO, outputfile: object) -> None:  # type: ignore[override]
        self.connection.sendfile(source)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


def main() -> None:
    os.chdir(sys.argv[1])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Static)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
