"""The edge as clients meet it: limits, headers on every answer, HTTPS, and requests of odd shapes."""

from collections.abc import Callable

import pytest
import throttled
from django.conf import settings
from django.test import Client

from tests.api.conftest import MakeUser
from tests.api.kit import Http
from tests.support.cloud import Cloud

Set = Callable[..., None]


@pytest.fixture
def env(edge_settings: Set, monkeypatch: pytest.MonkeyPatch) -> Set:
    """While it lasts no allowance refills, however slow the machine is."""
    monkeypatch.setattr(throttled.utils, "now_mono_f", lambda: 1000.0)
    return edge_settings


def test_a_project_that_asks_too_often_waits_and_others_do_not(
    cloud: Cloud, ann: Http, mallory: Http, sign_in: MakeUser, env: Set
) -> None:
    colleague = sign_in("bob", cloud.project)
    env(rate_project=1)
    statuses = [who.get("flavors").status for who in (ann, colleague) * 6]
    assert statuses == [200] * 10 + [429] * 2
    answer = ann.get("instances")
    problem = answer.problem(429, "request.throttled")
    assert (problem["scope"], problem["limit"], problem["window_s"]) == ("project", 10, 10)
    assert 0 < problem["retry_after_s"] <= 1 and answer.headers["Retry-After"] == answer.headers["RateLimit-Reset"] == "1"
    assert mallory.get("flavors").status == 200


def test_an_address_is_refused_before_anybody_looks_at_the_token(
    cloud: Cloud, ann: Http, env: Set, django_assert_num_queries: Callable[[int], object]
) -> None:
    env(rate_address=1)
    for _ in range(10):
        ann.get("/healthz").ok()
    with django_assert_num_queries(0):  # type: ignore[attr-defined]
        ann.get("flavors").problem(429, "request.throttled")
    assert ann.get("flavors", REMOTE_ADDR="192.0.2.7").status == 200


def test_signing_in_has_a_limit_of_its_own(cloud: Cloud, anybody: Http, ann: Http, env: Set) -> None:
    env(rate_sign_in=2)
    wrong = {"username": "ann", "password": "guess"}
    statuses = [anybody.post("tokens", wrong).status for _ in range(3)]
    assert statuses[2] == 429 and 429 not in statuses[:2]
    assert ann.get("flavors").status == 200


def test_a_projects_limit_counts_in_every_dialect(cloud: Cloud, ann: Http, env: Set) -> None:
    env(rate_project=1)
    asked = [ann.get("/identity/v3/auth/catalog").status for _ in range(10)]
    answer = ann.get("/identity/v3/auth/catalog")
    assert asked == [200] * 10
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    ann.get("flavors").problem(429, "request.throttled")


def test_an_openstack_client_is_told_in_its_own_words(cloud: Cloud, anybody: Http, env: Set) -> None:
    env(rate_sign_in=1)
    anybody.post("/identity/v3/auth/tokens", {})
    answer = anybody.post("/identity/v3/auth/tokens", {})
    assert answer.status == 429 and answer.headers["Retry-After"] == "60"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["error"]["code"] == 429


ANSWERS = [
    ("GET", "/healthz", 200), ("GET", "flavors", 200), ("GET", "instances/x", 404), ("GET", "/nowhere", 404), ("TRACE", "instances", 405),
    ("GET", "openapi.json", 200), ("GET", "docs", 200), ("GET", "docs?script=", 200), ("GET", "/admin/login/", 200), ("GET", "/", 302),
    ("GET", "/identity/v3", 200), ("GET", "/identity/v3/auth/tokens", 401), ("GET", "/api/session/login/", 200), ("OPTIONS", "instances", 200),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_tells_browsers_to_be_careful(cloud: Cloud, ann: Http, method: str, path: str, status: int) -> None:
    headers = {"Authorization": ""} if status == 401 else {}
    answer = ann(method, path, headers={"Origin": "https://evil.example", **headers})
    assert answer.status == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Permissions-Policy"]
    assert "no-store" in answer.headers["Cache-Control"]
    # Scripts of other sites may read nothing.
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_plain_http_is_sent_to_https_unless_the_proxy_says_that_it_was(
    cloud: Cloud, env: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", True)
    monkeypatch.setattr(settings, "SECURE_HSTS_SECONDS", 60)
    env(trusted_proxies=("10.0.0.1/32",))
    client = Client()
    answer = client.get("/api/v1/flavors", REMOTE_ADDR="192.0.2.1")
    assert (answer.status_code, answer["Location"]) == (301, "https://testserver/api/v1/flavors")
    forged = client.get("/api/v1/flavors", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-Proto": "https"})
    assert forged.status_code == 301
    told = client.get("/api/v1/flavors", REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"})
    assert (told.status_code, told["Strict-Transport-Security"]) == (401, "max-age=60")
    assert client.get("/healthz", REMOTE_ADDR="192.0.2.1").status_code == 200
    assert client.get("/api/v1/flavors", REMOTE_ADDR="127.0.0.1").status_code == 401


def test_what_is_nested_too_deeply_is_refused(cloud: Cloud, ann: Http) -> None:
    body = b'{"metadata": ' + b'{"a": ' * 40 + b"1" + b"}" * 40 + b"}"
    assert "32 levels" in ann.post("instances", body).problem(400, "request.malformed")["detail"]
    wide = b'{"metadata": {' + b",".join(b'"%d": {}' % number for number in range(100)) + b"}}"
    assert ann.post("instances", wide).json["code"] != "request.malformed"


def test_thousands_of_parameters_are_refused(cloud: Cloud, ann: Http) -> None:
    query = "&".join(f"p{number}=1" for number in range(1001))
    ann.get(f"instances?{query}").problem(400, "request.refused")
