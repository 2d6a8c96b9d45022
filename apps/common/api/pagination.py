"""Keyset pages: `?limit=&after=<id>`; cost does not grow with the page's depth."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.errors import Invalid

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
M = TypeVar("M", bound=Model)


def limit_of(request: Request) -> int:
    """`?limit=`, 1 to 1,000. Raises Invalid."""
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not text.isascii() or not text.isdecimal() or len(text) > 4 or not 1 <= int(text) <= MAX_LIMIT:
        raise Invalid("request.limit", f"limit: expected a whole number from 1 to {MAX_LIMIT}.", field="limit")
    return int(text)


def page(
    request: Request, rows: "QuerySet[M]", render: Callable[[Any], Any], *columns: str,
    together: Callable[[list[Any]], None] | None = None,
) -> Response:
    """One page, newest first: `{"items": […], "next": <address or null>}`.

    With `columns` the rows come as dictionaries of just these columns and no model instance is made: the way of hot lists.
    `together` sees all rows of the page before they are rendered: for what is better asked once than per row.
    """
    limit = limit_of(request)
    if (after := request.query_params.get("after")) is not None:
        rows = rows.filter(pk__lt=_key_of(rows, after))
    rows = rows.order_by("-pk")
    found: list[Any] = list((rows.values(*columns) if columns else rows)[: limit + 1])
    following = None
    if len(found) > limit:
        found = found[:limit]
        following = following_page(request, found[-1]["id"] if columns else found[-1].pk)
    if together is not None:
        together(found)
    content = {"items": [render(row) for row in found], "next": following}
    return Response(orjson.dumps(content, default=str))


def page_of_names(request: Request, names: Sequence[str], render: Callable[[str], Any]) -> Response:
    """The same of names that are in memory, in their own order; `?after=` is a name, and has been heeded already."""
    limit = limit_of(request)
    following = following_page(request, names[limit - 1]) if len(names) > limit else None
    return Response({"items": [render(name) for name in names[:limit]], "next": following})


def following_page(request: Request, last: object) -> str:
    """The address of the page behind this item."""
    query = {**request.query_params.dict(), "after": str(last)}
    return request.build_absolute_uri(f"{request.path}?{urlencode(query)}")


def _key_of(rows: "QuerySet[M]", text: str) -> Any:
    key = rows.model._meta.pk
    try:
        found = key.to_python(text)
    except ValidationError:
        found = None
    if found is None or (isinstance(found, int) and not 0 <= found < 2**63):
        raise Invalid("request.after", "after: expected the id of an item.", field="after")
    return found
