"""Set-wise statements that the ORM cannot say, or says at great length: many rows, each with values of its own."""

import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Generic, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.models import AutoField, Field, Model, QuerySet, UUIDField

# SQLite takes 32,766 parameters in a statement; our widest row has some 40 columns.
_AT_ONCE = 500
_WORTH_A_COPY = 8


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


def insert_rows(rows: Sequence[Model]) -> None:
    """Insert new rows of one model in one statement; keys that the database makes are not read back.

    What `bulk_create` does, in half of its time: it compiles an expression per field and row. For a single row PostgreSQL keeps the plan.
    """
    if len(rows) > _AT_ONCE:
        for first in range(0, len(rows), _AT_ONCE):
            insert_rows(rows[first : first + _AT_ONCE])
        return
    if not rows:
        return
    meta = rows[0]._meta
    fields = [field for field in meta.concrete_fields if not isinstance(field, AutoField)]
    quote: Any = connection.ops.quote_name
    names = ", ".join(quote(field.column) for field in fields)
    into = f"{quote(meta.db_table)} ({names})"
    lines = [[field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields] for row in rows]
    if connection.vendor == "postgresql" and len(rows) >= _WORTH_A_COPY:
        _copy(f"COPY {into} FROM STDIN", lines)
    else:
        places = "(" + ", ".join(["%s"] * len(fields)) + ")"
        if connection.vendor == "postgresql" and len(rows) == 1:
            fetch_prepared(f"INSERT INTO {into} VALUES {places} RETURNING 1", lines[0])
        else:
            with connection.cursor() as cursor:
                cursor.execute(f"INSERT INTO {into} VALUES {', '.join([places] * len(rows))}", list(chain.from_iterable(lines)))
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


def _copy(statement: str, lines: Sequence[Sequence[Any]]) -> None:
    """PostgreSQL's way for many rows: neither side has to put together or take apart a statement of that length."""
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for line in lines:
            copy.write_row(line)


