"""XML, forms, conditions, ranges, checksums: what is read off the wire."""

import io
from datetime import UTC, datetime
from xml.etree.ElementTree import fromstring

import pytest

from apis.s3 import checksums, conditions, describing, xml
from apis.s3.conditions import Span
from apis.s3.errors import CODES, Refused, refusal
from apis.s3.forms import Form
from apis.s3.operations.cors import _fits
from apis.s3.request import Query, Request
from apps.common import errors
from apps.common.errors import CloudError
from tests.unit.apis.s3.test_s3_chunked import Trickle


def asked(**headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method="PUT", path="/b/k", query=Query(""), headers=named, body=io.BytesIO(), bucket="b", key="k")


def test_documents_hold_what_they_are_given_escaped() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    root = fromstring(xml.document("R", [("A", "<&>\""), ("B", None), ("C", [("D", 1), ("D", True)]), ("E", when), ("F", "")], namespace=""))
    assert root.findtext("A") == "<&>\""
    assert root.find("B") is None and root.findtext("F") == ""
    assert [each.text for each in root.findall("C/D")] == ["1", "true"]
    assert root.findtext("E") == "2026-01-02T03:04:05.678Z"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<R>", b"no", b"<Other/>", b"<!DOCTYPE R><R/>", b'<!DOCTYPE R [<!ENTITY a "b">]><R>&a;</R>', b"<R>&a;</R>", b"<R>" * 50 + b"</R>" * 50,
        b'<?xml version="1.0" encoding="nonsense"?><R/>', b"<R>\xff</R>",
    ],
)
def test_what_is_no_such_document_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        xml.parse(body, "R")
    assert caught.value.code == "MalformedXML"


def test_documents_with_more_in_them_than_s3_has_a_use_for_are_refused_early() -> None:
    parts = b"<R>" + b"<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>" * 10_000 + b"</R>"
    assert len(xml.parse(parts, "R")) == 10_000
    assert xml.required(xml.parse(b"<R><Key>" + b"k" * 500_000 + b"</Key></R>", "R"), "Key") == "k" * 500_000
    attributes = b" ".join(b'a%d=""' % number for number in range(30_000))
    for body in (b"<R>" + b"<a/>" * 100_000 + b"</R>", b"<R " + attributes + b"/>", b"<R>" + b'<a b=""/>' * 60_000 + b"</R>"):
        with pytest.raises(Refused) as caught:
            xml.parse(body, "R")
        assert caught.value.code == "MalformedXML"


def test_documents_are_read_with_and_without_namespaces() -> None:
    for body in (b"<R><A> x </A></R>", b'<R xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><A>x</A></R>', b'<s:R xmlns:s="y"><s:A>x</s:A></s:R>'):
        assert xml.required(xml.parse(body, "R"), "A") == "x"


def test_what_services_say_has_a_code_of_s3() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, CloudError):
            assert refusal(kind("some.code", "Sorry.")).code in CODES


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bytes=0-3", Span(0, 3)), ("bytes=2-", Span(2, 9)), ("bytes=-3", Span(7, 9)), ("bytes=-30", Span(0, 9)), ("bytes=5-500", Span(5, 9)),
        ("bytes=5-2", None), ("bytes=-", None), ("bytes=0-1,3-4", None), ("lines=0-3", None), ("nonsense", None),
    ],
)
def test_ranges(text: str, found: Span | None) -> None:
    assert conditions.span(text, 10) == found


@pytest.mark.parametrize(("text", "size"), [("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-5", 0)])
def test_ranges_that_an_object_has_nothing_of(text: str, size: int) -> None:
    with pytest.raises(Refused) as caught:
        conditions.span(text, size)
    assert (caught.value.status, caught.value.headers) == (416, {"Content-Range": f"bytes */{size}"})


def test_etags_are_read_quoted_plain_and_weak() -> None:
    assert conditions.etags('"a", W/"b",c') == ("a", "b", "c")
    assert conditions.etags("*") == ("*",)
    assert conditions.etags("") == ()


def test_of_a_write_only_one_etag_or_none_can_be_expected() -> None:
    assert conditions.of_write({}) is None
    found = conditions.of_write({"if-none-match": "*"})
    assert found is not None and found.none_match == ("*",)
    for headers in ({"if-none-match": '"a"'}, {"if-match": "*"}, {"if-match": '"a"', "if-none-match": "*"}):
        with pytest.raises(Refused) as caught:
            conditions.of_write(headers)
        assert caught.value.code == "NotImplemented"


