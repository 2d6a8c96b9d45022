"""The body of a request as a stream: unwrapped and bounded; and what it was said, or signed, to be."""

import hashlib
import re

from apis.s3 import checksums
from apis.s3.chunked import Chunked, ChunkSignatures, Signer
from apis.s3.errors import Refused
from apis.s3.request import Request, Stream
from apis.s3.signing import UNSIGNED, Claim
from apps.objects.hashing import Hashes
from apps.objects.inputs import Expected

_HEX = re.compile(r"[0-9a-f]{64}")
_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_SIGNED_TRAILER, _UNSIGNED_TRAILER = f"{_SIGNED}-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_STREAMING = (_SIGNED, _SIGNED_TRAILER, _UNSIGNED_TRAILER)


class Counted:
    """What the server hands over, and how much of it was taken."""

    def __init__(self, source: Stream) -> None:
        self._source, self.taken = source, 0

    def read(self, size: int, /) -> bytes:
        piece = self._source.read(size)
        self.taken += len(piece)
        return piece


class Whole:
    """A body of a known length. Raises Refused IncompleteBody if it breaks off."""

    def __init__(self, source: Stream, length: int) -> None:
        self._source, self._left = source, length

    def read(self, size: int, /) -> bytes:
        piece = self._source.read(min(size, self._left)) if self._left else b""
        if self._left and not piece:
            raise Refused("IncompleteBody")
        self._left -= len(piece)
        return piece


class Body:
    """`length`: of the content, without its wrapping. `expected`: what it must be; complete with the last byte.

    `checksummed`: the checksum that is announced is one of this body, and not of an object that it speaks of.
    """

    def __init__(self, request: Request, source: Stream, claim: Claim | None, signer: Signer | None, *, checksummed: bool = True) -> None:
        announced = checksums.announced(request) if checksummed else None
        payload = _payload(request, claim)
        self.expected = Expected(
            md5=checksums.content_md5(request), sha256=payload if _HEX.fullmatch(payload) else "",
            algorithm=announced.algorithm if announced else "", checksum=announced.value if announced else "",
        )
        self._in_trailer = announced is not None and not announced.value
        self.length, self._stream = _stream(request, source, payload, claim, signer)
        self._left = self.length
        if not self.length:
            self.read(1)  # nobody reads what is empty, and the end must be looked at all the same

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        piece = self._stream.read(size)
        self._left -= len(piece)
        if not self._left and self._in_trailer and isinstance(self._stream, Chunked):
            algorithm = self.expected.algorithm
            self.expected.checksum = checksums.check(algorithm, self._stream.found.get(checksums.header_of(algorithm), ""))
        return piece

    def all(self, most: int) -> bytes:
        """The whole content in memory, checked. Raises Refused."""
        if self.length > most:
            raise Refused("MaxMessageLengthExceeded", MaxMessageLengthBytes=most)
        pieces = []
        while piece := self.read(64 * 1024):
            pieces.append(piece)
        content = b"".join(pieces)
        expected = self.expected
        if expected.sha256 and hashlib.sha256(content).hexdigest() != expected.sha256:
            raise Refused("XAmzContentSHA256Mismatch")
        if expected.md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() != expected.md5:
            raise Refused("BadDigest")
        if expected.algorithm and _checksum(expected.algorithm, content) != expected.checksum:
            raise Refused("BadDigest")
        return content


def encodings(request: Request) -> list[str]:
    """The codings of Content-Encoding."""
    return [each.strip() for each in request.header("content-encoding").split(",") if each.strip()]


def _payload(request: Request, claim: Claim | None) -> str:
    """The SHA-256 of the body in hex, or one of S3's words. Raises Refused InvalidArgument, NotImplemented."""
    payload = claim.payload if claim else request.header("x-amz-content-sha256") or UNSIGNED
    if payload == UNSIGNED and "aws-chunked" in encodings(request) and request.header("x-amz-decoded-content-length"):
        return _UNSIGNED_TRAILER
    if payload in (UNSIGNED, *_STREAMING) or _HEX.fullmatch(payload):
        return payload
    if payload.startswith("STREAMING-"):
        raise Refused("NotImplemented", Header="x-amz-content-sha256")
    raise Refused(
        "InvalidArgument", f"x-amz-content-sha256 must be {UNSIGNED}, {', '.join(_STREAMING)}, or a valid sha256 value.",
        ArgumentName="x-amz-content-sha256", ArgumentValue=payload[:128],
    )


def _stream(request: Request, source: Stream, payload: str, claim: Claim | None, signer: Signer | None) -> tuple[int, Stream]:
    """(length of the content, the content)."""
    if payload not in _STREAMING:
        if request.length is None:
            raise Refused("MissingContentLength")
        return request.length, Whole(source, request.length)
    length, trailers = _decoded_length(request), checksums.trailer_names(request)
    if payload == _UNSIGNED_TRAILER:
        return length, Chunked(source, length=length, trailers=trailers)
    if claim is None or signer is None:
        raise Refused("AccessDenied", "Signed chunks need a signed request.")
    if payload == _SIGNED and trailers:
        raise Refused("InvalidRequest", f"x-amz-trailer needs x-amz-content-sha256: {_SIGNED_TRAILER}")
    stamp, scope = claim.stamp_and_scope
    signatures = ChunkSignatures(signer, stamp=stamp, scope=scope, seed=claim.signature)
    return length, Chunked(source, length=length, signatures=signatures, trailers=trailers)


def _decoded_length(request: Request) -> int:
    text = request.header("x-amz-decoded-content-length")
    if not text:
        raise Refused("MissingContentLength")
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        raise Refused("InvalidArgument", "x-amz-decoded-content-length: expected a number.", ArgumentName="x-amz-decoded-content-length")
    return int(text)


def _checksum(algorithm: str, content: bytes) -> str:
    """Base64."""
    hashes = Hashes(algorithm)
    hashes.update(content)
    return hashes.checksum
