"""Everything that can be called: the operations of the native API out of its OpenAPI document, those of the OpenStack
dialects out of their URL patterns. What is new is in here by itself."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator

from apis.openstack.common.views import View as DialectView
from apps.common.api.views import View as NativeView

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PARAMETER = re.compile(r"<(?:[^:>]+:)?(\w+)>")
_NAMED = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Operation:
    """One method at one address. `name`: the operation id, or `identity GET /v3/users/{user_id}` for a dialect's.

    `permission`: what the view declares; None: nothing. `public`: takes no token. `body`: the JSON schema of what it takes,
    with all references put in, where there is one; `media`: the type of that. `query`, `flags`: names of its parameters, and
    of those that are true or false.
    """

    name: str
    method: str
    template: str
    permission: str | None
    public: bool
    dialect: bool
    body: dict[str, Any] | None = None
    media: str = "application/json"
    query: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def parameters(self) -> list[str]:
        """Names of the parts of the address that differ from thing to thing."""
        return _NAMED.findall(self.template)

    def __str__(self) -> str:
        return self.name


def every() -> list[Operation]:
    """All of them."""
    return [*native(), *dialects()]


def native() -> list[Operation]:
    """As the OpenAPI document has them."""
    document = document_of()
    found = []
    for template, methods in document["paths"].items():
        for method, told in methods.items():
            media, body = _body(document, told.get("requestBody"))
            query = [each for each in told.get("parameters", ()) if each["in"] == "query"]
            found.append(
                Operation(
                    name=told["operationId"], method=method.upper(), template=template, permission=told.get("x-permission"),
                    public=not told.get("security"), dialect=False, body=body, media=media,
                    query=tuple(each["name"] for each in query),
                    flags=tuple(each["name"] for each in query if each["schema"].get("type") == "boolean"),
                )
            )
    return found


def document_of() -> dict[str, Any]:
    """The OpenAPI document of the native API."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return document


def undocumented() -> list[str]:
    """Methods of the native API that its document leaves out."""
    known = {(operation.method, operation.template) for operation in native()}
    return [
        f"{method} {template}" for template, view in _views(NativeView) for method in _methods(view)
        if (method, template) not in known
    ]


def dialects() -> list[Operation]:
    """As URL patterns and views have them."""
    found = []
    for template, view in _views(DialectView):
        for method in _methods(view):
            public = method in view.public
            found.append(
                Operation(
                    name=f"{view.api.type} {method} {template.removeprefix(view.api.path) or '/'}", method=method, template=template,
                    permission=view.permissions.get(method, "" if public else None), public=public, dialect=True,
                )
            )
    return found


def _views(base: type) -> Iterator[tuple[str, Any]]:
    """Every address with its view, if that is one of these."""
    for template, pattern in _patterns(get_resolver().url_patterns, "/"):
        view = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
        if view is not None and issubclass(view, base):
            yield template, view


def _patterns(patterns: list[URLPattern | URLResolver], start: str) -> Iterator[tuple[str, URLPattern]]:
    for each in patterns:
        template = start + _PARAMETER.sub(r"{\1}", str(each.pattern))
        if isinstance(each, URLResolver):
            yield from _patterns(each.url_patterns, template)
        else:
            yield template, each


def _methods(view: Any) -> list[str]:
    return [method for method in METHODS if hasattr(view, method.lower())]


def _body(document: dict[str, Any], told: dict[str, Any] | None) -> tuple[str, dict[str, Any] | None]:
    if told is None:
        return "", None
    [(media, content)] = list(told["content"].items())[:1]
    return media, _whole(document, content["schema"])


def _whole(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with what it refers to in the place of references."""
    if "$ref" in schema:
        return _whole(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "allOf" in schema and len(schema["allOf"]) == 1:
        return _whole(document, schema["allOf"][0])
    whole = dict(schema)
    if "properties" in whole:
        whole["properties"] = {name: _whole(document, each) for name, each in whole["properties"].items()}
    if "items" in whole:
        whole["items"] = _whole(document, whole["items"])
    return whole
