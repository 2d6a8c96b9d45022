"""The key ring that seals at rest what must be readable again, such as secret access keys.

The ring is `<secrets>/vault.keys`: the first key seals, all of them open. A sealed text begins with the id of its key, so
that it is known without trying what a key is still needed for. `apps.common.rotation` changes the ring.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db.models import Count, QuerySet
from django.db.models.functions import Left

from apps.common import keyfiles
from apps.common.errors import CloudError, Unavailable

ID_LENGTH = 8


@dataclass(frozen=True)
class Column:
    """A text column that holds sealed texts; NULL and empty ones are nothing sealed."""

    label: str
    field: str

    def rows(self) -> "QuerySet[Any]":
        """All rows with something sealed."""
        rows: QuerySet[Any] = apps.get_model(self.label)._base_manager.exclude(**{self.field: ""})
        return rows.exclude(**{f"{self.field}__isnull": True})

    def by_key(self) -> dict[str, int]:
        """Key id → how many rows are sealed with it."""
        counted = self.rows().order_by().annotate(vault_key=Left(self.field, ID_LENGTH)).values_list("vault_key")
        return dict(counted.annotate(Count("pk")))


@dataclass(frozen=True)
class _Ring:
    stamp: tuple[int, int, int]
    current: str
    keys: dict[str, Fernet]


_columns: dict[Column, None] = {}
_cached: _Ring | None = None


def sealed(label: str, field: str) -> None:
    """Tell which column holds sealed texts, as `sealed("identity.Credential", "blob")`; its owner does it in its `ready`."""
    _columns[Column(label, field)] = None


def columns() -> list[Column]:
    """All that were told of."""
    return list(_columns)


def seal(text: str) -> str:
    """`text` sealed with the current key. The first use makes the ring. Raises Unavailable `vault.key_missing` if it was lost."""
    ring = _ring() or _make()
    return f"{ring.current}.{ring.keys[ring.current].encrypt(text.encode()).decode()}"


def open(text: str) -> str:  # noqa: A001  (the opposite of seal; always called as vault.open)
    """What was sealed. Raises Unavailable `vault.key_missing`, CloudError `vault.damaged`."""
    key, _, token = text.partition(".")
    ring = _ring()
    if ring is None or key not in ring.keys:
        raise Unavailable(
            "vault.key_missing", f"The key {key[:ID_LENGTH]} that this was sealed with is not in {path()}; bring that file back."
        )
    try:
        return ring.keys[key].decrypt(token.encode()).decode()
    except InvalidToken:
        raise CloudError("vault.damaged", f"This was sealed with the key {key}, but was changed since.") from None


def path() -> Path:
    """Where the ring is."""
    return Path(settings.ENV.secrets) / "vault.keys"


def new_key() -> str:
    """One more line for the ring."""
    return Fernet.generate_key().decode()


def id_of(key: str) -> str:
    """What sealed texts begin with; tells nothing of the key."""
    return hashlib.sha256(b"cloudsite.vault." + key.encode()).hexdigest()[:ID_LENGTH]


def key_ids() -> list[str]:
    """Of the ring, the current one first; empty if there is no ring."""
    ring = _ring()
    return list(ring.keys) if ring else []


def _ring() -> _Ring | None:
    """The ring as its file is now: other processes rotate it."""
    global _cached
    try:
        found = os.stat(path())
    except FileNotFoundError:
        return None
    stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
    if _cached is None or _cached.stamp != stamp:
        keys = {id_of(key): Fernet(key) for key in keyfiles.read(path(), new_key)}
        _cached = _Ring(stamp, next(iter(keys)), keys)
    return _cached


def _make() -> _Ring:
    # Where something was sealed before, the ring was lost or is not mounted: a new one would only hide that.
    held = sum(column.rows().count() for column in _columns)
    if held:
        raise Unavailable("vault.key_missing", f"{path()} is missing, and {held} secrets are sealed by it; bring that file back.")
    keyfiles.read(path(), new_key)
    ring = _ring()
    assert ring is not None
    return ring
