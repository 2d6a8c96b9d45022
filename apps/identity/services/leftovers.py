"""What signing in leaves behind, taken away once it is of no use: old tokens, sessions, failures, seeds nobody confirmed."""

from importlib import import_module
from typing import Any

from django.conf import settings

from apps.identity import lockout
from apps.identity.services import tokens, totp


def prune() -> int:
    """Returns how many rows of ours went."""
    sessions: Any = import_module(settings.SESSION_ENGINE).SessionStore
    sessions.clear_expired()
    return tokens.prune() + totp.prune() + lockout.prune()
