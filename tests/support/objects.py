"""A bucket to work with: puts and reads through the services, and what the store, the rows and the quota say of each other."""

import io
import random
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apps.common.context import SYSTEM, Actor
from apps.objects.inputs import About, NamedPart, Source
from apps.objects.models import Garbage, Part, Upload, Version
from apps.objects.selectors import content, listing
from apps.objects.selectors import objects as objects_there
from apps.objects.services import buckets, objects, scrub, uploads
from apps.objects.states import PART_LEAST_BYTES, Versioning
from apps.quotas.models import Usage
from apps.quotas.services import audit
from tests.support.cloud import make_project
from tests.support.identity import make_actor

MIB = 1024**2


def bytes_of(size: int, seed: object = 0) -> bytes:
    return random.Random(str(seed)).randbytes(size)


class Shelf:
    """A bucket of a project of its own."""

    def __init__(self, root: Path, name: str = "shelf") -> None:
        self.root, self.name = root / "objects", name
        self.project = make_project()
        self.actor: Actor = make_actor(self.project)
        self.bucket = buckets.create(actor=self.actor, name=name)

    def versioning(self, versioning: Versioning) -> None:
        buckets.put_versioning(actor=self.actor, name=self.name, versioning=versioning)

    def put(self, key: str = "key", data: bytes = b"data", **more: Any) -> Version:
        more = {"about": About(), "size_bytes": len(data), "actor": self.actor, **more}
        return objects.put(bucket=self.name, key=key, stream=io.BytesIO(data), **more)

    def found(self, key: str = "key", version: str = "") -> Version:
        return objects_there.found(actor=self.actor, bucket=self.name, key=key, version=version)[1]

    def read(self, key: str = "key", version: str = "", *, first: int = 0, last: int | None = None) -> bytes:
        stream = content.open_content(self.found(key, version), first=first, last=last)
        try:
            return b"".join(stream)
        finally:
            stream.close()

    def delete(self, key: str = "key", version: str = "") -> Any:
        return objects.delete(actor=self.actor, bucket=self.name, key=key, version=version)

    def copy(self, source: str, key: str, **more: Any) -> Version:
        return objects.copy(actor=self.actor, source=Source(bucket=self.name, key=source), bucket=self.name, key=key, **more)

    def begin(self, key: str = "key", **more: Any) -> Upload:
        return uploads.begin(actor=more.pop("actor", self.actor), bucket=self.name, key=key, about=more.pop("about", About()), **more)

    def part(self, upload: Upload, number: int, data: bytes, **more: Any) -> Part:
        return uploads.put_part(
            actor=more.pop("actor", self.actor), bucket=self.name, key=upload.key, upload_id=upload.pk.hex, number=number, stream=io.BytesIO(data), **more
        )

    def complete(self, upload: Upload, parts: Sequence[Part], **more: Any) -> Version:
        named = [NamedPart(part.number, part.etag) for part in parts]
        return uploads.complete(actor=more.pop("actor", self.actor), bucket=self.name, key=upload.key, upload_id=upload.pk.hex, parts=named, **more)

    def put_in_parts(self, key: str = "key", sizes: Sequence[int] = (PART_LEAST_BYTES, 3)) -> bytes:
        """An object made of parts of these sizes; its bytes."""
        upload = self.begin(key)
        chunks = [bytes_of(size, (key, position)) for position, size in enumerate(sizes)]
        self.complete(upload, [self.part(upload, position + 1, chunk) for position, chunk in enumerate(chunks)])
        return b"".join(chunks)

    def listed(self, **more: Any) -> list[str]:
        return [row.key for row in listing.objects(self.bucket, **more).entries]

    def versions(self, key: str = "key") -> list[listing.Entry]:
        return [row for row in listing.versions(self.bucket, prefix=key).entries if row.key == key]

    @property
    def used_bytes(self) -> int:
        return Usage.objects.get(pk=self.project.pk).object_bytes

    def files(self, folder: str = "data") -> set[uuid.UUID]:
        """The blobs that are there."""
        return {uuid.UUID(path.name) for path in (self.root / folder).rglob("*") if path.is_file()}

    def faults(self) -> list[str]:
        """What rows, content and quota say against each other."""
        wanted = set(Version.objects.filter(size_bytes__gt=0, parts_count=0).values_list("pk", flat=True))
        wanted |= set(Part.objects.filter(size_bytes__gt=0).values_list("pk", flat=True))
        owned = wanted | set(Garbage.objects.values_list("pk", flat=True))
        there = self.files() | self.files("incoming")
        found = [f"blob {blob} is missing" for blob in wanted - there] + [f"blob {blob} is nobody's" for blob in there - owned]
        found += [str(each) for each in scrub.scrub(actor=SYSTEM, most_mb_s=0).findings]
        return found + [str(each) for each in audit.drifts()]
