"""OpenAPI, the pages for browsers, and the addresses for load balancers."""

import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from apps.identity.models import User
from tests.api.kit import Http
from tests.support.cloud import Cloud


@pytest.fixture
def browser(cloud: Cloud, ann: Http) -> Client:
    assert ann.user is not None
    client = Client(raise_request_exception=False, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    client.force_login(ann.user)
    return client


def test_the_schema_is_valid_and_without_warnings(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "openapi.yaml"))
    text = (tmp_path / "openapi.yaml").read_text()
    assert text.count("operationId:") >= 40
    for part in ("/api/v1/instances/{instance_id}/actions:", "Idempotency-Key", "application/problem+json", "application/octet-stream"):
        assert part in text


def test_every_operation_has_a_summary_and_a_problem(anybody: Http) -> None:
    schema = anybody.get("openapi.json").ok()
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (path, method)
            assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}
            assert operation["tags"], (path, method)


def test_the_schema_is_there_as_yaml_and_as_a_page(anybody: Http) -> None:
    assert anybody.get("openapi.yaml").content.startswith(b"openapi: 3.")
    page = anybody.get("docs", headers={"Accept": "text/html"})
    assert page.status == 200 and b"swagger" in page.content.lower()


PAGES = [
    "whoami", "tokens", "projects", "role-assignments", "flavors", "key-pairs", "instances", "images", "networks", "ports", "operations",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_browser_gets_a_page(browser: Client, path: str) -> None:
    answer = browser.get(f"/api/v1/{path}")
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/html")


def test_the_page_of_a_list_has_a_form_with_the_fields(browser: Client, cloud: Cloud) -> None:
    browser.post(
        "/api/v1/instances", json.dumps({"name": "web", "flavor": cloud.flavor.name, "image": "demo"}), content_type="application/json"
    )
    page = browser.get("/api/v1/instances").content.decode()
    assert "&quot;name&quot;: &quot;&quot;" in page
    assert "&quot;state&quot;: &quot;BUILD&quot;" in page


@pytest.mark.parametrize(
    "path", ["instances/01900000-0000-7000-8000-000000000000", "hosts", "instances?limit=x", "images/01900000-0000-7000-8000-000000000000/file"]
)
def test_a_refusal_is_a_page_in_a_browser(browser: Client, path: str) -> None:
    answer = browser.get(f"/api/v1/{path}")
    assert answer.status_code in (400, 403, 404, 405)
    assert answer["Content-Type"].startswith("text/html") and b"urn:cloudsite:error:" in answer.content


def test_who_is_not_signed_in_gets_a_page_that_says_so(cloud: Cloud) -> None:
    answer = Client(headers={"Accept": "text/html"}).get("/api/v1/instances")
    assert answer.status_code == 401 and b"auth.required" in answer.content and b"Log in" in answer.content


def test_a_signed_in_user_without_project_is_told_so(cloud: Cloud) -> None:
    stranger = User.objects.create_user(username="stranger", password="x")
    client = Client(raise_request_exception=False, headers={"Accept": "text/html"})
    client.force_login(stranger)
    answer = client.get("/api/v1/instances")
    assert answer.status_code == 403 and b"policy.forbidden" in answer.content


def test_a_session_needs_the_csrf_token_to_change_anything(cloud: Cloud, ann: Http) -> None:
    assert ann.user is not None
    client = Client(enforce_csrf_checks=True)
    client.force_login(ann.user)
    answer = client.post("/api/v1/networks", json.dumps({"name": "n"}), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.forbidden")


def test_the_health_addresses_need_no_token(anybody: Http) -> None:
    from unittest import mock

    from django.db import OperationalError, connection

    assert anybody.get("/healthz").ok() == {"status": "ok"}
    assert anybody.get("/readyz").ok() == {"status": "ready"}
    with mock.patch.object(connection, "cursor", side_effect=OperationalError("gone")):
        anybody.get("/readyz").problem(503, "database.unavailable")
        assert anybody.get("/healthz").ok() == {"status": "ok"}


def test_a_database_that_is_away_is_no_internal_error(cloud: Cloud, ann: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    from apps.identity.services import tokens

    def refuse(**_: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(tokens, "check", refuse)
    ann.get("instances").problem(503, "database.unavailable")


def test_the_root_leads_to_the_sign_in(anybody: Http) -> None:
    answer = anybody.get("/")
    assert answer.status == 302 and answer.headers["Location"] == "/account/login/"


def test_a_request_id_is_taken_if_it_is_harmless(ann: Http) -> None:
    assert ann.get("whoami", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    for bad in ("a b", "x" * 65, "<script>"):
        assert ann.get("whoami", headers={"X-Request-Id": bad}).headers["X-Request-Id"].startswith("req-")


def test_a_foreign_host_name_is_refused_as_a_problem(anybody: Http) -> None:
    anybody.get("whoami", HTTP_HOST="evil.example").problem(400, "request.refused")
