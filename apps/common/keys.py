"""The control plane's own signing key, read from the settings."""

from functools import cache

from django.conf import settings

from contracts.envelope import Sealer


@cache
def control() -> Sealer:
    """Signs every command."""
    return Sealer.from_hex(settings.CONTROL_KEY)
