"""Conditions and ranges of requests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from apis.s3.errors import Refused
from apps.objects.inputs import Condition

_ETAG = re.compile(r'(?:W/)?"([^"]*)"|([^",\s]+)')
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)


@dataclass(frozen=True)
class Span:
    """Bytes of an object, both ends included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def of_read(headers: Mapping[str, str], prefix: str = "") -> Condition | None:
    """What must hold for the object to be sent. `prefix`: `x-amz-copy-source-` for the one that is copied. None for no condition."""
    match, none_match = etags(headers.get(f"{prefix}if-match", "")), etags(headers.get(f"{prefix}if-none-match", ""))
    modified, unmodified = (_date(headers.get(f"{prefix}if-{name}", "")) for name in ("modified-since", "unmodified-since"))
    if not (match or none_match or modified or unmodified):
        return None
    return Condition(match=match, none_match=none_match, modified_since=modified, unmodified_since=unmodified)


def of_write(headers: Mapping[str, str]) -> Condition | None:
    """What must hold of the object that is replaced: an ETag, or that there is none. Raises Refused NotImplemented."""
    match, none_match = etags(headers.get("if-match", "")), etags(headers.get("if-none-match", ""))
    if none_match and none_match != ("*",):
        raise Refused("NotImplemented", "If-None-Match of a write must be *.", Header="If-None-Match")
    if match and (none_match or match == ("*",) or len(match) > 1):
        raise Refused("NotImplemented", "If-Match of a write must be one ETag, and stand alone.", Header="If-Match")
    return Condition(match=match, none_match=none_match) if match or none_match else None


def etags(text: str) -> tuple[str, ...]:
    """Those of a header, without quotes."""
    return tuple(quoted or plain for quoted, plain in _ETAG.findall(text))


def span(text: str, size: int) -> Span | None:
    """The range that is asked for; None for all, also if what is asked for is no range of bytes, or several.

    Raises Refused InvalidRange.
    """
    match = _RANGE.fullmatch(text.replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        found = Span(max(size - int(last), 0), size - 1)
        if not int(last):
            found = Span(size, size)
    else:
        if last and int(last) < int(first):
            return None
        found = Span(int(first), min(int(last), size - 1) if last else size - 1)
    if found.first >= size:
        raise Refused("InvalidRange", RangeRequested=text[:128], ActualObjectSize=size, headers={"Content-Range": f"bytes */{size}"})
    return found


def copied_span(text: str) -> Span | None:
    """`x-amz-copy-source-range`, which names both ends. Raises Refused InvalidArgument."""
    if not text:
        return None
    match = _RANGE.fullmatch(text)
    if match is None or not match[1] or not match[2] or int(match[1]) > int(match[2]):
        raise Refused(
            "InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the"
            " zero-based offsets of the first and last bytes to copy", ArgumentName="x-amz-copy-source-range", ArgumentValue=text[:64],
        )
    return Span(int(match[1]), int(match[2]))


def is_current(if_range: str, etag: str, changed_at: datetime) -> bool:
    """Whether a range may be sent, or all must be because the object is another one by now."""
    if not if_range:
        return True
    when = _date(if_range)
    return etag in etags(if_range) if when is None else changed_at.replace(microsecond=0) <= when


def _date(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
