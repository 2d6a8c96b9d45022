"""Bodies in aws-chunked, taken apart while they are read."""

import hashlib
import hmac
import io
import random

import pytest

from apis.s3.chunked import Chunked, ChunkSignatures
from apis.s3.errors import Refused
from apps.identity.signatures import Signer

DATA = random.Random(1).randbytes(300_000)
SIGNER = Signer.of("hush", "20260101/us-east-1/s3/aws4_request")
TRAILER = ("x-amz-checksum-crc32", "AAAAAA==")
_EMPTY = hashlib.sha256(b"").hexdigest()


class Trickle:
    """A stream that gives at most so many bytes at once."""

    def __init__(self, content: bytes, most: int) -> None:
        self._content, self._most = io.BytesIO(content), most

    def read(self, size: int, /) -> bytes:
        return self._content.read(min(size, self._most))


def sign(text: str) -> str:
    return hmac.new(SIGNER.key, text.encode(), "sha256").hexdigest()


def wrapped(data: bytes, sizes: list[int], *, signed: bool = True, trailer: tuple[str, str] | None = None, bad: int = -1) -> bytes:
    """As a client sends it. `bad`: which chunk has a wrong signature."""
    out, last, at = b"", "seed", 0
    for number, size in enumerate([*sizes, 0]):
        piece, at = data[at : at + size], at + size
        text = f"AWS4-HMAC-SHA256-PAYLOAD\nstamp\nscope\n{last}\n{_EMPTY}\n{hashlib.sha256(piece).hexdigest()}"
        last = "0" * 64 if number == bad else sign(text)
        out += f"{size:x}{f';chunk-signature={last}' if signed else ''}\r\n".encode() + (piece + b"\r\n" if size else b"")
    if trailer:
        line = f"{trailer[0]}:{trailer[1]}\n"
        out += line.encode().replace(b"\n", b"\r\n")
        if signed:
            text = f"AWS4-HMAC-SHA256-TRAILER\nstamp\nscope\n{last}\n{hashlib.sha256(line.encode()).hexdigest()}"
            out += f"x-amz-trailer-signature:{sign(text)}\r\n".encode()
    return out + b"\r\n"


def opened(content: bytes, *, length: int = len(DATA), signed: bool = True, trailer: bool = False, most: int = 10**6) -> Chunked:
    signatures = ChunkSignatures(SIGNER, stamp="stamp", scope="scope", seed="seed") if signed else None
    return Chunked(Trickle(content, most), length=length, signatures=signatures, trailers=[TRAILER[0]] if trailer else [])


def all_of(stream: Chunked, size: int = 50_000) -> bytes:
    pieces = []
    while piece := stream.read(size):
        assert len(piece) <= size
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("trailer", [TRAILER, None])
@pytest.mark.parametrize("most", [1, 1000, 10**6])
def test_what_was_wrapped_comes_out_however_it_arrives(signed: bool, trailer: tuple[str, str] | None, most: int) -> None:
    stream = opened(
        wrapped(DATA, [65536, 65536, 100_000, 68_928], signed=signed, trailer=trailer), signed=signed, trailer=bool(trailer), most=most
    )
    assert all_of(stream) == DATA
    assert stream.found == ({TRAILER[0]: TRAILER[1]} if trailer else {})


def test_with_the_last_byte_all_is_checked_already() -> None:
    stream = opened(wrapped(DATA, [len(DATA)], trailer=TRAILER), trailer=True)
    assert stream.read(len(DATA)) == DATA
    assert stream.found == {TRAILER[0]: TRAILER[1]}
    with pytest.raises(Refused):
        opened(wrapped(DATA, [len(DATA)], bad=1)).read(len(DATA))


def test_an_empty_body_has_an_end_too() -> None:
    stream = opened(wrapped(b"", [], trailer=TRAILER), length=0, trailer=True)
    assert stream.read(1) == b""
    assert stream.found == {TRAILER[0]: TRAILER[1]}


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_wrong_signature_of_any_chunk_is_refused(bad: int) -> None:
    with pytest.raises(Refused) as caught:
        all_of(opened(wrapped(DATA, [200_000, 100_000], bad=bad)))
    assert (caught.value.code, caught.value.status) == ("SignatureDoesNotMatch", 403)


def test_a_byte_that_changed_on_the_way_is_found() -> None:
    content = bytearray(wrapped(DATA, [len(DATA)]))
    content[150_000] ^= 1
    with pytest.raises(Refused) as caught:
        all_of(opened(bytes(content)))
    assert caught.value.code == "SignatureDoesNotMatch"


def test_a_trailer_that_was_changed_is_found() -> None:
    with pytest.raises(Refused) as caught:
        all_of(opened(wrapped(DATA, [len(DATA)], trailer=TRAILER).replace(b"AAAAAA==", b"BAAAAA=="), trailer=True))
    assert caught.value.code == "SignatureDoesNotMatch"


def test_a_body_that_breaks_off_is_incomplete_wherever_that_is() -> None:
    content = wrapped(DATA[:1000], [600, 400], trailer=TRAILER)
    for end in range(0, len(content) - 150, 37):
        with pytest.raises(Refused) as caught:
            all_of(opened(content[:end], length=1000, trailer=True))
        assert caught.value.code in ("IncompleteBody", "InvalidRequest")


@pytest.mark.parametrize("length", [len(DATA) - 1, len(DATA) + 1, 0])
def test_it_must_hold_as_much_as_was_said(length: int) -> None:
    with pytest.raises(Refused) as caught:
        stream = opened(wrapped(DATA, [200_000, 100_000]), length=length)
        all_of(stream)
    assert caught.value.code == "IncompleteBody"


def test_a_trailer_that_was_announced_must_come_and_no_other() -> None:
    for content, announced in ((wrapped(b"", []), True), (wrapped(b"", [], trailer=TRAILER), False)):
        with pytest.raises(Refused) as caught:
            opened(content, length=0, trailer=announced).read(1)
        assert caught.value.code == "MalformedTrailerError"


@pytest.mark.parametrize(
    "content", [b"x\r\n", b"-5\r\nhello\r\n", b"5\r\nhelloworld\r\n0\r\n\r\n", b"\xff\xff\r\n", b"1" * 5000, b"5;" + b"a" * 5000 + b"\r\n"],
    ids=["no number", "below zero", "too long", "no text", "no end", "long line"],
)
def test_what_is_no_chunk_is_refused(content: bytes) -> None:
    with pytest.raises(Refused) as caught:
        all_of(opened(content, length=5, signed=False))
    assert caught.value.status == 400
