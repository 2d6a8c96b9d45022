"""`CLOUDSITE_DATABASE_URL` → Django's DATABASES."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


def parse(url: str) -> dict[str, Any]:
    """One database. Connections are kept by their thread: a new one costs more than the work (docs/decisions/0004)."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": parts.path.removeprefix("/") if parts.path.startswith("//") else parts.path,
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                # IMMEDIATE takes the write lock at BEGIN: a reader that turns writer would fail with "locked" instead.
                "transaction_mode": "IMMEDIATE",
                "timeout": 30,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON",
            },
        }
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    # For the one statement that is prepared (identity.standing): its plan is made once, and does not depend on values.
    options["options"] = f"{options.get('options', '')} -c plan_cache_mode=force_generic_plan".strip()
    options.setdefault("prepare_threshold", 1)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": None,
        "OPTIONS": options,
    }
