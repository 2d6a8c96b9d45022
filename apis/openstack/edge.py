"""The outermost door of the dialects, a middleware: for what is refused before or outside of their views.

Inside, the size limit, the rate limit and Django's own handlers speak the native API's problem+json; below a dialect's
address that becomes the dialect's own shape here. Every answer gets the request id under OpenStack's name.
"""

from collections.abc import Callable

import orjson
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from apis.openstack import identity, placement
from apis.openstack.common import errors
from apis.openstack.common.api import Api
from apis.openstack.common.faults import Fault, Refused

APIS: dict[str, Api] = {api.path.removeprefix("/"): api for api in (identity.API, placement.API)}
_PROBLEM = "application/problem+json"


class Edge:
    """Stands before all other middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        api = APIS.get(request.path_info[1:].partition("/")[0])
        if api is None:
            return self.get_response(request)
        # Clients join addresses in their own ways; with and without a last slash is the same.
        request.path_info, request.path = request.path_info.rstrip("/"), request.path.rstrip("/")
        response = self.get_response(request)
        if response.headers.get("Content-Type") == _PROBLEM:
            _reshape(api, request, response)
        response["x-openstack-request-id"] = response.headers.get("X-Request-Id", "")
        patch_vary_headers(response, ["X-Auth-Token"])
        return response


def _reshape(api: Api, request: HttpRequest, response: HttpResponse) -> None:
    """A problem as the dialect's own kind of refusal; headers such as Retry-After stay."""
    problem = orjson.loads(response.content)
    status, version = response.status_code, None
    if api.microversions is not None:
        try:
            version = api.microversions.asked(request.headers)
        except Refused:
            version = api.microversions.minimum
        api.microversions.echo(response, version)
    fault = Fault(
        status=status, title=errors.title(status), message=problem["detail"], code=problem["code"], version=version,
        request_id=problem["request_id"],
    )
    response.content = orjson.dumps(api.error(fault))
    response["Content-Type"] = "application/json"
    if "Content-Length" in response:
        response["Content-Length"] = str(len(response.content))
