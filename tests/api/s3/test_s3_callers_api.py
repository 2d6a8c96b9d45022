"""Who asks S3: signatures right and wrong, presigned addresses, forms, other origins; and what is not offered."""

import base64
import hashlib
import json
import random
from datetime import timedelta
from typing import Any
from unittest import mock
from urllib.parse import quote

import botocore.session
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.identity.services import access_keys, users
from tests.api.s3.kit import Got, Key, Server, body_of, refused, streamed
from tests.support.fixtures import Time
from tests.unit.apis.s3.test_s3_routing import sent

MODEL = botocore.session.get_session().get_service_model("s3")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_only_who_knows_the_secret_is_who_the_key_says(server: Server, ann_key: Key, version: str) -> None:
    assert server.client(ann_key, signature_version=version).list_buckets()["Buckets"] == []
    with refused("SignatureDoesNotMatch", 403) as caught:
        server.client(Key(ann_key.user, ann_key.access, "guessed"), signature_version=version).list_buckets()
    assert ann_key.secret not in str(caught.value.response)
    with refused("InvalidAccessKeyId", 403):
        server.client(Key(ann_key.user, "AKNOBODY", ann_key.secret), signature_version=version).list_buckets()


def test_a_key_that_was_deleted_and_a_user_who_was_disabled_are_refused(server: Server, ann_key: Key, ann: Any) -> None:
    users.update_user(actor=SYSTEM, user_id=ann_key.user.pk, enabled=False)
    with refused("AccessDenied", 403):
        ann.list_buckets()
    access_keys.delete(actor=SYSTEM, access=ann_key.access)
    with refused("InvalidAccessKeyId", 403):
        ann.list_buckets()


def test_an_old_request_is_refused_and_told_how_late_it_is(ann: Any, time_machine: Time) -> None:
    time_machine.forward(16 * 60)
    with refused("RequestTimeTooSkewed", 403) as caught:
        ann.list_buckets()
    assert caught.value.response["Error"]["MaxAllowedSkewMilliseconds"] == "900000"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_presigned_address_is_good_until_it_ends(server: Server, ann_key: Key, bucket: str, time_machine: Time, version: str) -> None:
    client = server.client(ann_key, signature_version=version)
    put = client.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    get = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    assert server.url("PUT", put, b"x").status == 200
    assert server.url("GET", get).body == b"x"
    server.url("PUT", get, b"y").refused(403, "SignatureDoesNotMatch")
    server.url("GET", get.replace("/k?", "/other?")).refused(403, "SignatureDoesNotMatch")
    time_machine.forward(61)
    server.url("GET", get).refused(403, "AccessDenied")


def test_a_presigned_address_may_hold_headers_among_its_parameters(server: Server, ann_key: Key, bucket: str) -> None:
    """SDKs for Go, Java and JavaScript put them there with signatures of version 4, boto3 with those of version 2."""
    old = server.client(ann_key, signature_version="s3")
    url = old.generate_presigned_url(
        "put_object", Params={"Bucket": bucket, "Key": "k", "ACL": "public-read", "Metadata": {"a": "b"}, "ContentType": "text/plain"}
    )
    assert "x-amz-acl=public-read" in url
    assert server.url("PUT", url, b"x").status == 200
    got = server.ask("GET", f"/{bucket}/k")
    assert (got.body, got.headers["content-type"], got.headers["x-amz-meta-a"]) == (b"x", "text/plain", "b")
    server.url("PUT", url.replace("public-read", "private"), b"x").refused(403, "SignatureDoesNotMatch")
    server.url("PUT", url, b"x", {"x-amz-acl": "private"}).refused(403, "SignatureDoesNotMatch")
    # What SDKs compute before there is a body says nothing of the body.
    url = presigned_4(ann_key, f"/{bucket}/k4?x-amz-acl=public-read&X-Amz-Meta-C=d&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32")
    assert server.url("PUT", url, b"x").status == 200
    got = server.ask("GET", f"/{bucket}/k4")
    assert (got.body, got.headers["x-amz-meta-c"]) == (b"x", "d")
    server.url("PUT", url.replace("public-read", "private"), b"x").refused(403, "SignatureDoesNotMatch")
    server.url("PUT", presigned_4(ann_key, f"/{bucket}/k5?X-Amz-Server-Side-Encryption=AES256"), b"x").refused(501, "NotImplemented")


def presigned_4(key: Key, target: str) -> str:
    request = AWSRequest("PUT", f"http://s3.test{target}")
    S3SigV4QueryAuth(Credentials(key.access, key.secret), "s3", "us-east-1").add_auth(request)
    url: str = request.url
    return url


def test_there_are_no_temporary_credentials(server: Server) -> None:
    server.ask("GET", "/", headers={"X-Amz-Security-Token": "x"}).refused(400, "InvalidToken")


