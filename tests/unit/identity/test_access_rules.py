"""Which requests the access rules of application credentials allow."""

import time

import pytest

from apps.identity import access_rules
from apps.identity.access_rules import Rule


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/v2.1/servers", "/v2.1/servers", True), ("/v2.1/servers", "/v2x1/servers", False), ("/v2.1/servers", "/v2.1/servers/", False),
        ("/v2.1/servers/*", "/v2.1/servers/1", True), ("/v2.1/servers/*", "/v2.1/servers/1/action", False), ("/v2.1/servers/*", "/v2.1/servers/", False),
        ("/v2.1/servers/{id}/action", "/v2.1/servers/1/action", True), ("/v2.1/servers/{id}/action", "/v2.1/servers/1/2/action", False),
        ("/v2.1/**", "/v2.1/servers/1/action", True), ("/v2.1/**", "/v2.1/", True), ("/v2.1/**", "/v3/", False),
        ("/**/action", "/v2.1/servers/1/action", True), ("/**/action", "/v2.1/servers/1/actions", False),
        ("/a*b", "/a-b", True), ("/a*b", "/a/b", False), ("/*/*", "/a/b", True), ("/*/*", "/a/b/c", False), ("/**", "", False),
        ("/v2.1/servers", "/v2.1/servers\n", False), ("/a.c", "/abc", False),
    ],
)
def test_patterns_fit_whole_segments(pattern: str, path: str, fits: bool) -> None:
    rules = [Rule("compute", "GET", pattern)]
    assert access_rules.allows(rules, service="compute", method="GET", path=path) is fits


def test_service_and_method_must_be_the_rules_own() -> None:
    rules = [Rule("compute", "GET", "/**"), Rule("image", "POST", "/v2/images")]
    for service, method, fits in (
        ("compute", "GET", True), ("compute", "HEAD", True), ("compute", "POST", False), ("image", "GET", False), ("image", "POST", False),
        ("", "GET", False), ("compute", "", False), ("Compute", "GET", False),
    ):
        assert access_rules.allows(rules, service=service, method=method, path="/x") is fits
    assert not access_rules.allows([], service="compute", method="GET", path="/x")


@pytest.mark.parametrize("pattern", ["/" + "*a" * 60, "/" + "**a" * 40, "/" + "{x}" * 40])
def test_no_pattern_makes_it_slow(pattern: str) -> None:
    began = time.process_time()
    assert not access_rules.allows([Rule("compute", "GET", pattern)], service="compute", method="GET", path="/" + "a" * 4000 + "/b")
    assert time.process_time() - began < 2
