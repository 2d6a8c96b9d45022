"""What a request says of the checksum of its body, in headers before it or in trailers behind it."""

import base64
import binascii
import re
from dataclasses import dataclass

from apis.s3.errors import Refused
from apis.s3.request import Request

# Algorithm → bytes of the digest.
LENGTHS = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}
# Which clients may ask for, and we do not compute.
_UNKNOWN = frozenset({"SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"})
_PREFIX = "x-amz-checksum-"
_NO_ALGORITHM = frozenset({"algorithm", "mode", "type"})


@dataclass(frozen=True)
class Announced:
    """`value`: base64; empty if it comes in a trailer."""

    algorithm: str
    value: str = ""


def header_of(algorithm: str) -> str:
    """The header, or trailer, of an algorithm."""
    return _PREFIX + algorithm.lower()


def announced(request: Request) -> Announced | None:
    """The one checksum that comes with a body; None for none. Raises Refused InvalidRequest, NotImplemented."""
    given = {name: value.strip() for name, value in request.headers.items() if _is_checksum(name)}
    trailers = [name for name in trailer_names(request) if _is_checksum(name)]
    if len(given) + len(trailers) > 1:
        raise Refused("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    asked = algorithm_of(request.header("x-amz-sdk-checksum-algorithm"), "x-amz-sdk-checksum-algorithm")
    for name, value in (*given.items(), *((each, "") for each in trailers)):
        algorithm = algorithm_of(name.removeprefix(_PREFIX), name)
        if asked and asked != algorithm:
            raise Refused("InvalidRequest", f"Value for x-amz-sdk-checksum-algorithm header is invalid: it is {asked}, but {name} came.")
        return Announced(algorithm, check(algorithm, value) if name in given else "")
    if asked:
        raise Refused(
            "InvalidRequest", "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
        )
    return None


def algorithm_of(name: str, where: str) -> str:
    """The algorithm's name in capitals; empty for none. Raises Refused for one that is not known or not offered."""
    found = name.strip().upper()
    if found in _UNKNOWN:
        raise Refused("NotImplemented", f"Checksums by {found} are not offered; there are {', '.join(LENGTHS)}.", Header=where)
    if found and found not in LENGTHS:
        raise Refused("InvalidRequest", f"Checksum algorithm provided is unsupported. Please try again with any of the valid types: {list(LENGTHS)}")
    return found


def check(algorithm: str, value: str) -> str:
    """A value as it is to be compared. Raises Refused InvalidRequest."""
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != LENGTHS[algorithm]:
        raise Refused("InvalidRequest", f"Value for {header_of(algorithm)} header is invalid.")
    return base64.b64encode(raw).decode()


def trailer_names(request: Request) -> list[str]:
    """The trailers that the request announces. Raises Refused for one that we would not know what to do with."""
    names = [name.strip().lower() for name in request.header("x-amz-trailer").split(",") if name.strip()]
    if any(not _is_checksum(name) for name in names):
        raise Refused("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return names


def content_md5(request: Request) -> str:
    """The MD5 of the body in hex, as Content-MD5 says it; empty if it says nothing. Raises Refused InvalidDigest."""
    text = request.header("content-md5")
    if not text and "content-md5" not in request.headers:
        return ""
    if not re.fullmatch(r"[A-Za-z0-9+/]{22}==", text):
        raise Refused("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return base64.b64decode(text).hex()


def _is_checksum(name: str) -> bool:
    return name.startswith(_PREFIX) and name.removeprefix(_PREFIX) not in _NO_ALGORITHM
