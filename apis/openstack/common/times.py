"""Times as OpenStack reads and writes them."""

from datetime import UTC, datetime

from apps.common.errors import Invalid


def render(moment: datetime | None) -> str | None:
    """`2026-11-20T10:00:00.000000Z`; null stays null."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def parse(text: str, field: str) -> datetime:
    """ISO 8601; without an offset it is UTC. Raises Invalid `request.time`."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        told = f"Invalid input for field/attribute {field}. Expected a time such as 2026-11-20T10:00:00Z."
        raise Invalid("request.time", told, field=field) from None
