"""How the secrets of programs are kept: those that we made are random enough for a quick hash, chosen ones get a password's."""

import hashlib
import hmac
import secrets

from django.contrib.auth.hashers import check_password, make_password

_QUICK = "sha256$"


def made() -> str:
    """A new secret of 512 random bits."""
    return secrets.token_urlsafe(64)


def of_made(secret: str) -> str:
    """What is kept of a secret from `made`."""
    return _QUICK + hashlib.sha256(secret.encode()).hexdigest()


def of_chosen(secret: str) -> str:
    """What is kept of a secret that somebody thought up."""
    return make_password(secret)


def matches(secret: str, kept: str) -> bool:
    """Whether this is the secret."""
    if kept.startswith(_QUICK):
        return hmac.compare_digest(of_made(secret), kept)
    return check_password(secret, kept)
