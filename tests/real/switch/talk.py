"""Conversations between fake guests."""

import os
import socket

from tests.real.switchyard import Guest


class Talk:
    """A TCP connection from one guest to another, and what passes over it."""

    def __init__(self, client: Guest, server: Guest, port: int) -> None:
        self.listener = server.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("", port))
        self.listener.listen()
        self.client = client.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.client.settimeout(1.0)
        self._where = (server.port.addresses[0].address, port)

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self.client, self.listener, *([self.server] if hasattr(self, "server") else [])):
            one.close()

    def opens(self) -> bool:
        try:
            self.client.connect(self._where)
        except OSError:
            return False
        self.server, _ = self.listener.accept()
        self.server.settimeout(1.0)
        return True

    def passes(self) -> bool:
        """Both ways."""
        return self._passes(self.client, self.server) and self._passes(self.server, self.client)

    def answers_pass(self) -> bool:
        return self._passes(self.server, self.client)

    @staticmethod
    def _passes(speaker: socket.socket, listener: socket.socket) -> bool:
        token = os.urandom(8)
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
