"""What callers hand to the services. Pure data, no Django."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

# Facts of a request that bucket policies ask about, such as `aws:SourceIp` and `s3:prefix`.
Context = Mapping[str, str]
NO_CONTEXT: Context = {}
DEFAULT_TYPE = "binary/octet-stream"


class Stream(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


@dataclass(frozen=True, kw_only=True)
class About:
    """What an object is said to be. `headers`, `acl`: as in `models.Described`."""

    content_type: str = DEFAULT_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    acl: Mapping[str, Any] | None = None


@dataclass(kw_only=True)
class Expected:
    """What the bytes must turn out to be; looked at when they have all come, so a stream may fill in what it finds at its end.

    `md5`, `sha256`: hex. `algorithm`: of the checksum to be kept (CRC32, CRC32C, CRC64NVME, SHA1, SHA256), known before the
    first byte; `checksum`: its value, base64. Empty: not asked.
    """

    md5: str = ""
    sha256: str = ""
    algorithm: str = ""
    checksum: str = ""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What must hold of the object that there is. ETags without quotes; `*` for any."""

    match: tuple[str, ...] = ()
    none_match: tuple[str, ...] = ()
    modified_since: datetime | None = None
    unmodified_since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is copied. `version`: empty for the latest one. `first`, `last`: bytes, both included; None for all."""

    bucket: str
    key: str
    version: str = ""
    condition: Condition | None = None
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class Doomed:
    """An object to be deleted. `version`: empty to delete the object, given to delete that version for good."""

    key: str
    version: str = ""
    etag: str = ""


@dataclass(frozen=True)
class Deleted:
    """What came of it. `version`: the one asked for, or that of the marker that was made; `is_marker`: it is a delete marker."""

    key: str
    version: str = ""
    is_marker: bool = False


@dataclass(frozen=True)
class NamedPart:
    """A part as the completion of an upload names it. `checksums`: algorithm → base64."""

    number: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)
