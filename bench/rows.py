"""Rows in great number, as quickly as PostgreSQL takes them: for tables whose size is what is measured."""

from collections.abc import Iterable
from typing import Any


def copy_rows(model: Any, rows: Iterable[dict[str, Any]]) -> None:
    """Rows of a model by PostgreSQL's COPY; what a row does not say is as the model has it."""
    from django.db import connection
    from django.db.models import AutoField

    fields = [field for field in model._meta.concrete_fields if not isinstance(field, AutoField)]
    default = model()
    usual = {field.attname: field.get_db_prep_save(getattr(default, field.attname), connection) for field in fields}
    columns = ", ".join(f'"{field.column}"' for field in fields)
    with connection.cursor() as cursor, cursor.copy(f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN') as copy:
        for row in rows:
            line = {**usual, **row}
            copy.write_row([line[field.attname] for field in fields])
