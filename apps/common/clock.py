"""Times in the one form that rows, wire and logs share."""

from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """Now, in UTC, aware."""
    return datetime.now(UTC)


def after(seconds: float) -> datetime:
    """The moment so many seconds from now."""
    return now() + timedelta(seconds=seconds)
