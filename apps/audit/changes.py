"""What of a change goes into a record: before and after, as plain data of a bounded size, without secrets.

Callers never pass secrets; that they are masked here as well is the second line of defence.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import date
from enum import Enum
from typing import Any

MASK = "***"
MOST_BYTES = 4096
_MOST_FIELDS, _MOST_ITEMS, _MOST_TEXT, _DEEPEST = 64, 20, 200, 4
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase|code)|secret|token|blob|private_?key|credential|signature|digest|cookie|authorization|user_?data"
    r"|(^|_)([th]?otp|seed)($|_)",
    re.IGNORECASE,
)
# `token_id`, `password_expires_at`: about a secret, not the secret.
_ABOUT_ONE = re.compile(r"_(id|ids|at|name|type|hours|days|count)$", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"\bcs\d_[A-Za-z0-9_-]{16,}|\bBearer\s+\S+|-----BEGIN[ A-Z]*PRIVATE KEY-----.*|\$?(argon2|pbkdf2_|bcrypt|scrypt)\S*\$\S+",
    re.IGNORECASE | re.DOTALL,
)
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def changed(row: object, **new: Any) -> dict[str, list[Any]]:
    """Of these fields, those whose value in `row` is another one: field → [before, after]. To be asked before they are set."""
    return {name: [before, after] for name, after in new.items() if (before := getattr(row, name)) != after}


def tidy(changes: Mapping[str, Any] | None) -> dict[str, list[Any]]:
    """Each field as [before, after], both plain JSON; what was given as one value has no before.

    A list of two is such a pair: give a value that is itself a list as a tuple.
    """
    if not changes:
        return {}
    found = {}
    for name, value in list(changes.items())[:_MOST_FIELDS]:
        before, after = value if isinstance(value, list) and len(value) == 2 else (None, value)
        if before is None and after is None:
            continue
        field = text(name, 64)
        found[field] = [_plain(before, field), _plain(after, field)]
    if _size(found) > MOST_BYTES:
        return {field: [None, "…"] for field in found}
    return found


def text(value: object, most: int) -> str:
    """As a column of that length takes it: no NUL, nothing that looks like a token, cut with an ellipsis."""
    # Cut before and after: nobody searches a megabyte for tokens, and a mask may be longer than what it hides.
    found = _SECRET_VALUE.sub(MASK, _UNSTORABLE.sub("\ufffd", str(value)[: most * 4]))
    return found if len(found) <= most else f"{found[: most - 1]}…"


def _plain(value: Any, name: str, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_NAME.search(name) and not _ABOUT_ONE.search(name):
        return MASK
    if isinstance(value, Enum):
        return _plain(value.value, name, depth)
    if isinstance(value, int | float):
        return value if abs(value) < 2**63 else text(value, _MOST_TEXT)  # not for `nan` either, which is no JSON
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, uuid.UUID | str):
        return text(value, _MOST_TEXT)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping | list | tuple | set | frozenset) and depth < _DEEPEST:
        return _plain_many(value, name, depth + 1)
    return text(value, _MOST_TEXT) if depth < _DEEPEST else "…"


def _plain_many(value: Any, name: str, depth: int) -> Any:
    left = len(value) - _MOST_ITEMS
    if isinstance(value, Mapping):
        shown = {text(key, 64): _plain(each, str(key), depth) for key, each in list(value.items())[:_MOST_ITEMS]}
        return shown | ({"…": f"{left} more"} if left > 0 else {})
    ordered = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
    return [_plain(each, name, depth) for each in ordered[:_MOST_ITEMS]] + ([f"… {left} more"] if left > 0 else [])


def _size(value: Any) -> int:
    """About so many bytes as JSON."""
    if isinstance(value, str):
        return len(value.encode()) + 3
    if isinstance(value, dict):
        return sum(_size(key) + _size(each) for key, each in value.items()) + 2
    if isinstance(value, list):
        return sum(map(_size, value)) + 2
    return 8
