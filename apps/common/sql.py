"""Set-wise updates that the ORM cannot say: many rows, each with its own amounts, in one statement."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import Field


def values_table(fields: Sequence["Field[Any, Any]"], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """A `VALUES` list with typed columns, for PostgreSQL and SQLite: the SQL text and its parameters.

    `fields` say how each column is stored (a UUID is text in SQLite, and needs a cast in PostgreSQL).
    """
    casts = [field.db_type(connection) for field in fields]
    row = "(" + ", ".join(f"CAST(%s AS {cast})" if connection.vendor == "postgresql" else "%s" for cast in casts) + ")"
    parameters = [
        field.get_db_prep_value(value, connection) for values in rows for field, value in zip(fields, values, strict=True)
    ]
    return "VALUES " + ", ".join([row] * len(rows)), parameters
