"""Lists: filters, pages by `limit` and `marker`, and the links of a page.

A list without `limit` is whole, because the SDK takes a first page for all; beyond MOST rows it says `truncated`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet, Value
from django.db.models.functions import Left, Right, StrIndex
from django.db.models.lookups import Exact, GreaterThan
from django.http import HttpResponse

from apis.openstack.common.schema import as_uuid
from apis.openstack.common.views import Call, reply
from apps.common.errors import Invalid, NotFound

MOST = 1000
M = TypeVar("M", bound=Model)
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})
_COMPARATORS = ("contains", "startswith", "endswith")


@dataclass(frozen=True)
class Text:
    """`?name=` exactly; `?name__contains=`, `__startswith`, `__endswith`; with an `i` before: whatever the case."""

    column: str

    def narrow(self, rows: "QuerySet[M]", value: str, comparator: str = "") -> "QuerySet[M]":
        if not comparator:
            return rows.filter(**{self.column: value})
        if comparator.startswith("i"):
            return rows.filter(**{f"{self.column}__{comparator}": value})
        if not value:
            return rows
        # SQLite's LIKE knows no case; these functions do, on both.
        if comparator == "contains":
            return rows.filter(GreaterThan(StrIndex(self.column, Value(value)), 0))
        part = Left if comparator == "startswith" else Right
        return rows.filter(Exact(part(self.column, len(value)), value))


@dataclass(frozen=True)
class Id:
    """`?domain_id=`: what is no id, or no known one, finds nothing."""

    column: str

    def narrow(self, rows: "QuerySet[M]", value: str) -> "QuerySet[M]":
        found = as_uuid(value)
        return rows.none() if found is None else rows.filter(**{self.column: found})


@dataclass(frozen=True)
class Flag:
    """`?enabled=`: 0, f, false, n, no, off are false; all else, nothing too, is true."""

    column: str

    def narrow(self, rows: "QuerySet[M]", value: str) -> "QuerySet[M]":
        return rows.filter(**{self.column: truth(value)})


@dataclass(frozen=True)
class Own:
    """A filter of one resource alone: rows and value in, rows out."""

    apply: Callable[[Any, str], Any]

    def narrow(self, rows: "QuerySet[M]", value: str) -> "QuerySet[M]":
        narrowed: QuerySet[M] = self.apply(rows, value)
        return narrowed


Filter = Text | Id | Flag | Own


def page(
    call: Call, key: str, rows: "QuerySet[M]", render: Callable[[Any], dict[str, Any]], filters: Mapping[str, Filter] | None = None,
) -> HttpResponse:
    """`{key: […], "links": {…}}`, in the order of ids. Raises Invalid (limit), NotFound (marker)."""
    rows = narrow(rows, call.query, filters or {})
    limit, asked = _limit(call.query.get("limit", ""))
    if marker := call.query.get("marker"):
        rows = rows.filter(pk__gt=_key(rows, marker))
    found = list(rows.order_by("pk")[: limit + 1])
    cut = len(found) > limit
    found = found[:limit]
    onwards = {"marker": str(found[-1].pk), "limit": str(asked or limit)} if cut else None
    return reply(listing(call, key, [render(row) for row in found], onwards))


def truth(text: str) -> bool:
    """A parameter as Flag reads it."""
    return text.lower() not in _FALSE


def listing(call: Call, key: str, items: Sequence[Any], onwards: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Rendered things as a list with its links; `onwards`: parameters of the next page."""
    request = call.request
    here = f"{settings.ENV.public_url}{request.get_full_path()}"
    following = f"{settings.ENV.public_url}{request.path}?{urlencode({**call.query, **onwards})}" if onwards else None
    content: dict[str, Any] = {key: items, "links": {"self": here, "next": following, "previous": None}}
    if onwards:
        content["truncated"] = True
    return content


def narrow(rows: "QuerySet[M]", query: Mapping[str, str], filters: Mapping[str, Filter]) -> "QuerySet[M]":
    """The rows that the query's filters leave. Parameters that are none of them are not looked at."""
    for name, value in query.items():
        base, parts, comparator = name.partition("__")
        chosen = filters.get(base)
        if chosen is None:
            continue
        if not parts:
            rows = chosen.narrow(rows, value)
        elif isinstance(chosen, Text) and comparator.removeprefix("i") in _COMPARATORS:
            rows = chosen.narrow(rows, value, comparator)
    return rows


def _limit(text: str) -> tuple[int, int]:
    """How many rows at most, and how many were asked for (0: no limit was)."""
    if not text:
        return MOST, 0
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Invalid("request.limit", "limit: expected a whole number.", field="limit")
    asked = int(text)
    return min(asked or MOST, MOST), asked


def _key(rows: "QuerySet[M]", marker: str) -> Any:
    try:
        return rows.model._meta.pk.to_python(marker)
    except ValidationError:
        raise NotFound("request.marker", f"Marker {marker[:64]} could not be found.", field="marker") from None
