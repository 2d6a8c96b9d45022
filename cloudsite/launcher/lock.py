"""One `make up` per installation: a lock that ends with its holder, however that ends."""

import fcntl
import os
from pathlib import Path

from cloudsite.launcher.programs import LaunchError


class Lock:
    """Held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Raises LaunchError if another process holds it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode().strip()
            os.close(self._file)
            raise LaunchError(f"It runs already: process {holder} holds {path}.") from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._file)
