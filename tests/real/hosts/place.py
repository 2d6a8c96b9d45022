"""A place: one machine as far as namespaces go (network, mounts, host name, processes), seen from the tests' process."""

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from tests.real.hosts import init
from tests.real.hosts.frames import echo_request, is_echo_reply

T = TypeVar("T")
PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_CLONE_NEWNET: Final = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class PlaceError(AssertionError):
    """A command in a place failed, or something there is not as it must be."""


class Place:
    """Lives until `close`, or until this process ends, however that happens: nothing of it is left then."""

    def __init__(self, name: str, folder: Path, *, own: tuple[str, ...] = (), run: tuple[str, ...] = ()) -> None:
        """`own`: absolute folders of which it has its own, kept in `folder`; `run`: folders below its own, empty /run."""
        self.name, self.folder = name, folder
        binds = {}
        for target in own:
            binds[target] = str(folder / target.strip("/").replace("/", "-"))
            Path(binds[target]).mkdir(parents=True, exist_ok=True)
        plan = {"hostname": name, "binds": binds, "folders": list(run)}
        self._process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", sys.executable, "-I", "-S", init.__file__, json.dumps(plan)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env={**os.environ, "PATH": PATH},
        )
        self._ordering = threading.Lock()
        self._answer()
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self.pid = int(children[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End everything in it. Twice is no error."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()  # and with it, by --kill-child, process 1 of the place
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    # --- programs -------------------------------------------------------------------------------------------------

    def run(self, *command: str, stdin: str = "", within: str = "", check: bool = True, timeout_s: float = 60.0) -> str:
        """Output of a command, here or in the network namespace `within` of here. Raises PlaceError if it fails."""
        inner = ["ip", "netns", "exec", within, *command] if within else [*command]
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p", "--", *inner],
            input=stdin, capture_output=True, text=True, timeout=timeout_s, env={**os.environ, "PATH": PATH}, check=False,
        )
        if check and done.returncode:
            raise PlaceError(f"{self.name}: {' '.join(command)}: {done.returncode} {done.stdout}{done.stderr}".strip())
        return done.stdout

    def start(self, name: str, *command: str, environment: dict[str, str] | None = None, cwd: str = "/") -> None:
        """Start a program that goes on, as a child of the place's process 1; its output goes to `log(name)`."""
        env = environment if environment is not None else {**os.environ, "PATH": PATH}
        self._order("start", name=name, command=command, environment=env, log=str(self.log(name)), cwd=cwd)

    def end(self, name: str, number: int = SIGTERM) -> bool:
        """Send a signal and wait until it is gone; whether it ran."""
        return bool(self._order("end", name=name, number=int(number)))

    def runs(self, name: str) -> bool:
        return name in self._order("runs")

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def path(self, inside: str) -> Path:
        """A file of the place, from outside."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def takes(self, inside: str) -> bool:
        """Does anybody listen on that Unix socket?"""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            try:
                client.connect(str(self.path(inside)))
            except OSError:
                return False
        return True

    # --- the network as seen from here ----------------------------------------------------------------------------

    def new_socket(self, family: int, kind: int, protocol: int = 0, *, within: str = "") -> socket.socket:
        """A socket of this place's network (or of the namespace `within` of it), used from the tests' process."""
        return in_namespace(self._namespace(within), lambda: socket.socket(family, kind, protocol))

    def index(self, device: str, *, within: str = "") -> int:
        return in_namespace(self._namespace(within), lambda: socket.if_nametoindex(device))

    def _namespace(self, within: str) -> Path:
        return self.path(f"/run/netns/{within}") if within else Path(f"/proc/{self.pid}/ns/net")

    def raw(self, device: str) -> socket.socket:
        """What is sent by it goes out of a device as it is."""
        made = self.new_socket(socket.AF_PACKET, socket.SOCK_RAW)
        made.bind((device, 0))
        return made

    def connect(self, address: str, port: int, *, timeout_s: float = 2.0) -> socket.socket:
        """A TCP connection. Raises OSError."""
        made = self.new_socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        made.settimeout(timeout_s)
        try:
            made.connect((address, port))
        except OSError:
            made.close()
            raise
        return made

    def reaches(self, address: str, port: int, *, timeout_s: float = 1.0) -> bool:
        """Is a TCP connection accepted?"""
        try:
            self.connect(address, port, timeout_s=timeout_s).close()
        except OSError:
            return False
        return True

    def pings(self, address: str, *, timeout_s: float = 1.0, within: str = "") -> bool:
        """Is one echo request answered?"""
        six = ":" in address
        protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
        with self.new_socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, protocol, within=within) as wire:
            token = os.urandom(8)
            until = time.monotonic() + timeout_s
            try:
                wire.sendto(echo_request(token, six=six), (address, 0))
                while (left := until - time.monotonic()) > 0:
                    wire.settimeout(left)
                    if is_echo_reply(wire.recv(2048), token, six=six):
                        return True
            except OSError:
                time.sleep(max(0.0, min(0.05, until - time.monotonic())))  # no route, or nobody answered: asked again by the caller
        return False

    def _order(self, what: str, **arguments: Any) -> Any:
        with self._ordering:
            assert self._process.stdin
            self._process.stdin.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
            return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise PlaceError(f"{self.name}: its process 1 has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise PlaceError(f"{self.name}: {answer['error']}")
        return answer["done"]


def in_namespace(path: Path, work: Callable[[], T]) -> T:
    """Done by a thread that has entered a network namespace. Raises what `work` raises."""
    results: list[T] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            with path.open() as file:
                if _LIBC.setns(file.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"cannot enter {path}")
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=enter, name="in-namespace")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def wait_until(true: Callable[[], object], what: str, timeout_s: float, *, every_s: float = 0.05) -> float:
    """Seconds that it took. Raises PlaceError."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > timeout_s:
            raise PlaceError(f"{what}: not so after {timeout_s:g} s")
        time.sleep(every_s)
    return time.monotonic() - began
