"""Answers of operations, before they become HTTP."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime

from apis.s3 import xml


@dataclass(kw_only=True)
class Answer:
    """`length`: of the body, where it is no bytes; of what a GET would bring, where the request is a HEAD."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""
    length: int | None = None


def nothing(status: int = 204, **headers: str) -> Answer:
    """Without a body. `x_amz_version_id="…"` is the header `x-amz-version-id`."""
    return Answer(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})


def document(name: str, content: xml.Value, *, headers: dict[str, str] | None = None, namespace: str = xml.NAMESPACE) -> Answer:
    """An XML document."""
    return Answer(
        headers={"Content-Type": "application/xml", **(headers or {})}, body=xml.document(name, content, namespace=namespace)
    )


def date(when: datetime) -> str:
    """As HTTP writes it."""
    return format_datetime(when, usegmt=True)


def quoted(etag: str) -> str:
    """An ETag as headers and documents have it."""
    return f'"{etag}"'
