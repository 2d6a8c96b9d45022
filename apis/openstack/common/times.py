"""Times as OpenStack writes them."""

from datetime import datetime


def render(moment: datetime | None) -> str | None:
    """`2026-11-20T10:00:00.000000Z`; null stays null."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None
