"""Where the files of instances lie, and under which path QEMU can open them.

QEMU does not run as root. Below a folder that only root may enter (`/root/site/var`, say) it could not reach its disk,
so there the folder of instances is bound to a second place that anybody may pass through. Only that folder is: what
QEMU needs of an image is a hard link in the instance's own folder, so nothing else of the state directory shows.
"""

import hashlib
import os
import shutil
import threading
import uuid
from pathlib import Path

from agent.drivers.command import run

CODE = "host.folders"
# Passable, not listable. Whoever knows an instance's id still finds files only that are its own user's to read.
PASSABLE = 0o711


class Folders:
    """`<state_dir>/instances/<instance id>/`."""

    def __init__(self, state_dir: Path, run_dir: Path) -> None:
        """`run_dir`: below it the second place is made; gone after a reboot, as mounts are."""
        self._instances = state_dir / "instances"
        self._instances.mkdir(parents=True, exist_ok=True)
        self._instances.chmod(PASSABLE)
        digest = hashlib.blake2b(str(state_dir.resolve()).encode(), digest_size=4).hexdigest()
        self._run_dir = run_dir
        self._bound = run_dir / f"files-{digest}" / "instances"
        self._binding = threading.Lock()

    def of(self, instance_id: str) -> Path:
        """The instance's folder, whether or not it exists."""
        return self._instances / instance_id

    def ids(self) -> list[str]:
        """Instances that have a folder."""
        return sorted(path.name for path in self._instances.iterdir() if _is_uuid(path.name))

    def make(self, instance_id: str) -> Path:
        folder = self.of(instance_id)
        folder.mkdir(exist_ok=True)
        folder.chmod(PASSABLE)
        return folder

    def remove(self, instance_id: str) -> None:
        """Remove the folder with all that is in it; fine when there is none."""
        folder = self.of(instance_id)
        if folder.exists():
            # Under another name first: a half-removed folder must not look like an instance.
            doomed = folder.with_name(f".{instance_id}.removed")
            if doomed.exists():
                shutil.rmtree(doomed)
            folder.rename(doomed)
            shutil.rmtree(doomed)

    def as_seen_by(self, owner: tuple[int, int], instance_id: str) -> Path:
        """The instance's folder under a path that a process of `owner` (uid, gid) can follow.

        Raises DriverError `host.folders`.
        """
        if is_reachable(self._instances, owner):
            return self.of(instance_id)
        with self._binding:
            self._bind()
        return self._bound / instance_id

    def release(self) -> None:
        """Undo the binding once no instance is left; the next one makes it again."""
        with self._binding:
            if self._bound.exists() and not self.ids():
                if _is_mount(self._bound):
                    run("umount", "--lazy", self._bound, code=CODE)
                for folder in (self._bound, self._bound.parent):
                    folder.rmdir()

    def _bind(self) -> None:
        if self._bound.exists() and os.path.samestat(self._bound.stat(), self._instances.stat()):
            return
        if _is_mount(self._bound):  # of a state directory that was since removed and made anew
            run("umount", "--lazy", self._bound, code=CODE)
        self._bound.mkdir(parents=True, exist_ok=True)
        for folder in (self._run_dir, self._bound.parent):
            folder.chmod(0o755)
        run("mount", "--bind", self._instances, self._bound, code=CODE)


def is_reachable(folder: Path, owner: tuple[int, int]) -> bool:
    """May a process of `owner` pass through `folder` and all above it? Access lists are not looked at."""
    uid, gid = owner
    if uid == 0:
        return True
    resolved = folder.resolve()
    for path in (resolved, *resolved.parents):
        status = path.stat()
        shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
        if not status.st_mode >> shift & 1:
            return False
    return True


def _is_mount(path: Path) -> bool:
    # Not os.path.ismount: a folder bound within one file system has the same device number.
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4].encode().decode("unicode_escape") == str(path) for line in lines)


def _is_uuid(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
