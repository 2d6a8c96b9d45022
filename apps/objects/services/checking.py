"""Checks of what users send beside content: keys, names, metadata, tags."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address

from apps.common.errors import Invalid
from apps.objects.access import acl as access_lists
from apps.objects.inputs import About
from apps.objects.states import BUCKET_MOST_TAGS, KEY_MOST_BYTES, METADATA_MOST_BYTES, OBJECT_MOST_TAGS

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# Ends and beginnings that mean something else in S3's addresses.
_TAKEN_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_TAKEN_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_TAG = re.compile(r"[\w\s+\-=.:/@]*")
_HEADERS = frozenset({"cache-control", "content-disposition", "content-encoding", "content-language", "expires"})


def check_bucket_name(name: str) -> None:
    """Raises Invalid `bucket.name` unless S3 takes it."""
    good = bool(_BUCKET.fullmatch(name)) and ".." not in name and ".-" not in name and "-." not in name and not _is_address(name)
    if not good or name.startswith(_TAKEN_PREFIXES) or name.endswith(_TAKEN_SUFFIXES):
        raise Invalid(
            "bucket.name", "Names of buckets have 3 to 63 lower-case letters, digits, dots and hyphens, begin and end with a letter or"
            " digit, and do not look like an IP address.", field="name",
        )


def check_key(key: str) -> None:
    """Raises Invalid `key.invalid` (fact `too_long`)."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise Invalid("key.invalid", "A key is UTF-8.", field="key", too_long=False) from None
    if not 1 <= size <= KEY_MOST_BYTES or "\0" in key:
        message = f"A key has 1 to {KEY_MOST_BYTES} bytes, none of them NUL."
        raise Invalid("key.invalid", message, field="key", too_long=size > KEY_MOST_BYTES)


def check_about(about: About) -> None:
    """Raises Invalid `object.metadata`, `tags.invalid`, `acl.invalid`."""
    if not about.headers.keys() <= _HEADERS:
        raise Invalid("object.metadata", f"headers: expected some of {', '.join(sorted(_HEADERS))}.", field="headers")
    size = sum(len(name.encode()) + len(value.encode()) for name, value in about.metadata.items())
    if size > METADATA_MOST_BYTES:
        raise Invalid("object.metadata", f"Metadata have at most {METADATA_MOST_BYTES} bytes, not {size}.", field="metadata", too_large=True)
    texts = (about.content_type, *about.headers.values(), *about.metadata.keys(), *about.metadata.values())
    if len(about.content_type) > 255 or any("\0" in text for text in texts):
        raise Invalid("object.metadata", "Content types have at most 255 characters; NUL is nowhere allowed.", field="metadata")
    check_tags(about.tags, most=OBJECT_MOST_TAGS)
    access_lists.check(about.acl, is_object=True)


def check_tags(tags: Mapping[str, str], *, most: int = BUCKET_MOST_TAGS) -> None:
    """Raises Invalid `tags.invalid`."""
    if len(tags) > most:
        raise Invalid("tags.invalid", f"At most {most} tags are allowed, not {len(tags)}.", field="tags", limit=most)
    for name, value in tags.items():
        if not 1 <= len(name) <= 128 or len(value) > 256 or not _TAG.fullmatch(name) or not _TAG.fullmatch(value) or name.startswith("aws:"):
            raise Invalid(
                "tags.invalid", "A tag has a name of 1 to 128 and a value of up to 256 letters, digits, spaces and + - = . : / @ _;"
                " names do not begin with aws:.", field="tags",
            )


def _is_address(name: str) -> bool:
    try:
        IPv4Address(name)
    except ValueError:
        return False
    return True