@pytest.mark.parametrize("size", [64 * 1024, 256 * 1024, 1024**2, 10**7])
@pytest.mark.parametrize("trailer", [True, False], ids=["with a trailer", "without"])
def test_chunks_are_signed_one_by_one(server: Server, ann_key: Key, ann: Any, bucket: str, size: int, trailer: bool) -> None:
    content = random.Random(1).randbytes(2 * 1024**2 + 5)
    checksum = ("x-amz-checksum-sha256", base64.b64encode(hashlib.sha256(content).digest()).decode())
    body, headers = streamed(ann_key, f"/{bucket}/k", content, size=size, trailer=checksum if trailer else None)
    got = server.ask("PUT", f"/{bucket}/k", body, headers)
    assert (got.status, got.headers.get(checksum[0])) == (200, checksum[1] if trailer else None)
    found = ann.get_object(Bucket=bucket, Key="k")
    assert body_of(found) == content
    assert "ContentEncoding" not in found


def post(server: Server, form: dict[str, Any], file: bytes = b"hello", name: str = "a.txt") -> Got:
    parts = [f'--xx\r\nContent-Disposition: form-data; name="{each}"\r\n\r\n{value}\r\n' for each, value in form["fields"].items()]
    head = f'--xx\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/plain\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + file + b"\r\n--xx--\r\n"
    return server.url("POST", form["url"], body, {"Content-Type": "multipart/form-data; boundary=xx"})


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_form_uploads_what_its_policy_allows(server: Server, ann_key: Key, bucket: str, time_machine: Time, version: str) -> None:
    client = server.client(ann_key, signature_version=version)
    conditions: list[Any] = [["content-length-range", 1, 10], {"success_action_status": "201"}, ["starts-with", "$x-amz-meta-a", "1"]]
    form = client.generate_presigned_post(
        bucket, "up/${filename}", Fields={"success_action_status": "201", "x-amz-meta-a": "12"}, Conditions=conditions, ExpiresIn=60
    )
    made = post(server, form)
    assert (made.status, made.xml.findtext("Key")) == (201, "up/a.txt")
    found = client.get_object(Bucket=bucket, Key="up/a.txt")
    assert (body_of(found), found["ContentType"], found["Metadata"]) == (b"hello", "text/plain", {"a": "12"})
    post(server, form, b"").refused(400, "EntityTooSmall")
    post(server, form, b"x" * 11).refused(400, "EntityTooLarge")
    for changed in ({"x-amz-meta-a": "2"}, {"x-amz-meta-b": "1"}, {"acl": "public-read"}, {"key": "down/x"}):
        post(server, {**form, "fields": {**form["fields"], **changed}}).refused(403, "AccessDenied")
    forged = json.loads(base64.b64decode(form["fields"]["policy"])) | {"expiration": "2099-01-01T00:00:00Z"}
    signed_no_more = {**form["fields"], "policy": base64.b64encode(json.dumps(forged).encode()).decode()}
    post(server, {**form, "fields": signed_no_more}).refused(403, "SignatureDoesNotMatch")
    time_machine.forward(61)
    post(server, form).refused(403, "AccessDenied")


def test_a_form_without_a_signature_is_nobody_s(server: Server, bucket: str) -> None:
    post(server, {"url": f"http://s3.test/{bucket}", "fields": {"key": "k"}}).refused(403, "AccessDenied")
    server.ask("POST", f"/{bucket}", b"x", {"Content-Type": "text/plain"}).refused(400, "InvalidRequest")


@pytest.mark.parametrize("name", ["a b", "a\u00fc", "a:b", "a\tb"])
def test_what_is_no_name_of_a_header_is_no_metadata(server: Server, ann_key: Key, ann: Any, bucket: str, name: str) -> None:
    server.url("PUT", presigned_4(ann_key, f"/{bucket}/k?x-amz-meta-{quote(name)}=1"), b"x").refused(400, "InvalidArgument")
    form = ann.generate_presigned_post(bucket, "k", Fields={f"x-amz-meta-{name}": "1"}, Conditions=[{f"x-amz-meta-{name}": "1"}])
    post(server, form).refused(400, "InvalidArgument")
    assert "Contents" not in ann.list_objects_v2(Bucket=bucket)


def test_a_type_that_no_header_can_hold_breaks_no_answer(server: Server, ann: Any, bucket: str) -> None:
    for kind in ("text/plain\u2192", "text/plain\r\nSet-Cookie: a=b"):
        url = ann.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k", "ContentType": kind})
        assert server.url("PUT", url, b"x").status == 200
        kept = server.url("GET", ann.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})).headers["content-type"]
        assert kept.isascii() and kept.isprintable()


def test_a_form_may_say_where_to_go_on(server: Server, ann: Any, bucket: str) -> None:
    target = "https://site.example/done?a=1"
    form = ann.generate_presigned_post(bucket, "k", Fields={"success_action_redirect": target}, Conditions=[{"success_action_redirect": target}])
    got = post(server, form)
    assert got.status == 303
    assert got.headers["location"].startswith(f"{target}&bucket={bucket}&key=k&etag=%22")