def test_a_checksum_comes_before_or_behind_the_body() -> None:
    assert checksums.announced(asked()) is None
    found = checksums.announced(asked(x_amz_checksum_crc32="AAAAAA=="))
    assert found is not None and (found.algorithm, found.value) == ("CRC32", "AAAAAA==")
    found = checksums.announced(asked(x_amz_trailer="x-amz-checksum-sha256", x_amz_sdk_checksum_algorithm="SHA256"))
    assert found is not None and (found.algorithm, found.value) == ("SHA256", "")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x_amz_checksum_crc32": "AAAA"}, "InvalidRequest"), ({"x_amz_checksum_crc32": "!"}, "InvalidRequest"),
        ({"x_amz_checksum_crc32": "AAAAAA==", "x_amz_checksum_crc32c": "AAAAAA=="}, "InvalidRequest"),
        ({"x_amz_checksum_crc32": "AAAAAA==", "x_amz_sdk_checksum_algorithm": "SHA1"}, "InvalidRequest"),
        ({"x_amz_sdk_checksum_algorithm": "SHA1"}, "InvalidRequest"), ({"x_amz_trailer": "x-other"}, "InvalidRequest"),
        ({"x_amz_checksum_sha512": "AAAA"}, "NotImplemented"), ({"x_amz_checksum_nonsense": "AAAA"}, "InvalidRequest"),
    ],
    ids=str,
)
def test_checksums_that_are_none(headers: dict[str, str], code: str) -> None:
    with pytest.raises(Refused) as caught:
        checksums.announced(asked(**headers))
    assert caught.value.code == code


def test_how_the_body_was_sent_is_no_coding_of_the_object() -> None:
    assert describing.about(asked(content_encoding="aws-chunked")).headers == {}
    assert describing.about(asked(content_encoding="aws-chunked, gzip")).headers == {"content-encoding": "gzip"}


@pytest.mark.parametrize(
    "header",
    ["x-amz-server-side-encryption", "x-amz-server-side-encryption-customer-key", "x-amz-object-lock-mode", "x-amz-website-redirect-location"],
)
def test_what_is_not_done_is_not_taken_for_done(header: str) -> None:
    with pytest.raises(Refused) as caught:
        describing.refuse_unknown({header: "x"})
    assert caught.value.code == "NotImplemented"


def test_headers_hold_no_line_ends_and_no_letters_that_they_cannot_hold() -> None:
    assert describing.encoded("a\r\nSet-Cookie: b") == "aSet-Cookie: b"
    assert describing.encoded("ü").isascii()


def form(file: bytes, *, name: str = "a.txt") -> bytes:
    fields = {"key": "u/${filename}", "Policy": "zz"}
    parts = [f'--xx\r\nContent-Disposition: form-data; name="{each}"\r\n\r\n{value}\r\n'.encode() for each, value in fields.items()]
    head = f'--xx\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/plain\r\n\r\n'.encode()
    return b"".join(parts) + head + file + b"\r\n--xx--\r\n"


@pytest.mark.parametrize("most", [1, 3, 64, 10**6])
@pytest.mark.parametrize("file", [b"", b"\r\n--x", b"\r\n--xy" * 100, b"x" * 5000], ids=["empty", "nearly", "many", "long"])
def test_forms_are_taken_apart_however_they_arrive(most: int, file: bytes) -> None:
    found = Form(Trickle(form(file), most), "multipart/form-data; boundary=xx")
    got = b""
    while piece := found.read(100):
        got += piece
    assert got == file
    assert (found.fields, found.filename, found.file_type) == ({"key": "u/${filename}", "policy": "zz"}, "a.txt", "text/plain")


def test_of_a_file_only_its_own_name_counts() -> None:
    assert Form(Trickle(form(b"", name="C:/x/../a.txt"), 100), 'multipart/form-data; boundary="xx"').filename == "a.txt"


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (form(b"x"), "multipart/form-data", "MalformedPOSTRequest"), (b"", "multipart/form-data; boundary=xx", "IncompleteBody"),
        (b"--xx--\r\n", "multipart/form-data; boundary=xx", "InvalidArgument"),
        (b"--xx\r\n\r\n\r\nx\r\n--xx--\r\n", "multipart/form-data; boundary=xx", "MalformedPOSTRequest"),
        (b"--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + b"x" * 30000, "multipart/form-data; boundary=xx", "MaxPostPreDataLengthExceededError"),
    ],
    ids=["no boundary", "nothing", "no file", "no name", "too long"],
)
def test_forms_that_are_none(content: bytes, kind: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        Form(Trickle(content, 10**6), kind)
    assert caught.value.code == code


def test_a_form_that_breaks_off_is_incomplete() -> None:
    found = Form(Trickle(form(b"x" * 100)[:-20], 10), "multipart/form-data; boundary=xx")
    with pytest.raises(Refused) as caught:
        while found.read(10):
            pass
    assert caught.value.code == "IncompleteBody"


def test_an_origin_fits_one_star_and_nothing_else_is_special() -> None:
    assert _fits("http://*.example", "http://a.b.example")
    assert not _fits("http://[ab].example", "http://a.example")
    assert _fits("*", "anything")
