"""Bodies in `aws-chunked`: taken apart, and each chunk's signature checked, while they are read. Pure, memory stays flat.

Before each chunk stands its size in hex, with the chunk's signature if chunks are signed; after the last, empty one there may
be trailers, with a signature of their own.
"""

import hashlib
from collections.abc import Iterable
from typing import Protocol

from apis.s3.errors import Refused
from apis.s3.request import Stream

_EMPTY = hashlib.sha256(b"").hexdigest()
_MOST_LINE, _MOST_TRAILERS = 4096, 16
_READ = 64 * 1024
_SIGNATURE = "x-amz-trailer-signature"


class Signer(Protocol):
    """What checks signatures by the key of the request."""

    def is_by(self, text: str, signature: str) -> bool: ...


class ChunkSignatures:
    """The chain of signatures: each is over the one before it, the first over that of the request."""

    def __init__(self, signer: Signer, *, stamp: str, scope: str, seed: str) -> None:
        self._signer, self._head, self._last = signer, f"{stamp}\n{scope}\n", seed

    def check_chunk(self, signature: str, digest: str) -> None:
        """`digest`: SHA-256 of the chunk in hex. Raises Refused SignatureDoesNotMatch."""
        self._check(f"AWS4-HMAC-SHA256-PAYLOAD\n{self._head}{self._last}\n{_EMPTY}\n{digest}", signature)

    def check_trailers(self, signature: str, digest: str) -> None:
        """`digest`: SHA-256 of the lines of the trailers. Raises Refused."""
        self._check(f"AWS4-HMAC-SHA256-TRAILER\n{self._head}{self._last}\n{digest}", signature)

    def _check(self, text: str, signature: str) -> None:
        if not self._signer.is_by(text, signature):
            raise Refused("SignatureDoesNotMatch", StringToSign=text, SignatureProvided=signature)
        self._last = signature


class Chunked:
    """A stream out of such a body. `length`: what comes out of it in all. `trailers`: names that were announced.

    With the last byte `found` has the trailers, by lower-case name. Raises Refused IncompleteBody, InvalidRequest, MalformedTrailerError,
    SignatureDoesNotMatch; then nothing of what was read is good.
    """

    def __init__(
        self, source: Stream, *, length: int, signatures: ChunkSignatures | None = None, trailers: Iterable[str] = ()
    ) -> None:
        self._source, self._buffer, self._at = source, b"", 0
        self._length, self._given = length, 0
        self._signatures, self._announced = signatures, frozenset(trailers)
        self._left, self._signature, self._hash = 0, "", hashlib.sha256()
        self._begun = self._ended = False
        self.found: dict[str, str] = {}

    def read(self, size: int) -> bytes:
        """At most so many bytes, in as many chunks as it takes; none at the end, when all is checked."""
        pieces: list[bytes] = []
        # With the last byte we go on to the very end: who has all bytes need not ask whether there is more.
        while not self._ended and (size or not self._left):
            if not self._left:
                self._next_chunk()
                continue
            piece = self._some(min(size, self._left))
            if self._signatures:
                self._hash.update(piece)
            self._left -= len(piece)
            size -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _next_chunk(self) -> None:
        if self._begun:
            self._end_chunk()
        self._begun = True
        size, _, extension = self._line().partition(";")
        try:
            self._left = int(size.strip(), 16) if size.strip().isalnum() else -1
        except ValueError:
            self._left = -1
        if self._left < 0:
            raise Refused("InvalidRequest", "The body is not aws-chunked: expected the size of a chunk.")
        self._given += self._left
        if self._given > self._length:
            raise Refused("IncompleteBody", f"The body holds more than the {self._length} bytes of x-amz-decoded-content-length.")
        name, _, signature = extension.partition("=")
        self._signature = signature.strip() if name.strip() == "chunk-signature" else ""
        if not self._left:
            self._finish()

    def _end_chunk(self) -> None:
        if self._exactly(2) != b"\r\n":
            raise Refused("InvalidRequest", "The body is not aws-chunked: a chunk is longer than it said.")
        self._check_chunk()

    def _check_chunk(self) -> None:
        if self._signatures:
            self._signatures.check_chunk(self._signature, self._hash.hexdigest())
            self._hash = hashlib.sha256()

    def _finish(self) -> None:
        self._check_chunk()
        if self._given != self._length:
            raise Refused("IncompleteBody", f"The body holds {self._given} bytes, x-amz-decoded-content-length says {self._length}.")
        self._read_trailers()
        self._ended = True

    def _read_trailers(self) -> None:
        lines, signature = [], ""
        for _ in range(_MOST_TRAILERS):
            line = self._line(at_end=True)
            if not line:
                break
            name, colon, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            if not colon:
                raise Refused("MalformedTrailerError")
            if name == _SIGNATURE:
                signature = value
            else:
                self.found[name] = value
                lines.append(f"{name}:{value}\n")
        if set(self.found) != self._announced:
            raise Refused("MalformedTrailerError")
        if self._signatures and self._announced:
            self._signatures.check_trailers(signature, hashlib.sha256("".join(lines).encode()).hexdigest())

    def _line(self, *, at_end: bool = False) -> str:
        """Up to the next line feed, without it. `at_end`: the body may end here."""
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if len(self._buffer) - self._at > _MOST_LINE:
                raise Refused("InvalidRequest", "The body is not aws-chunked: a line is too long.")
            more = self._source.read(_READ)
            if not more:
                if not at_end:
                    raise Refused("IncompleteBody")
                end = len(self._buffer)
                break
            self._buffer, self._at = self._buffer[self._at :] + more, 0
        line, self._at = self._buffer[self._at : end], end + 1
        if len(line) > _MOST_LINE:
            raise Refused("InvalidRequest", "The body is not aws-chunked: a line is too long.")
        try:
            return line.rstrip(b"\r").decode()
        except UnicodeDecodeError:
            raise Refused("InvalidRequest", "The body is not aws-chunked: a line is no text.") from None

    def _some(self, size: int) -> bytes:
        """At least one byte of what comes, at most `size`."""
        if self._at < len(self._buffer):
            piece = self._buffer[self._at : self._at + size]
            self._at += len(piece)
            return piece
        piece = self._source.read(size)
        if not piece:
            raise Refused("IncompleteBody")
        return piece

    def _exactly(self, size: int) -> bytes:
        found = self._some(size)
        while len(found) < size:
            found += self._some(size - len(found))
        return found
