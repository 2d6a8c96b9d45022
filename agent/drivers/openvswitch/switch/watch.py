"""Notices at once when the switch's process has ended or is new: it then has no flows."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

RETRY_S: Final = 0.2


class Watch:
    """Keeps a connection to the switch's control socket, which says nothing and breaks when the process ends."""

    def __init__(self, rundir: Path, restarted: Callable[[], object]) -> None:
        """`restarted`: called when a process was found that is another than before."""
        self._rundir = rundir
        self._restarted = restarted
        self._stopping = threading.Event()
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._loop, name="switch-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if connection := self._connection:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it broke by itself

    def _loop(self) -> None:
        first = True
        while not self._stopping.is_set():
            try:
                connection = self._connect()
            except (OSError, ValueError):
                first = False  # whoever comes now is new
                self._stopping.wait(RETRY_S)
                continue
            with connection:
                self._connection = connection
                if not first:
                    self._restarted()
                first = False
                try:
                    connection.recv(1)
                except OSError:
                    pass  # the same as an end
                self._connection = None

    def _connect(self) -> socket.socket:
        pid = int((self._rundir / "ovs-vswitchd.pid").read_text())
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self._rundir / f"ovs-vswitchd.{pid}.ctl"))
        except OSError:
            connection.close()
            raise
        return connection
