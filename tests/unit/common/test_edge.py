"""The front door: whom a proxy may speak for, what every answer tells a browser, who is turned away at once."""

from collections.abc import Callable

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from apps.common.api import edge

Set = Callable[..., None]


@pytest.fixture
def env(edge_settings: Set) -> Set:
    return edge_settings


def seen(peer: str, **headers: str) -> tuple[str, str]:
    """Address and scheme as everybody behind sees them."""
    request = RequestFactory().get("/", REMOTE_ADDR=peer, headers={name.replace("_", "-"): text for name, text in headers.items()})
    edge.Peer(lambda _: HttpResponse())(request)
    assert not [name for name in request.META if name.startswith("HTTP_X_FORWARDED")]
    return request.META["REMOTE_ADDR"], request.scheme or ""


def test_headers_from_just_anybody_are_not_believed(env: Set) -> None:
    env(trusted_proxies=("10.0.0.0/24",))
    assert seen("192.0.2.1", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https") == ("192.0.2.1", "http")


def test_without_trusted_proxies_nobody_is_believed(env: Set) -> None:
    env(trusted_proxies=())
    assert seen("127.0.0.1", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https") == ("127.0.0.1", "http")


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        # What the client itself has sent stands to the left of what the proxy has seen.
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("10.0.0.8,10.0.0.7", "10.0.0.8"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        # Nonsense ends the walk at the last proxy that could be trusted.
        ("unknown", "10.0.0.1"),
        ("203.0.113.9, <script>, 10.0.0.7", "10.0.0.7"),
        ("", "10.0.0.1"),
        (",", "10.0.0.1"),
        (",".join(["10.0.0.9"] * 5000), "10.0.0.9"),
    ],
)
def test_a_trusted_proxy_says_who_is_behind_it(env: Set, forwarded: str, address: str) -> None:
    env(trusted_proxies=("10.0.0.0/24",))
    assert seen("10.0.0.1", X_Forwarded_For=forwarded, X_Forwarded_Proto="https") == (address, "https")


@pytest.mark.parametrize(("told", "scheme"), [("https", "https"), ("HTTPS", "https"), ("http", "http"), ("https,http", "http"), ("ftp", "http")])
def test_a_trusted_proxy_says_how_the_client_came(env: Set, told: str, scheme: str) -> None:
    env(trusted_proxies=("10.0.0.1/32",))
    assert seen("10.0.0.1", X_Forwarded_Proto=told)[1] == scheme


def test_an_address_in_the_form_of_both_families_is_plain(env: Set) -> None:
    env(trusted_proxies=("10.0.0.0/8",))
    assert seen("::ffff:192.0.2.1")[0] == "192.0.2.1"
    assert seen("::ffff:10.1.2.3", X_Forwarded_For="203.0.113.9")[0] == "203.0.113.9"


def test_a_local_socket_is_trusted_only_if_it_is_named(env: Set) -> None:
    env(trusted_proxies=("10.0.0.0/24",))
    assert seen("", X_Forwarded_For="203.0.113.9") == ("", "http")
    env(trusted_proxies=("unix",))
    assert seen("", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https") == ("203.0.113.9", "https")


def test_who_asks_from_this_machine_itself_needs_no_https(env: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", True)
    env(trusted_proxies=())
    assert seen("127.0.0.1")[1] == "https"
    assert seen("192.0.2.1")[1] == "http"
    # A proxy on this machine that is not trusted is no direct way: what it carries may have come in the clear.
    assert seen("127.0.0.1", X_Forwarded_For="203.0.113.9")[1] == "http"


def answered(response: HttpResponse) -> HttpResponse:
    return edge.Headers(lambda _: response)(HttpRequest())


def test_data_may_do_nothing_in_a_browser_and_stays_in_no_cache() -> None:
    response = answered(HttpResponse(b"{}", content_type="application/json"))
    assert response["Content-Security-Policy"] == edge.DATA_POLICY
    assert response["Cache-Control"] == "no-store"
    assert "camera=()" in response["Permissions-Policy"]


def test_a_page_may_load_our_own_files_only() -> None:
    policy = answered(HttpResponse(b"<p>"))["Content-Security-Policy"]
    assert policy == edge.PAGE_POLICY
    assert "unsafe" not in policy and "*" not in policy and "frame-ancestors 'none'" in policy


def test_a_view_may_say_otherwise() -> None:
    response = HttpResponse(b"", headers={"Cache-Control": "public, max-age=60", "Content-Security-Policy": "sandbox"})
    assert (answered(response)["Cache-Control"], answered(response)["Content-Security-Policy"]) == ("public, max-age=60", "sandbox")


def ask(method: str, path: str, peer: str = "192.0.2.1") -> HttpResponse:
    request = RequestFactory().generic(method, path, REMOTE_ADDR=peer)
    return edge.Rates(lambda _: HttpResponse())(request)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/tokens", "/admin/login/", "/admin/login/?next=/admin/", "/api/session/login/", "/identity/v3/auth/tokens",
        "/identity/v3/auth/tokens/", "/identity/v3/ec2tokens", "/identity/v3/users/9b1f/password",
    ],
)
def test_whoever_offers_passwords_is_slowed_down_sooner(env: Set, path: str) -> None:
    env(rate_address=0, rate_sign_in=2)
    assert [ask("POST", path).status_code for _ in range(3)] == [200, 200, 429]
    assert ask("GET", path).status_code == 200
    assert ask("POST", "/api/v1/instances").status_code == 200
    assert ask("POST", path, "192.0.2.2").status_code == 200


def test_a_refusal_is_a_problem_that_says_when_to_come_back(env: Set) -> None:
    import json

    env(rate_address=1)
    answers = [ask("GET", "/api/v1/instances") for _ in range(11)]
    assert {answer.status_code for answer in answers[:10]} == {200}
    refused = answers[10]
    assert (refused.status_code, refused["Content-Type"]) == (429, "application/problem+json")
    assert (refused["Retry-After"], refused["RateLimit-Limit"], refused["RateLimit-Remaining"]) == ("1", "10", "0")
    problem = json.loads(refused.content)
    assert (problem["code"], problem["limit"], problem["window_s"]) == ("request.throttled", 10, 10)
    assert 0 < problem["retry_after_s"] <= 1


def test_addresses_of_a_local_socket_are_counted_too(env: Set) -> None:
    env(rate_address=1)
    assert [ask("GET", "/", "").status_code for _ in range(11)][-1] == 429
