"""The signed envelope around every command and every report.

On the wire an envelope is one ASCII-safe string, `<key id>.<signature>.<payload>`: the payload is the JSON text that was
signed, so nothing is re-encoded between signing and checking. Signatures are ed25519 over `<kind>\\n<payload>`; the kind
keeps a command from ever being taken for a report. A `Sealer` holds a private key, a `PublicKey` checks.
"""

import base64
import enum
import hashlib
import secrets
import time
from typing import Any, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VERSION = 1
# Refused before any parsing: 4 MiB holds an observation of some 10,000 domains, and no sane command comes near.
MAX_WIRE_BYTES = 4 * 1024 * 1024
# How far the clocks of control plane and host may be apart, seconds.
CLOCK_SKEW_S = 300.0

B = TypeVar("B")


class EnvelopeError(Exception):
    """The wire text is not an acceptable envelope; `code` is stable, the message is for people."""

    code = "envelope.malformed"


class BadSignature(EnvelopeError):
    """Signed by nobody we know, or changed on the way."""

    code = "envelope.bad_signature"


class WrongVersion(EnvelopeError):
    """An envelope version that this side does not speak."""

    code = "envelope.version"


class Kind(enum.StrEnum):
    """What a signature is for; part of what is signed."""

    COMMAND = "cloudsite-command"
    REPORT = "cloudsite-report"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One command to, or report from, one host.

    `host` is the public id of the host that a command is for, or that a report comes from. `deadline` and `issued_at`
    are Unix seconds; past its deadline a command is refused. `operation_id`, `step` and `generation` fence repeats and
    late-comers; they are empty in hello, heartbeat and observation. `body` is the typed payload of `topic`.
    """

    topic: str
    host: str
    body: msgspec.Raw
    operation_id: str = ""
    step: str = ""
    generation: int = 0
    deadline: float = 0.0
    request_id: str = ""
    nonce: str = msgspec.field(default_factory=lambda: secrets.token_hex(8))
    issued_at: float = msgspec.field(default_factory=time.time)
    v: int = VERSION


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def pack(body: msgspec.Struct) -> msgspec.Raw:
    """Encode a typed payload for `Envelope.body`."""
    return msgspec.Raw(_encoder.encode(body))


def unpack(envelope: Envelope, shape: type[B]) -> B:
    """Decode and validate the body as `shape`. Raises EnvelopeError naming the field that is wrong."""
    decoder = _decoders.get(shape)
    if decoder is None:
        decoder = _decoders[shape] = msgspec.json.Decoder(shape)
    try:
        body: B = decoder.decode(envelope.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EnvelopeError(f"{envelope.topic}: {error}") from error
    return body


def key_id(public: bytes) -> str:
    """Short name of a public key (16 hex digits), put into the wire text to pick the right key."""
    return hashlib.sha256(public).hexdigest()[:16]


class PublicKey:
    """Checks what one party signed."""

    def __init__(self, raw: bytes) -> None:
        """`raw`: the 32 bytes of an ed25519 public key. Raises ValueError for anything else."""
        self.raw = raw
        self.id = key_id(raw)
        self._key = Ed25519PublicKey.from_public_bytes(raw)

    @classmethod
    def from_hex(cls, text: str) -> "PublicKey":
        return cls(bytes.fromhex(text))

    def hex(self) -> str:
        return self.raw.hex()

    def open(self, wire: str, kind: Kind) -> Envelope:
        """Check the signature, then decode. Raises BadSignature, WrongVersion or EnvelopeError."""
        signer, signature, payload = split(wire)
        if signer != self.id:
            raise BadSignature(f"signed by key {signer[:16]!r}, expected {self.id}")
        try:
            self._key.verify(base64.urlsafe_b64decode(signature), _signed_bytes(kind, payload))
        except (InvalidSignature, ValueError) as error:
            raise BadSignature("the signature does not match the content") from error
        return _decode(payload)


class Sealer:
    """Signs envelopes with one private key."""

    def __init__(self, raw: bytes) -> None:
        """`raw`: the 32 bytes of an ed25519 private key."""
        self._key = Ed25519PrivateKey.from_private_bytes(raw)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> "Sealer":
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_hex(cls, text: str) -> "Sealer":
        return cls(bytes.fromhex(text.strip()))

    def private_hex(self) -> str:
        return self._key.private_bytes_raw().hex()

    def seal(self, envelope: Envelope, kind: Kind) -> str:
        """Encode and sign: the wire text."""
        payload = _encoder.encode(envelope)
        signature = base64.urlsafe_b64encode(self._key.sign(_signed_bytes(kind, payload))).decode()
        return f"{self.public.id}.{signature}.{payload.decode()}"


def peek(wire: str) -> Envelope:
    """Decode without checking who signed: only to learn whose key to check with. Raises EnvelopeError."""
    return _decode(split(wire)[2])


def split(wire: str) -> tuple[str, str, bytes]:
    """Take the wire text apart into key id, signature and payload. Raises EnvelopeError."""
    if not isinstance(wire, str) or len(wire) > MAX_WIRE_BYTES:
        raise EnvelopeError("not a text, or too long")
    parts = wire.split(".", 2)
    if len(parts) != 3:
        raise EnvelopeError("expected <key id>.<signature>.<payload>")
    try:
        return parts[0], parts[1], parts[2].encode()
    except UnicodeEncodeError as error:
        raise EnvelopeError("not a text that can be encoded") from error


def _signed_bytes(kind: Kind, payload: bytes) -> bytes:
    return kind.value.encode() + b"\n" + payload


def _decode(payload: bytes) -> Envelope:
    try:
        envelope = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EnvelopeError(str(error)) from error
    if envelope.v != VERSION:
        raise WrongVersion(f"envelope version {envelope.v}, this side speaks {VERSION}")
    return envelope
