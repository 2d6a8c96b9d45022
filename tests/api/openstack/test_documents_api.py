"""What every address of Identity has, and what can be read without a token."""

import json
from typing import Any

import pytest
from django.test import Client

from tests.api.openstack.kit import Keystone

V3 = "http://127.0.0.1:8600/identity/v3/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def nobody() -> Keystone:
    return Keystone()


@pytest.mark.parametrize("path", ["/identity", "/identity/"])
def test_the_root_offers_a_choice_of_one_version(nobody: Keystone, path: str) -> None:
    answer = nobody.get(path)
    [version] = answer.ok(300)["versions"]["values"]
    assert answer.headers["Location"] == V3
    assert version["id"] == "v3.14" and version["status"] == "stable"
    assert version["links"] == [{"rel": "self", "href": V3}]


@pytest.mark.parametrize("path", ["/identity/v3", "/identity/v3/"])
def test_a_version_describes_itself_as_the_root_does(nobody: Keystone, path: str) -> None:
    version = nobody.get(path).ok()["version"]
    assert version == nobody.get("/identity").json["versions"]["values"][0]
    assert version["media-types"] == [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}]


def test_links_go_by_the_public_address_and_not_by_what_the_request_was_sent_to(nobody: Keystone) -> None:
    version = nobody.get("/identity/v3", headers={"Host": "localhost:9999", "X-Forwarded-Host": "evil.example"}).ok()["version"]
    assert version["links"] == [{"rel": "self", "href": V3}]


@pytest.mark.parametrize("path", ["/identity/v2.0", "/identity/v3/nothing", "/identity/v3/users/%00", "/identity/v3/auth/tokens/x"])
def test_an_unknown_address_is_refused_in_identitys_shape(nobody: Keystone, path: str) -> None:
    nobody.get(path).refused(404)


def test_other_addresses_keep_their_own_shape() -> None:
    answer = Client().get("/identityx")
    assert answer.status_code == 404 and answer["Content-Type"] == "application/problem+json"
    assert "x-openstack-request-id" not in answer


def test_a_wrong_method_is_told_the_right_ones(nobody: Keystone) -> None:
    answer = nobody.put("auth/tokens", {})
    answer.refused(405)
    assert answer.headers["Allow"] == "GET, POST, DELETE, HEAD, OPTIONS"
    answer = nobody("OPTIONS", "auth/tokens")
    assert answer.status == 200 and answer.headers["Allow"] == "GET, POST, DELETE, HEAD, OPTIONS"


def test_head_is_get_without_a_body(nobody: Keystone) -> None:
    answer = nobody.head("/identity/v3")
    assert answer.status == 200 and answer.content == b"" and answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["auth/catalog", "auth/projects", "auth/domains", "auth/system", "auth/tokens"])
@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "nonsense"}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}])
def test_without_a_good_token_one_is_told_where_to_get_it(nobody: Keystone, path: str, headers: dict[str, str]) -> None:
    answer = nobody.get(path, headers=headers)
    assert answer.refused(401) == "The request you have made requires authentication."
    assert answer.headers["WWW-Authenticate"] == 'Keystone uri="http://127.0.0.1:8600/identity/v3"'


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"auth": null}', b'{"auth": 7}', b'{"auth": {"identity": {}}}'])
def test_what_is_no_request_for_a_token_is_malformed(nobody: Keystone, body: bytes) -> None:
    nobody.post("auth/tokens", body).refused(400)


def test_another_media_type_is_malformed_too(nobody: Keystone) -> None:
    message = nobody.post("auth/tokens", b"a=b", content_type="application/x-www-form-urlencoded").refused(400)
    assert "Content-Type" in message


def test_a_body_that_is_too_big_is_refused_in_identitys_shape(nobody: Keystone, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    nobody.post("auth/tokens", json.dumps({"auth": {"padding": "x" * 200}}).encode()).refused(413)


def test_a_bug_is_a_500_in_identitys_shape_and_tells_nothing(nobody: Keystone, monkeypatch: pytest.MonkeyPatch) -> None:
    from apis.openstack.common import versions

    def broken(*args: object) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(versions.Document, "render", broken)
    assert "swordfish" not in nobody.get("/identity/v3").refused(500)
