"""For tests of image workers: their work is done here, one piece at a time and in this very thread."""

import contextlib
import dataclasses
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.common.context import Actor
from apps.images.models import Image
from apps.images.services import images, imports, work
from apps.images.services.desk import JOBS
from apps.operations.models import Operation
from apps.operations.services.workers import Turn
from apps.quotas.models import Usage
from tests.support.cloud import make_project
from tests.support.identity import make_actor
from tests.support.origin import Origin

OPENED = {"image_import_private": ("127.0.0.0/8",)}


class Bench:
    """A project, its images, and a worker that works when told to."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self._monkeypatch = root, monkeypatch
        self.project = make_project()
        self.actor: Actor = make_actor(self.project)
        monkeypatch.setattr(settings, "MEDIA_ROOT", root)
        self.set(image_import_stall_s=5.0, **OPENED)

    def set(self, **wanted: Any) -> None:
        """Settings, for this test."""
        self._monkeypatch.setattr(settings, "ENV", dataclasses.replace(settings.ENV, **wanted))

    def image(self, disk_format: str = "raw", **more: Any) -> Image:
        return images.register(actor=self.actor, name="new", disk_format=disk_format, **more)

    def fetch(self, server: Origin, image: Image | None = None, **more: Any) -> tuple[Image, Operation]:
        """An import that waits for a worker."""
        image = image or self.image()
        operation = imports.start(actor=self.actor, image_id=image.pk, source=imports.FromUrl(url=server.url(), **more))
        return image, operation

    def work(self, *, stop: Callable[[], bool] = lambda: False) -> Turn | None:
        """Do the next piece."""
        return work.run_next(JOBS, stop=stop, rank=lambda _: 0.0)

    def die(self) -> None:
        """Begin the next piece, and be killed before it is done: nothing is tidied up, but the kernel lets go of the locks."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(work, "_ended", _killed)
            patched.setattr("apps.images.workrooms.shutil.rmtree", lambda *_, **__: None)
            self.work()

    def rooms(self) -> list[str]:
        return sorted(path.name for path in (self.root / "work").glob("*"))

    def contents(self) -> list[bytes]:
        """All content of the store."""
        return [path.read_bytes() for path in (self.root / "content").glob("*/*")]

    def used(self) -> tuple[int, int]:
        """Images and bytes that the quota counts."""
        found = Usage.objects.filter(project_id=self.project.pk).first()
        return (found.images, found.image_bytes) if found else (0, 0)


class Killed(BaseException):
    """The worker's process ended here."""


@contextlib.contextmanager
def _killed(turn: Turn) -> Any:
    with contextlib.suppress(Killed):
        yield


def fresh(row: Any) -> Any:
    """The row as it is now."""
    return type(row).objects.get(pk=row.pk)


def notes(operation_id: uuid.UUID) -> list[tuple[str, str, str]]:
    """(source, name, detail) of an operation's timeline."""
    return list(Operation.objects.get(pk=operation_id).events.values_list("source", "name", "detail"))