def test_pages_of_other_origins_may_do_what_the_rules_say(server: Server, ann: Any, bucket: str) -> None:
    with refused("NoSuchCORSConfiguration", 404):
        ann.get_bucket_cors(Bucket=bucket)
    rule = {
        "ID": "one", "AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://*.example"], "AllowedHeaders": ["x-*"], "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 60,
    }
    ann.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    assert ann.get_bucket_cors(Bucket=bucket)["CORSRules"] == [rule]
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "X-One, x-two"}
    got = server.ask("OPTIONS", f"/{bucket}/k", headers=asked)
    assert (got.status, got.headers["access-control-allow-origin"], got.headers["access-control-allow-methods"]) == (200, "https://a.example", "GET, PUT")
    assert (got.headers["access-control-allow-headers"], got.headers["access-control-max-age"]) == ("x-one, x-two", "60")
    for name, value in (("Origin", "https://a.other"), ("Access-Control-Request-Method", "DELETE"), ("Access-Control-Request-Headers", "y")):
        server.ask("OPTIONS", f"/{bucket}/k", headers={**asked, name: value}).refused(403, "AccessForbidden")
    server.ask("OPTIONS", f"/{bucket}/k").refused(400, "BadRequest")
    server.ask("OPTIONS", "/no-such-bucket/k", headers=asked).refused(403, "AccessForbidden")
    for origin, told in (("https://a.example", "https://a.example"), ("https://a.other", None)):
        refusal = server.ask("GET", f"/{bucket}/k", headers={"Origin": origin})
        refusal.refused(403, "AccessDenied")
        assert refusal.headers.get("access-control-allow-origin") == told
    ann.delete_bucket_cors(Bucket=bucket)
    server.ask("OPTIONS", f"/{bucket}/k", headers=asked).refused(403, "AccessForbidden")
    with refused("InvalidRequest", 400):
        ann.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["PATCH"], "AllowedOrigins": ["*"]}]})


def not_offered() -> list[str]:
    from apis.s3.operations.offered import OFFERED

    # Older names for the same request as another one.
    older = {"GetBucketLifecycle", "PutBucketLifecycle", "GetBucketNotification", "PutBucketNotification"}
    # Addressed to other services: their signatures are none of ours.
    elsewhere = {"ListDirectoryBuckets", "CreateSession", "WriteGetObjectResponse"}
    return sorted(set(MODEL.operation_names) - OFFERED.keys() - older - elsewhere)


def test_what_is_not_offered_says_so_and_does_nothing(server: Server, ann_key: Key, ann: Any, bucket: str) -> None:
    names = not_offered()
    assert len(names) > 50
    for name in names:
        method, target, headers = sent(MODEL.operation_model(name), bucket)
        server.signed(ann_key, method, target, b"<x/>" if method in ("PUT", "POST") else b"", headers).refused(501, "NotImplemented")
    assert [row["Name"] for row in ann.list_buckets()["Buckets"]] == [bucket]
    assert "Contents" not in ann.list_objects_v2(Bucket=bucket)


def test_a_refusal_of_somebody_we_know_is_in_the_audit_trail(mallory: Any, anybody: Any, bucket: str) -> None:
    before = Record.objects.filter(decision="refused").count()
    for client in (mallory, anybody):
        with refused("AccessDenied", 403):
            client.get_object(Bucket=bucket, Key="k")
    rows = list(Record.objects.filter(decision="refused").order_by("id"))
    assert len(rows) == before + 1
    assert (rows[-1].user_name, rows[-1].resource_id, rows[-1].path) == ("mallory", f"{bucket}/k", f"/{bucket}/k")


def test_who_asks_too_often_is_told_to_slow_down(server: Server, edge_settings: Any) -> None:
    edge_settings(s3_rate=1)
    answers = [server.ask("GET", "/") for _ in range(12)]
    answers[-1].refused(503, "SlowDown")
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_the_address_of_who_asks_is_told_by_a_trusted_proxy_only(server: Server, edge_settings: Any, mallory: Any, bucket: str) -> None:
    edge_settings(trusted_proxies=("192.0.2.7/32",))
    mallory.meta.events.register_first("before-send.s3", lambda request, **_: request.headers.update({"X-Forwarded-For": "198.51.100.9"}))
    with refused("AccessDenied", 403):
        mallory.get_object(Bucket=bucket, Key="k")
    assert Record.objects.filter(decision="refused").latest("id").address == "198.51.100.9"


def test_a_mistake_of_ours_is_an_internal_error_and_says_nothing_more(server: Server) -> None:
    with mock.patch("apis.s3.application.authentication.caller", side_effect=RuntimeError("the secret is xyzzy")):
        got = server.ask("GET", "/")
    got.refused(500, "InternalError")
    assert b"xyzzy" not in got.body


def test_presigned_addresses_last_a_week_at_most(ann_key: Key, server: Server, bucket: str) -> None:
    client = server.client(ann_key, signature_version="s3v4")
    lasting = int(timedelta(days=7).total_seconds())
    get = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=lasting)
    server.url("GET", get).refused(404, "NoSuchKey")
    get = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=lasting + 1)
    server.url("GET", get).refused(400, "AuthorizationQueryParametersError")
