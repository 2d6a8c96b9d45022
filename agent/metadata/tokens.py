"""Session tokens of EC2's metadata, version 2: each counts for one instance and a time, and nobody has to keep them."""

import base64
import binascii
import hashlib
import hmac
import os
import struct
from pathlib import Path

MIN_TTL_S, MAX_TTL_S = 1, 21600
_KEY_BYTES, _NONCE_BYTES, _DIGEST_BYTES = 32, 8, 24
_EXPIRY = struct.Struct("!d")


class Tokens:
    """Makes and checks them; `key`: secret of this host."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, instance_id: str, ttl_s: int, now: float) -> str:
        """A token for `ttl_s` seconds from `now` (Unix time)."""
        body = _EXPIRY.pack(now + ttl_s) + os.urandom(_NONCE_BYTES)
        return base64.urlsafe_b64encode(body + self._digest(instance_id, body)).decode()

    def holds(self, token: str, instance_id: str, now: float) -> bool:
        """Was it issued to that instance, and is it not over?"""
        try:
            content = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return False
        body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if len(body) != _EXPIRY.size + _NONCE_BYTES:
            return False
        if not hmac.compare_digest(digest, self._digest(instance_id, body)):
            return False
        expiry: float = _EXPIRY.unpack_from(body)[0]
        return now < expiry

    def _digest(self, instance_id: str, body: bytes) -> bytes:
        message = instance_id.encode() + b"\0" + body
        return hmac.digest(self._key, message, hashlib.sha256)[:_DIGEST_BYTES]


def kept_key(path: Path) -> bytes:
    """The key in a file of root's own, made at the first time: tokens outlive the agent. Raises OSError."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) == _KEY_BYTES:
        return key
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    key = os.urandom(_KEY_BYTES)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    temporary.replace(path)
    return key
