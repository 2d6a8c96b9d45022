"""URLs that images are fetched from."""

import pytest

from apps.common.errors import Invalid
from apps.images.fetching.locations import Location, follow, parse


def refused(text: str) -> str:
    with pytest.raises(Invalid) as refusal:
        parse(text)
    return refusal.value.code


def test_a_url_is_taken_apart() -> None:
    found = parse("https://Images.Example.org:8443/a/disk.qcow2?sig=1#part")
    assert found == Location("https", "images.example.org", 8443, "/a/disk.qcow2?sig=1")
    assert found.authority == "images.example.org:8443"
    assert found.url == "https://images.example.org:8443/a/disk.qcow2?sig=1"


def test_the_port_that_goes_without_saying_is_not_said() -> None:
    assert parse("http://example.org").url == "http://example.org/"
    assert parse("https://example.org:443/x").authority == "example.org"
    assert parse("http://[2606:4700::1111]/x").authority == "[2606:4700::1111]"


def test_signatures_are_not_shown() -> None:
    assert "secret" not in parse("https://example.org/disk?X-Amz-Signature=secret").shown


@pytest.mark.parametrize(
    "text",
    [
        "", "ftp://example.org/x", "file:///etc/passwd", "gopher://x/", "//example.org/x", "example.org", "http://", "http:///x", "http://exa mple/",
        "http://example.org/a\nHost: b", "http://example.org\\@10.0.0.1/", "http://[::1", "http://[fe80::1%25eth0]/", "http://[v1.x]/",
        "http://example.org:x/", "http://example.org:99999/", "http://-/", "http://a..b/", "http://" + "a" * 300 + "/", "http://example.org/" + "a" * 2100,
        "http://ex\x00ample/", "http://%31%32%37.0.0.1/", "http://example.org\t/",
    ],
)
def test_what_is_odd_is_refused(text: str) -> None:
    assert refused(text) == "image.url"


@pytest.mark.parametrize("text", ["http://user:pass@example.org/x", "http://user@example.org/", "https://@example.org/"])
def test_credentials_are_refused(text: str) -> None:
    assert refused(text) == "image.url_credentials"


@pytest.mark.parametrize("port", [0, 22, 25, 110, 445, 1023])
def test_ports_of_other_services_are_refused(port: int) -> None:
    assert refused(f"http://example.org:{port}/") == "image.url_port"


def test_names_and_paths_of_all_languages_are_written_in_ascii() -> None:
    found = parse("https://bücher.example/Ä bild.raw".replace(" ", "%20"))
    assert found.host == "xn--bcher-kva.example"
    assert found.target == "/%C3%84%20bild.raw"


def test_a_redirect_may_be_relative() -> None:
    here = parse("https://example.org/a/b?x=1")
    assert follow(here, "../c").url == "https://example.org/c"
    assert follow(here, "//other.example/d").url == "https://other.example/d"
    assert follow(here, "https://third.example/\u00c3\u00a4").target == "/%C3%A4"


def test_a_redirect_does_not_give_up_encryption() -> None:
    with pytest.raises(Invalid) as refusal:
        follow(parse("https://example.org/"), "http://example.org/")
    assert refusal.value.code == "image.url_downgrade"


@pytest.mark.parametrize("header", ["file:///etc/passwd", "http://user:x@example.org/", "ftp://example.org", "http://[", "http://\u4e2d/"])
def test_a_redirect_is_checked_as_the_first_url_was(header: str) -> None:
    with pytest.raises(Invalid):
        follow(parse("http://example.org/"), header)
