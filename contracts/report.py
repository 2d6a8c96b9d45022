"""What a host answers to a command: the same shape for every command of every version."""

import enum

import msgspec


class Outcome(enum.StrEnum):
    """How a command ended on the host."""

    DONE = "done"
    FAILED = "failed"  # tried, did not work, undone
    STALE = "stale"  # an older generation than the host has seen; nothing was done
    EXPIRED = "expired"  # arrived past its deadline; nothing was done
    PROGRESS = "progress"  # still at it; only the events count


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the timeline. `at` in Unix seconds, `took_ms` in milliseconds."""

    name: str
    at: float
    detail: str = ""
    took_ms: float | None = None


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """Why it failed. `retryable`: another host may well succeed."""

    code: str
    message: str
    retryable: bool = True


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one command; `result` is the typed payload that the command's module defines. `percent`: with PROGRESS, how much
    of the step is done, where that can be told."""

    outcome: Outcome
    events: list[Event] = []
    error: Error | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    percent: int | None = None
