"""Whether anything in the database is other than before."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.apps import apps
from django.db import connection

# Refusals are recorded, and tokens note their use.
_APART = {"audit_record", "django_session", "django_content_type", "django_migrations", "auth_permission"}
_NOTES = {"last_used_at"}
_WRITES = re.compile(r'\s*(?:WITH .*?)?(INSERT INTO|UPDATE|DELETE FROM|COPY)\s+"?(\w+)"?(?:\s+SET\s+"?(\w+)"?)?', re.IGNORECASE | re.DOTALL)


def take() -> dict[str, str]:
    """Table → its rows, how many they are and a sum of all they hold."""
    return _by_database() if connection.vendor == "postgresql" else {table: _by_hand(table, columns) for table, columns in _tables()}


@contextmanager
def writes() -> Iterator[set[str]]:
    """The tables that are written to within."""
    found: set[str] = set()

    def watch(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        match = _WRITES.match(sql)
        if match and match[2] not in _APART and (match[3] or "") not in _NOTES:
            found.add(match[2])
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(watch):
        yield found


@cache
def _tables() -> tuple[tuple[str, str], ...]:
    """Every table with the columns that count."""
    found = []
    for model in apps.get_models(include_auto_created=True):
        table = model._meta.db_table
        if model._meta.managed and table not in _APART:
            columns = [field.column or "" for field in model._meta.concrete_fields if field.column not in _NOTES]
            found.append((table, ", ".join(map(connection.ops.quote_name, columns))))
    return tuple(sorted(found))


def _by_database() -> dict[str, str]:
    asked = " UNION ALL ".join(
        f"SELECT '{table}', count(*) || ' ' || coalesce(md5(string_agg(r::text, ' ' ORDER BY r::text)), '')"
        f" FROM (SELECT {columns} FROM {connection.ops.quote_name(table)}) r"
        for table, columns in _tables()
    )
    with connection.cursor() as cursor:
        cursor.execute(asked)
        return dict(cursor.fetchall())


def _by_hand(table: str, columns: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {connection.ops.quote_name(table)}")
        rows = sorted(map(repr, cursor.fetchall()))
    return f"{len(rows)} {hashlib.sha256(repr(rows).encode()).hexdigest()}"
