"""A private PostgreSQL for one test session: a unix socket in a scratch folder, nothing of the system's cluster."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

DATABASE = "cloudsite"
USER = "cloudsite"
_START_TIMEOUT_S = 60.0


class PostgresMissing(Exception):
    """There is no PostgreSQL on this machine; the message says what to do."""


class PrivatePostgres:
    """`url` is known before `start`, so that settings can be made first and the server only when a test needs it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cspg-", dir="/tmp"))
        self.url = f"postgresql://{USER}@/{DATABASE}?host={self.folder}"
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._server is not None

    def start(self) -> None:
        """Make a cluster and start it: about 1.5 s. Raises PostgresMissing, RuntimeError."""
        if self._server is not None:
            return
        binaries = find_binaries()
        owner = _owner()
        if owner is not None:
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        data, log = self.folder / "data", self.folder / "log"
        made = subprocess.run(
            [*_as(owner), str(binaries / "initdb"), "--pgdata", str(data), "--username", USER, "--auth", "trust",
             "--encoding", "UTF8", "--locale", "C", "--no-sync"],
            capture_output=True, text=True, check=False, cwd="/",
        )
        if made.returncode:
            raise RuntimeError(f"initdb: {made.stderr or made.stdout}")
        # fsync stays on, as in production. `deadlock_timeout` only says how soon a deadlock is noticed.
        options = {
            "listen_addresses": "", "unix_socket_directories": str(self.folder), "max_connections": "200",
            "shared_buffers": "64MB", "max_wal_size": "2GB", "deadlock_timeout": "200ms", "log_lock_waits": "off",
        }
        with log.open("wb") as output:
            self._server = subprocess.Popen(
                [*_as(owner, dies_with_us=True), str(binaries / "postgres"), "-D", str(data),
                 *(f"--{name}={value}" for name, value in options.items())],
                stdout=output, stderr=subprocess.STDOUT, cwd="/",
            )
        self._wait(binaries, log)

    def stop(self) -> None:
        """Stop at once and remove everything; also when it was never started."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            try:
                self._server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """What the server has written: deadlocks are found here."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _wait(self, binaries: Path, log: Path) -> None:
        assert self._server is not None
        ends = time.monotonic() + _START_TIMEOUT_S
        ready = [str(binaries / "pg_isready"), "--quiet", "--host", str(self.folder), "--username", USER]
        while subprocess.run(ready, check=False).returncode:
            if self._server.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)


def find_binaries() -> Path:
    """The newest server's folder of programs. Raises PostgresMissing."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: int(Path(p).parts[4]))
    if found:
        return Path(found[-1]).parent
    program = shutil.which("postgres")
    if program is None:
        raise PostgresMissing("PostgreSQL is not installed (apt install postgresql); --sqlite runs the tests without it.")
    return Path(program).resolve().parent


def _owner() -> pwd.struct_passwd | None:
    """Whom the server runs as; None: as ourselves. It refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresMissing("PostgreSQL refuses to run as root, and there is no other user to run it as.")


def _as(owner: pwd.struct_passwd | None, *, dies_with_us: bool = False) -> list[str]:
    """A prefix that changes the user, and lets the kernel end the server when this process is killed."""
    if shutil.which("setpriv") is None:
        return []
    user = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"] if owner is not None else []
    return ["setpriv", *user, *(["--pdeathsig", "QUIT"] if dies_with_us else []), "--"] if user or dies_with_us else []


class Deadlocks:
    """The deadlocks that a server has ended since this was made; calling it counts them."""

    def __init__(self, server: PrivatePostgres) -> None:
        self._server = server
        self._before = len(server.log())

    def __call__(self) -> int:
        return self._log().count("deadlock detected")

    def details(self) -> str:
        """The last ones, as the server tells them."""
        return self._log()[-6000:]

    def _log(self) -> str:
        return self._server.log()[self._before :]
