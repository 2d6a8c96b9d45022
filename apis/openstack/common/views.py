"""The base of all views: who asks, in which version, which method; an answer or a refusal in the service's own shape.

A view has a method per HTTP method, `get(call, …)` to `delete(call, …)`, with what its address names; HEAD is GET without
the body. It parses, calls one service or selector, and renders.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View as DjangoView
from msgspec import Struct

from apis.openstack.common import errors, schema
from apis.openstack.common.api import Api
from apis.openstack.common.authentication import Caller, authenticate
from apis.openstack.common.faults import Refused
from apis.openstack.common.microversions import Version
from apps.common.context import Actor
from apps.common.errors import Invalid

S = TypeVar("S", bound=Struct)


class Call:
    """One request, as the methods of views see it."""

    def __init__(self, api: Api, request: HttpRequest, caller: Caller | None, microversion: Version | None) -> None:
        self.api, self.request, self._caller, self.microversion = api, request, caller, microversion

    @property
    def caller(self) -> Caller:
        """Who asks, with which token. Only where the method needs a token."""
        assert self._caller is not None, "a public method has no caller"
        return self._caller

    @property
    def actor(self) -> Actor:
        """For services and selectors."""
        return self.caller.actor

    @cached_property
    def body(self) -> dict[str, Any]:
        """The JSON object that was sent; empty if nothing was. Raises Invalid."""
        return schema.json_object(self.request.body, self.request.content_type or "")

    def read(self, kind: type[S], under: str = "") -> S:
        """The body, or what it has under that key, checked. Raises Invalid."""
        return schema.convert(self.body, kind, under)

    def changes(self, kind: type[S], under: str, thing_id: object) -> dict[str, Any]:
        """What a PATCH of that thing changes, checked. Raises Invalid."""
        return schema.changes(self.body, kind, under, thing_id)

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters of the address. Raises Invalid."""
        found = self.request.GET.dict()
        if any("\x00" in text for pair in found.items() for text in pair):
            raise Invalid("request.invalid", "A parameter holds the character NUL, which nothing here may have.")
        return {name: value for name, value in found.items() if isinstance(value, str)}

    def flag(self, name: str) -> bool:
        """Whether a parameter such as `effective` is there, and is not 0."""
        return self.query.get(name, "0") != "0"


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """An answer of JSON."""
    return HttpResponse(orjson.dumps(content), status=status, content_type="application/json", headers=headers)


def nothing(status: int = 204, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """An answer without a body."""
    response = HttpResponse(status=status, headers=headers)
    del response["Content-Type"]
    return response


@method_decorator(csrf_exempt, name="dispatch")  # a token does not come by itself, as a cookie does
class View(DjangoView):
    """`api` says whose view it is. `permissions`: method → what it needs ("": any valid token). `public`: methods without token.

    `statuses`: by code, where the same refusal has another HTTP status here than in the rest of the service.
    """

    api: ClassVar[Api]
    permissions: ClassVar[Mapping[str, str]] = {}
    public: ClassVar[frozenset[str]] = frozenset()
    statuses: ClassVar[Mapping[str, int]] = {}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        spoken = self.api.microversions
        version: Version | None = None
        try:
            if spoken is not None:
                version = spoken.minimum
                version = spoken.asked(request.headers)
            response = self._answer(request, version, kwargs)
        except Exception as error:
            refused = errors.answer(self.api, request, error, self.statuses, version)
            if refused is None:
                raise
            response = refused
        if spoken is not None and version is not None:
            spoken.echo(response, version)
        if request.method == "HEAD":
            response.content = b""
        return response

    def _answer(self, request: HttpRequest, version: Version | None, named: dict[str, Any]) -> HttpResponse:
        method = "GET" if request.method == "HEAD" else request.method or ""
        if method == "OPTIONS":
            return nothing(200, {"Allow": self._allow()})
        handler: Callable[..., HttpResponse] | None = getattr(self, method.lower(), None) if method in METHODS else None
        if handler is None:
            text = f"{request.method} is not known here; this address takes {self._allow()}."
            raise Refused(405, "request.method", text, headers={"Allow": self._allow()})
        caller = None if method in self.public else authenticate(self.api, request)
        return handler(Call(self.api, request, caller, version), **named)

    @classmethod
    def _allow(cls) -> str:
        found = [method for method in METHODS if hasattr(cls, method.lower())]
        return ", ".join([*found, *(["HEAD"] if "GET" in found else []), "OPTIONS"])


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
