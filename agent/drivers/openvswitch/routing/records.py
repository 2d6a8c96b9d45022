"""Which namespaces are ours, and which of the host's devices belong to them: one small file each.

Written before anything is made, and gone after the last of it. The folder does not survive a reboot, and neither does what
it speaks of.
"""

from pathlib import Path

import msgspec


class Records:
    """`folder`: this installation's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> dict[str, list[str]]:
        """Namespace → devices. A file that was cut short names no device; they end with their namespace."""
        found = {}
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if not path.name.startswith("."):
                try:
                    found[path.name] = msgspec.json.decode(path.read_bytes(), type=list[str])
                except msgspec.DecodeError:
                    found[path.name] = []
        return found

    def put(self, space: str, devices: list[str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f".{space}"
        temporary.write_bytes(msgspec.json.encode(devices))
        temporary.replace(self._folder / space)

    def forget(self, space: str) -> None:
        (self._folder / space).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder; to be called when nothing is left."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                path.unlink(missing_ok=True)
            self._folder.rmdir()
