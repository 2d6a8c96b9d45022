"""Conversations between fake guests."""

import os
import socket

from tests.real.switchyard import Guest


class Talk:
    """A TCP connection from one guest to another, and what passes over it.

    A busy machine may need long for what is to pass; what is not to is waited for a second."""

    def __init__(self, client: Guest, server: Guest, port: int) -> None:
        self.listener = server.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("", port))
        self.listener.listen()
        self.client = client.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._where = (server.port.addresses[0].address, port)

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self.client, self.listener, *([self.server] if hasattr(self, "server") else [])):
            one.close()

    def opens(self, within_s: float = 20.0) -> bool:
        self.client.settimeout(within_s)
        try:
            self.client.connect(self._where)
        except OSError:
            return False
        self.server, _ = self.listener.accept()
        return True

    def is_refused(self) -> bool:
        return not self.opens(1.0)

    def passes(self, within_s: float = 20.0) -> bool:
        """Both ways."""
        return self._passes(self.client, self.server, within_s) and self._passes(self.server, self.client, within_s)

    def is_cut(self) -> bool:
        """Neither way anything passes."""
        return not self._passes(self.client, self.server, 1.0) and not self._passes(self.server, self.client, 1.0)

    @staticmethod
    def _passes(speaker: socket.socket, listener: socket.socket, within_s: float) -> bool:
        token = os.urandom(8)
        listener.settimeout(within_s)
        try:
            speaker.sendall(token)
            heard = b""
            while not heard.endswith(token):
                if not (more := listener.recv(4096)):
                    return False
                heard += more
        except OSError:
            return False
        return True
