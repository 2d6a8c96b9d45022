"""What Placement has of its own: where it is, how it refuses, and the base of its views."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.utils.http import http_date

from apis.openstack.common import views
from apis.openstack.common.api import Api
from apis.openstack.common.authentication import authenticate
from apis.openstack.common.faults import Fault, Refused
from apis.openstack.common.microversions import Microversions, Version
from apis.openstack.common.views import Call, nothing
from apps.common import clock
from apps.common.errors import NotFound
from apps.placement.errors import REFERENCE, UNDEFINED

JSON = "application/json"
# Since then refusals say their code, and answers how old they are.
_CODES, _TIMES = (1, 23), (1, 15)


def error(fault: Fault) -> dict[str, Any]:
    """`{"errors": [{"status", "title", "detail", "request_id"}]}`."""
    told: dict[str, Any] = {"status": fault.status, "title": fault.title, "detail": fault.message}
    if fault.version is not None and fault.version >= _CODES:
        told["code"] = fault.code if fault.code in REFERENCE else UNDEFINED
    told["request_id"] = fault.request_id
    # Who asked for a version that there is not learns which ones there are.
    told |= {name: fault.facts[name] for name in ("max_version", "min_version") if fault.status == 406 and name in fault.facts}
    return {"errors": [told]}


API = Api(
    type="placement",
    path="/placement",
    version="",
    error=error,
    microversions=Microversions(service="placement", minimum=(1, 0), maximum=(1, 39)),
)


class View(views.View):
    """The base of Placement's views.

    `since`: method → the first version that has it; before it, the method is answered with `too_old`. `bodies`: methods that
    take JSON, and refuse everything else. `renders`: whether GET answers with JSON.
    """

    api = API
    since: ClassVar[Mapping[str, Version]] = {}
    too_old: ClassVar[int] = 404
    bodies: ClassVar[frozenset[str]] = frozenset({"POST", "PUT"})
    renders: ClassVar[bool] = True

    def _answer(self, request: HttpRequest, version: Version | None, named: dict[str, Any]) -> HttpResponse:
        assert version is not None, "Placement has microversions"
        method = "GET" if request.method == "HEAD" else request.method or ""
        # Whoever is nobody is told nothing, not even what there is.
        caller = None if method in self.public else authenticate(self.api, request)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal():
            raise Refused(400, UNDEFINED, "content-length header must be an integer")
        if length != "0" and not request.META.get("CONTENT_TYPE"):
            raise Refused(400, UNDEFINED, "content-type header required when content-length > 0")
        self._there(method, version)
        if method == "OPTIONS":
            return nothing(200, {"Allow": self._allow()})
        handler: Callable[..., HttpResponse] = getattr(self, method.lower())
        if method in self.bodies and request.content_type != JSON:
            raise Refused(415, UNDEFINED, f"The media type {request.content_type or None} is not supported, use {JSON}")
        if method == "GET" and self.renders and not request.accepts(JSON):
            raise Refused(406, UNDEFINED, f"Only {JSON} is provided")
        return handler(Call(self.api, request, caller, version), **named)

    def _there(self, method: str, version: Version) -> None:
        """Raises Refused (no such method here), NotFound (not in this version)."""
        told = {"Allow": self._allow()}
        if (method != "OPTIONS" and method not in views.METHODS) or not hasattr(self, method.lower()):
            raise Refused(405, UNDEFINED, "The method specified is not allowed for this resource.", headers=told)
        if version < self.since.get(method, version):
            if self.too_old == 404:
                raise NotFound("not_found", "The resource could not be found.")
            raise Refused(self.too_old, UNDEFINED, "The method specified is not allowed for this resource.", headers=told)


class Nothing(View):
    """Whatever is at no address: told after the token was looked at."""

    def _there(self, method: str, version: Version) -> None:
        raise NotFound("not_found", "The resource could not be found.")


def version_of(call: Call) -> Version:
    """The microversion that this request speaks."""
    assert call.microversion is not None, "Placement has microversions"
    return call.microversion


def stamped(call: Call, response: HttpResponse, moment: datetime | None = None) -> HttpResponse:
    """With the time of the newest thing in it, now unless given, in versions that tell it."""
    if version_of(call) >= _TIMES:
        response["Last-Modified"] = http_date((moment or clock.now()).timestamp())
        response["Cache-Control"] = "no-cache"
    return response


def address(*parts: object) -> str:
    """A link in a body, as Placement writes them: without scheme and host."""
    return "/".join([urlsplit(API.root).path, *map(str, parts)])


def location(*parts: object) -> str:
    """The whole address of what was made: clients go on from there."""
    return "/".join([API.root, *map(str, parts)])
