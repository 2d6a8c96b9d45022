"""Set-wise statements that the ORM cannot say, or says at great length: many rows, each with values of its own."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import Field, Model


def values_table(fields: Sequence["Field[Any, Any]"], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """A `VALUES` list for PostgreSQL and SQLite: the SQL text and its parameters.

    `fields` say how each column is stored (a UUID is text in SQLite). In PostgreSQL the casts of the first row type the
    columns of all.
    """
    plain = "(" + ", ".join(["%s"] * len(fields)) + ")"
    first = plain
    if connection.vendor == "postgresql":
        first = "(" + ", ".join(f"CAST(%s AS {field.rel_db_type(connection)})" for field in fields) + ")"
    parameters = [field.get_db_prep_save(value, connection) for row in rows for field, value in zip(fields, row, strict=True)]
    return "VALUES " + ", ".join([first, *[plain] * (len(rows) - 1)]), parameters


def update_rows(rows: Sequence[Model], columns: Sequence[str]) -> None:
    """Write these fields of rows of one model (locked by the caller) in one statement.

    What `bulk_update` does, without its CASE per field and row: 20 times quicker for 100 rows.
    """
    if not rows:
        return
    meta = rows[0]._meta
    fields = [meta.get_field(name) for name in columns]
    quote = connection.ops.quote_name
    values, parameters = values_table(
        (meta.pk, *fields), [(row.pk, *(getattr(row, field.attname) for field in fields)) for row in rows]  # type: ignore[arg-type]
    )
    names = [quote(field.column) for field in fields]
    statement = (
        f"WITH v(id, {', '.join(names)}) AS ({values}) UPDATE {quote(meta.db_table)} "
        f"SET {', '.join(f'{name} = v.{name}' for name in names)} FROM v WHERE {quote(meta.db_table)}.{quote(meta.pk.column)} = v.id"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
