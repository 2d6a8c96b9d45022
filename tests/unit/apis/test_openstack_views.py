"""The base of views, with a service that has microversions: what every later dialect stands on."""

import json
from typing import ClassVar

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from apis.openstack.common import errors
from apis.openstack.common.api import Api
from apis.openstack.common.microversions import HEADER, Microversions
from apis.openstack.common.versions import Document
from apis.openstack.common.views import Call, View, reply
from apps.common.errors import Conflict, Invalid

API = Api(
    type="compute", path="/compute", version="v2.1", error=errors.titled,
    microversions=Microversions(service="compute", minimum=(2, 1), maximum=(2, 96)),
)


class Echo(View):
    """Says what it was asked."""

    api = API
    public: ClassVar = frozenset({"GET", "POST"})

    def get(self, call: Call, name: str = "") -> HttpResponse:
        return reply({"version": call.microversion, "name": name, "query": call.query, "all": call.flag("all")})

    def post(self, call: Call) -> HttpResponse:
        if "bug" in call.body:
            raise ZeroDivisionError
        raise Conflict("thing.exists", "There is one.") if call.body else Invalid("thing.empty", "Empty.")

    def delete(self, call: Call) -> HttpResponse:
        return reply({})


def ask(method: str, path: str = "/compute/v2.1/things", body: object = None, **headers: str) -> HttpResponse:
    request = RequestFactory().generic(
        method, path, data=b"" if body is None else json.dumps(body).encode(), content_type="application/json", headers=headers
    )
    response = Echo.as_view()(request)
    assert isinstance(response, HttpResponse)
    return response


def test_a_call_knows_version_parameters_and_flags() -> None:
    response = ask("GET", "/compute/v2.1/things?all&x=1", **{HEADER: "compute 2.60"})
    assert json.loads(response.content) == {"version": [2, 60], "name": "", "query": {"all": "", "x": "1"}, "all": True}
    assert response[HEADER] == "compute 2.60" and HEADER in response["Vary"]


@pytest.mark.parametrize(("query", "on"), [("", False), ("all", True), ("all=1", True), ("all=false", True), ("all=0", False)])
def test_a_flag_is_on_when_it_is_there_and_not_0(query: str, on: bool) -> None:
    assert json.loads(ask("GET", f"/?{query}").content)["all"] is on


def test_what_the_address_names_comes_by_name() -> None:
    response = Echo.as_view()(RequestFactory().get("/"), name="red")
    assert isinstance(response, HttpResponse) and json.loads(response.content)["name"] == "red"


def test_refusals_say_the_version_too() -> None:
    response = ask("POST", body={"a": 1}, **{HEADER: "compute 2.60"})
    assert response.status_code == 409 and json.loads(response.content)["error"]["title"] == "Conflict"
    assert response[HEADER] == "compute 2.60"
    assert ask("GET", **{HEADER: "compute 9.9"}).status_code == 406
    assert ask("GET", **{HEADER: "compute nine"}).status_code == 400


def test_a_method_that_is_not_public_needs_a_token() -> None:
    response = ask("DELETE")
    assert response.status_code == 401 and response["WWW-Authenticate"].startswith("Keystone uri=")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "BREW", "DISPATCH", "AS_VIEW", "API"])
def test_other_methods_are_refused_with_a_list(method: str) -> None:
    response = ask(method)
    assert response.status_code == 405
    assert response["Allow"] == "GET, POST, DELETE, HEAD, OPTIONS"


def test_head_has_the_headers_of_get() -> None:
    got, headed = ask("GET"), ask("HEAD")
    assert headed.status_code == 200 and headed.content == b""
    assert dict(headed.items()) == dict(got.items())


def test_a_bug_is_not_taken_for_a_refusal() -> None:
    with pytest.raises(ZeroDivisionError):
        ask("POST", body={"bug": True})


def test_a_parameter_may_not_hold_nul() -> None:
    response = ask("GET", "/?x=%00")
    assert response.status_code == 400


def test_a_document_says_which_microversions_there_are() -> None:
    shown = Document(id="v2.1", status="CURRENT", updated="2013-07-23T11:33:21Z").render(API)
    assert (shown["min_version"], shown["max_version"], shown["version"]) == ("2.1", "2.96", "2.96")
    assert shown["links"] == [{"rel": "self", "href": "http://127.0.0.1:8600/compute/v2.1/"}]


def test_names_in_links_are_quoted() -> None:
    assert API.url("things", "a/b c?ü") == "http://127.0.0.1:8600/compute/v2.1/things/a%2Fb%20c%3F%C3%BC"
