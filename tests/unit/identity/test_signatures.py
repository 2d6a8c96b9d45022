"""Signatures by access keys, compared with those that the clients' own library makes."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import HmacV1Auth, SigV2Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from apps.identity.signatures import Request, Text

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
URL = "https://cloud.example:8600/ec2"
PARAMS = {"Action": "DescribeInstances", "Version": "2016-11-15", "Filter.1.Name": "tag:a b/c~d*é"}


def credentials() -> Credentials:
    return Credentials("AKEXAMPLE", SECRET)


def sent(verb: str = "GET", auth: Any = None, **more: Any) -> Request:
    """A request that botocore signed, as a service describes it to us."""
    request = AWSRequest(verb, URL, headers={"X-Amz-Custom": "  two   words "}, **more)
    (auth or SigV4Auth)(credentials(), "ec2", "RegionOne").add_auth(request)
    body = request.prepare().body or b""
    query = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True)) | (request.params or {})
    header = request.headers.get("Authorization", "")
    return Request(
        signature=header.rpartition("Signature=")[2] or query["X-Amz-Signature"], verb=verb, host="cloud.example:8600", path="/ec2",
        params=query if verb == "GET" else PARAMS, headers={**dict(request.headers.items()), "Host": "cloud.example:8600"},
        body_hash=hashlib.sha256(body if isinstance(body, bytes) else body.encode()).hexdigest(),
    )


def test_what_botocore_signs_by_version_4_is_right() -> None:
    now = datetime.now(UTC)
    for request in (sent(params=PARAMS), sent("POST", data=PARAMS), sent(auth=SigV4QueryAuth, params=PARAMS)):
        assert request.is_by(SECRET, now)


def test_whatever_is_changed_it_is_wrong() -> None:
    now = datetime.now(UTC)
    right = sent(params=PARAMS)
    others = [
        replace(right, verb="PUT"), replace(right, path="/ec3"), replace(right, params={**right.params, "Action": "RunInstances"}),
        replace(right, headers={**right.headers, "Host": "other.example"}), replace(right, headers={}), replace(right, body_hash="0" * 64),
        replace(right, signature=right.signature[:-1] + ("0" if right.signature[-1] != "0" else "1")), replace(right, signature=""),
        replace(right, signature="é"), replace(right, params={}),
    ]
    assert right.is_by(SECRET, now)
    assert not right.is_by(SECRET + "x", now)
    assert not any(each.is_by(SECRET, now) for each in others)


@pytest.mark.parametrize("minutes", [-16, 16])
def test_what_was_signed_long_ago_or_in_the_future_is_refused(minutes: int) -> None:
    request = sent(params=PARAMS)
    assert not request.is_by(SECRET, datetime.now(UTC) + timedelta(minutes=minutes))
    assert request.is_by(SECRET, datetime.now(UTC) + timedelta(minutes=minutes * 14 // 16))


@pytest.mark.parametrize(
    "header",
    ["", "Basic eDp5", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host", "AWS4-HMAC-SHA256 Credential=,=,"],
)
def test_a_header_that_makes_no_sense_is_wrong_and_no_mistake_of_ours(header: str) -> None:
    request = sent(params=PARAMS)
    assert not replace(request, headers={**request.headers, "Authorization": header}).is_by(SECRET, datetime.now(UTC))


def test_a_date_that_is_not_that_of_the_scope_is_wrong() -> None:
    request = sent(params=PARAMS)
    scope = f"{datetime.now(UTC):%Y%m%d}/"
    authorization = request.headers["Authorization"].replace(scope, "20200101/")
    assert not replace(request, headers={**request.headers, "Authorization": authorization}).is_by(SECRET, datetime.now(UTC))


def test_what_botocore_signs_by_version_2_is_right_with_and_without_the_port() -> None:
    now = datetime.now(UTC)
    for url in (URL, URL.replace(":8600", "")):
        request = AWSRequest("POST", url, data=dict(PARAMS))
        SigV2Auth(credentials()).add_auth(request)
        params = dict(request.data)
        signature = params.pop("Signature")
        right = Request(signature=signature, verb="POST", host="cloud.example:8600", path="/ec2", params=params)
        assert right.is_by(SECRET, now)
        assert not right.is_by(SECRET + "x", now)
        assert not replace(right, params={**params, "Action": "RunInstances"}).is_by(SECRET, now)
        assert not right.is_by(SECRET, now + timedelta(minutes=16))
        assert not replace(right, params={name: value for name, value in params.items() if name != "Timestamp"}).is_by(SECRET, now)
        assert not replace(right, params={**params, "SignatureMethod": "None"}).is_by(SECRET, now)


def test_the_text_that_was_signed_for_s3_is_checked_by_either_version() -> None:
    now = datetime.now(UTC)
    request = AWSRequest("GET", "https://cloud.example/bucket/key")
    request.context["timestamp"] = f"{now:%Y%m%dT%H%M%SZ}"
    auth = SigV4Auth(credentials(), "s3", "RegionOne")
    text = auth.string_to_sign(request, auth.canonical_request(request))
    signature = auth.signature(text, request)
    assert Text(signature=signature, text=text).is_by(SECRET, now)
    assert not Text(signature=signature, text=text).is_by(SECRET + "x", now)
    assert not Text(signature=signature, text=text.replace("/s3/", "/ec2/")).is_by(SECRET, now)
    for cut in (1, 2, 3):
        assert not Text(signature=signature, text="\n".join(text.split("\n")[:cut])).is_by(SECRET, now)
    older = "GET\n\n\nFri, 20 Nov 2026 10:00:00 GMT\n/bucket/key"
    signed = HmacV1Auth(credentials()).sign_string(older)
    assert Text(signature=signed, text=older).is_by(SECRET, now)
    assert not Text(signature=signed, text=older + "x").is_by(SECRET, now)