def update_rows(rows: Sequence[Model], columns: Sequence[str]) -> None:
    """Write these fields of rows of one model (locked by the caller) in one statement.

    What `bulk_update` does, without its CASE per field and row: 20 times quicker for 100 rows.
    """
    if not rows:
        return
    meta = rows[0]._meta
    fields: list[Any] = [meta.get_field(name) for name in columns]
    key: Field[Any, Any] = meta.pk
    quote: Any = connection.ops.quote_name
    values, parameters = values_table(
        (key, *fields), [(row.pk, *(getattr(row, field.attname) for field in fields)) for row in rows]
    )
    names = [quote(field.column) for field in fields]
    statement = (
        f"WITH v(id, {', '.join(names)}) AS ({values}) UPDATE {quote(meta.db_table)} "
        f"SET {', '.join(f'{name} = v.{name}' for name in names)} FROM v WHERE {quote(meta.db_table)}.{quote(key.column)} = v.id"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


@contextmanager
def snapshot() -> Iterator[None]:
    """What is read within is as it was at one moment, and nothing is written; as it is, within a transaction that runs already."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def hold(model: type[Model], ids: Collection[uuid.UUID], *, unchanged: bool = False) -> set[uuid.UUID]:
    """Which of these rows are there; none of them is deleted, nor, with `unchanged`, changed before the transaction ends.

    Many may hold a row at once: for those who only refer to it.
    """
    if connection.vendor != "postgresql":  # one writer at a time
        return set(model._default_manager.filter(pk__in=ids).values_list("pk", flat=True))
    quote: Any = connection.ops.quote_name
    table, key = quote(model._meta.db_table), quote(model._meta.pk.column)
    strength = "SHARE" if unchanged else "KEY SHARE"
    statement = f"SELECT {key} FROM {table} WHERE {key} = ANY(%s) ORDER BY {key} FOR {strength}"
    return {row[0] for row in fetch_prepared(statement, [list(ids)])}


def fetch_prepared(statement: str, parameters: Sequence[Any], *, binary: bool = False) -> list[Any]:
    """The rows of a statement whose text is always the same: PostgreSQL keeps its plan, which can cost more than running it.

    `binary`: values come in PostgreSQL's own form, which is quicker to take in; JSON comes parsed then.
    """
    here: Any = connections[DEFAULT_DB_ALIAS]  # the proxy `connection` looks it up at every turn
    if here.vendor != "postgresql" or here.queries_logged:
        with here.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())
    return _fetched(here, statement, parameters, prepare=True, binary=binary)


def fetch_tuples(rows: "QuerySet[Any, Any]") -> list[Any]:
    """The rows of a `values_list`: texts, numbers, ids and times, no JSON. Of long lists taking them in is what costs."""
    here: Any = connections[DEFAULT_DB_ALIAS]
    if here.vendor != "postgresql" or here.queries_logged or rows.query.is_empty():
        return list(rows)
    return _fetched(here, *rows.query.sql_with_params(), prepare=False, binary=True)


def _fetched(here: Any, statement: Any, parameters: Sequence[Any], *, prepare: bool, binary: bool) -> list[Any]:
    here.ensure_connection()
    with here.wrap_database_errors, psycopg.Cursor(here.connection) as raw:
        return raw.execute(statement, parameters, prepare=prepare, binary=binary).fetchall()


def as_uuid(value: uuid.UUID | str) -> uuid.UUID:
    """An id as such a statement gives it: SQLite keeps ids as text."""
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


def one_row(statement: str, parameters: Sequence[Any]) -> Any:
    """The first row of such a statement, or None."""
    rows = fetch_prepared(statement, parameters, binary=True)
    return rows[0] if rows else None


M = TypeVar("M", bound=Model)
# Ids that stand for the real ones while a query is compiled.
SAMPLE, OTHER_SAMPLE = uuid.UUID(int=1), uuid.UUID(int=2)


class Compiled(Generic[M]):
    """A query of the hottest paths, compiled once per process, and prepared: a fifth of the ORM's time per call.

    `build` makes the queryset from sample values; on each call the samples are replaced by the real ones. Each sample must
    be a value that is found nowhere else among the query's parameters.
    """

    def __init__(self, build: Callable[..., "QuerySet[M]"], *samples: Any) -> None:
        self._build, self._samples = build, samples
        self._ready: tuple[str, list[Any], list[int | None], Any, Any, list[str], list[str]] | None = None

    def first(self, *values: Any) -> M | None:
        """The first row as a model instance, annotations as attributes; None if there is none."""
        sql, parameters, slots, converters, compiler, fields, extra = self._ready or self._compile()
        given = [_prepared(value) for value in values]
        rows = fetch_prepared(sql, [parameter if slot is None else given[slot] for parameter, slot in zip(parameters, slots, strict=True)])
        if not rows:
            return None
        row = next(iter(compiler.apply_converters(rows, converters))) if converters else rows[0]
        found: M = compiler.query.model.from_db(DEFAULT_DB_ALIAS, fields, row[: len(fields)])
        for name, value in zip(extra, row[len(fields) :], strict=True):
            setattr(found, name, value)
        return found

    def _compile(self) -> Any:
        query: Any = self._build(*self._samples).query
        compiler = query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        samples = [_prepared(sample) for sample in self._samples]
        slots = [samples.index(parameter) if parameter in samples else None for parameter in parameters]
        if set(slots) - {None} != set(range(len(samples))):
            raise ValueError("each sample must appear among the parameters of the query")
        fields = [field.attname for field in query.model._meta.concrete_fields]
        converters = compiler.get_converters([expression for expression, _, _ in compiler.select])
        self._ready = (sql, list(parameters), slots, converters, compiler, fields, list(query.annotations))
        return self._ready


def _prepared(value: Any) -> Any:
    return UUIDField().get_db_prep_value(value, connection) if isinstance(value, uuid.UUID) else value
