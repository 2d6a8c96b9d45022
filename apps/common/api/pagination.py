"""Keyset pages: `?limit=&after=<id>`; cost does not grow with the page's depth."""

import uuid
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
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
    if not text.isdecimal() or not 1 <= int(text) <= MAX_LIMIT:
        raise Invalid("request.limit", f"limit: expected a whole number from 1 to {MAX_LIMIT}.", field="limit")
    return int(text)


def uuid_of(request: Request, name: str) -> uuid.UUID | None:
    """An id among the query parameters. Raises Invalid if it is not a UUID."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Invalid("request.id", f"{name}: expected a UUID.", field=name) from None


def page(request: Request, rows: "QuerySet[M]", render: Callable[[Any], Any], *columns: str) -> Response:
    """One page, newest first: `{"items": […], "next": <address or null>}`.

    With `columns` the rows come as dictionaries of just these columns and no model instance is made: the way of hot lists.
    """
    limit = limit_of(request)
    if (after := uuid_of(request, "after")) is not None:
        rows = rows.filter(pk__lt=after)
    rows = rows.order_by("-pk")
    found: list[Any] = list((rows.values(*columns) if columns else rows)[: limit + 1])
    following = None
    if len(found) > limit:
        found = found[:limit]
        last = found[-1]["id"] if columns else found[-1].pk
        query = {**request.query_params.dict(), "after": str(last)}
        following = request.build_absolute_uri(f"{request.path}?{urlencode(query)}")
    content = {"items": [render(row) for row in found], "next": following}
    return Response(orjson.dumps(content, default=str), content_type="application/json")
