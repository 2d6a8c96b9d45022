"""New keys for old: of the vault, with everything sealed anew, and of Django, which signs sessions and addresses.

Whatever breaks off in the middle can be started again: the old key stays in its file until `drop_old`.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from apps.common import keyfiles, vault
from apps.common.errors import CloudError, Conflict

_BATCH = 500


@dataclass
class Resealed:
    """What became of the vault: `key` is the current one's id; `stuck` rows no key in the ring opens."""

    key: str
    added: bool
    resealed: int = 0
    stuck: int = 0


def rotate_vault() -> Resealed:
    """Put a new key first and seal everything with it, batch by batch, while others work.

    If an earlier rotation left something behind, that is finished instead of adding yet another key. Raises Conflict
    `rotation.running`, Unavailable `vault.key_missing`.
    """
    with _alone():
        vault.seal("")  # makes the ring, or refuses to
        unfinished = len(vault.key_ids()) > 1 and any(set(column.by_key()) - {vault.key_ids()[0]} for column in vault.columns())
        if not unfinished:
            keyfiles.write(vault.path(), [vault.new_key(), *keyfiles.read(vault.path(), vault.new_key)])
        done = Resealed(vault.key_ids()[0], added=not unfinished)
        for column in vault.columns():
            _reseal(column, done)
    return done


def drop_vault_keys() -> int:
    """Forget all keys of the ring but the current one; how many. Raises Conflict `vault.in_use` while one is needed."""
    with _alone():
        if not vault.key_ids():
            return 0
        needed = {
            f"{column.label}.{column.field}": count
            for column in vault.columns()
            if (count := sum(number for key, number in column.by_key().items() if key != vault.key_ids()[0]))
        }
        if needed:
            told = ", ".join(f"{count} in {name}" for name, count in needed.items())
            raise Conflict("vault.in_use", f"Secrets are still sealed with older keys: {told}. Rotate first.", rows=needed)
        return _keep_first(vault.path())


def rotate_django() -> int:
    """Put a new key first in `django.key`; how many are in it now. Processes take it up when they are restarted."""
    with _alone():
        keys = keyfiles.read(_django_key())
        keyfiles.write(_django_key(), [keyfiles.new(), *keys])
        return len(keys) + 1


def drop_django_keys() -> int:
    """Forget all but the first; how many. What was signed with them (sessions, addresses of images) is void."""
    with _alone():
        return _keep_first(_django_key())


def _reseal(column: vault.Column, done: Resealed) -> None:
    waiting = column.rows().exclude(**{f"{column.field}__startswith": f"{done.key}."}).order_by("pk")
    last: Any = None
    while batch := list((waiting if last is None else waiting.filter(pk__gt=last)).values_list("pk", column.field)[:_BATCH]):
        with transaction.atomic():
            for key, old in batch:
                try:
                    new = vault.seal(vault.open(old))
                except CloudError:
                    done.stuck += 1
                    continue
                # Whoever changed it meanwhile has sealed it with the new key already.
                done.resealed += column.rows().filter(pk=key, **{column.field: old}).update(**{column.field: new})
        last = batch[-1][0]


def _keep_first(path: Path) -> int:
    first, *rest = keyfiles.read(path)
    if rest:
        keyfiles.write(path, [first])
    return len(rest)


def _django_key() -> Path:
    return Path(settings.ENV.secrets) / "django.key"


@contextmanager
def _alone() -> Iterator[None]:
    """Two rotations at once could each overwrite the other's new key, and what it has sealed."""
    lock = os.open(Path(settings.ENV.secrets) / "rotation.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("rotation.running", "Another rotation is running.") from None
        yield
    finally:
        os.close(lock)
