"""Buckets and objects over the native API."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.objects.inputs import About
from apps.objects.services import objects, uploads
from tests.api.kit import Http
from tests.api.s3.kit import Server, make_key
from tests.support.cloud import Cloud, make_project
from tests.support.identity import actor_in

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shelf/*"}],
}


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "OBJECTS_ROOT", tmp_path / "objects")


@pytest.fixture
def shelf(ann: Http) -> dict[str, Any]:
    """A bucket of Ann's."""
    made: dict[str, Any] = ann.post("buckets", {"name": "shelf", "tags": {"use": "tests"}}).ok(201)
    return made


def put(http: Http, key: str, data: bytes = b"data") -> Any:
    assert http.user is not None and http.project is not None
    return objects.put(actor=actor_in(http.user, http.project), bucket="shelf", key=key, stream=io.BytesIO(data), about=About(content_type="text/plain"))


def test_a_bucket_is_made_found_and_deleted(cloud: Cloud, ann: Http, shelf: dict[str, Any]) -> None:
    assert {name: shelf[name] for name in ("name", "versioning", "tags", "has_policy")} == {
        "name": "shelf", "versioning": "never", "tags": {"use": "tests"}, "has_policy": False,
    }
    assert (shelf["project_id"], shelf["user_id"]) == (str(cloud.project.pk), str(ann.user.pk))
    put(ann, "a", b"12345")
    assert ann.user is not None
    uploads.begin(actor=actor_in(ann.user, cloud.project), bucket="shelf", key="b", about=About())
    found = ann.get("buckets/shelf").ok()
    assert found.pop("usage") == {
        "objects": 1, "object_bytes": 5, "versions": 1, "size_bytes": 5, "uploads": 1, "upload_bytes": 0, "is_exact": True,
    }
    assert found == shelf
    ann.delete("buckets/shelf").problem(409, "bucket.not_empty")
    ann.delete("buckets/shelf/objects?key=a").ok()
    ann.delete("buckets/shelf").ok(204)
    ann.get("buckets/shelf").problem(404, "bucket.not_found", "bucket")


def test_buckets_are_listed_in_pages_and_found_by_what_they_are(ann: Http, mallory: Http, operator: Http, shelf: dict[str, Any]) -> None:
    other = ann.post("buckets", {"name": "other-shelf"}).ok(201)
    theirs = mallory.post("buckets", {"name": "theirs"}).ok(201)
    assert ann.get("buckets").ok()["items"] == [other, shelf]
    first = ann.get("buckets?limit=1").ok()
    assert first["items"] == [other]
    assert ann.get(first["next"].partition("/api/v1/")[2]).ok() == {"items": [shelf], "next": None}
    assert ann.get("buckets?name=shelf").ok()["items"] == [shelf]
    assert ann.get("buckets?prefix=other-").ok()["items"] == [other]
    assert ann.get("buckets?versioning=never").ok()["items"] == [other, shelf]
    assert ann.get("buckets?versioning=enabled").ok()["items"] == []
    ann.get("buckets?all_projects=true").problem(403, "policy.forbidden")
    ann.get(f"buckets?project_id={theirs['project_id']}").problem(403, "policy.forbidden")
    assert operator.get("buckets?all_projects=true").ok()["items"] == [theirs, other, shelf]
    assert operator.get(f"buckets?project_id={theirs['project_id']}").ok()["items"] == [theirs]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"name": "Bad_Name"}, "bucket.name", "name"), ({"name": "x"}, "request.min_length", "name"), ({}, "request.required", "name"),
        ({"name": "good", "acl": "x"}, "request.unknown_field", "acl"), ({"name": "good", "tags": {"aws:x": "y"}}, "tags.invalid", "tags"),
    ],
)
def test_a_bucket_that_cannot_be_is_refused(ann: Http, body: dict[str, Any], code: str, field: str) -> None:
    ann.post("buckets", body).problem(400, code, field)


def test_a_name_that_is_taken_is_refused(ann: Http, mallory: Http, shelf: dict[str, Any]) -> None:
    ann.post("buckets", {"name": "shelf"}).problem(409, "bucket.yours", "name")
    mallory.post("buckets", {"name": "shelf"}).problem(409, "bucket.taken", "name")


def test_buckets_of_others_are_not_there(ann: Http, mallory: Http, shelf: dict[str, Any]) -> None:
    put(ann, "a")
    for method, path, body in (
        ("GET", "", None), ("DELETE", "", None), ("GET", "/objects", None), ("DELETE", "/objects?key=a", None), ("GET", "/policy", None),
        ("PUT", "/policy", POLICY), ("DELETE", "/policy", None), ("PUT", "/versioning", {"versioning": "enabled"}), ("POST", "/presign", {"key": "a"}),
    ):
        mallory(method, f"buckets/shelf{path}", body).problem(404, "bucket.not_found", "bucket")
        mallory(method, f"buckets/nothing{path}", body).problem(404, "bucket.not_found", "bucket")
    assert ann.get("buckets/shelf").ok()["usage"]["objects"] == 1


def test_objects_are_listed_by_key_with_prefixes(ann: Http, shelf: dict[str, Any]) -> None:
    for key in ("a", "b/1", "b/2", "c/ü d+e", "d"):
        put(ann, key)
    found = ann.get("buckets/shelf/objects").ok()
    assert [each["key"] for each in found["items"]] == ["a", "b/1", "b/2", "c/ü d+e", "d"]
    assert {name: found["items"][0][name] for name in ("version", "size_bytes", "content_type", "etag")} == {
        "version": "null", "size_bytes": 4, "content_type": "text/plain", "etag": "8d777f385d3dfec8815d20f7496026dc",
    }
    seen, path = [], "buckets/shelf/objects?delimiter=/&limit=2"
    while path:
        page = ann.get(path).ok()
        seen += [*(each["key"] for each in page["items"]), *page["prefixes"]]
        path = (page["next"] or "").partition("/api/v1/")[2]
    assert sorted(seen) == ["a", "b/", "c/", "d"]
    assert [each["key"] for each in ann.get("buckets/shelf/objects?prefix=b/").ok()["items"]] == ["b/1", "b/2"]
    ann.get("buckets/shelf/objects?limit=0").problem(400, "request.min_value", "limit")


def test_with_versioning_deleting_hides_and_a_version_goes_for_good(ann: Http, shelf: dict[str, Any]) -> None:
    assert ann.put("buckets/shelf/versioning", {"versioning": "enabled"}).ok()["versioning"] == "enabled"
    version = put(ann, "a").version
    hidden = ann.delete("buckets/shelf/objects?key=a").ok()
    assert hidden["is_marker"] and hidden["version"] != version
    assert ann.get("buckets/shelf").ok()["usage"] == {
        "objects": 0, "object_bytes": 0, "versions": 2, "size_bytes": 4, "uploads": 0, "upload_bytes": 0, "is_exact": True,
    }
    ann.delete(f"buckets/shelf/objects?key=a&version={hidden['version']}").ok()
    assert ann.get("buckets/shelf/objects").ok()["items"][0]["version"] == version
    ann.delete("buckets/shelf/objects?key=a&version=none").problem(400, "version.invalid", "version")
    ann.delete("buckets/shelf/objects").problem(400, "request.required", "key")
    ann.put("buckets/shelf/versioning", {"versioning": "never"}).problem(400, "request.invalid_choice", "versioning")


def test_a_policy_is_set_shown_and_taken_away(ann: Http, mallory: Http, shelf: dict[str, Any]) -> None:
    ann.get("buckets/shelf/policy").problem(404, "bucket.no_policy", "bucket")
    assert ann.put("buckets/shelf/policy", POLICY).ok() == POLICY
    assert ann.get("buckets/shelf/policy").ok() == POLICY
    assert ann.get("buckets/shelf").ok()["has_policy"]
    wrong = {**POLICY, "Statement": [{**POLICY["Statement"][0], "Action": "s3:Fly"}]}  # type: ignore[dict-item]
    assert ann.put("buckets/shelf/policy", wrong).problem(400, "bucket.policy", "policy")["part"] == "Statement[0].Action"
    mallory.get("buckets/shelf/policy").problem(404, "bucket.not_found", "bucket")
    denial = {"Effect": "Deny", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::shelf"}
    ann.put("buckets/shelf/policy", {**POLICY, "Statement": [{"Sid": "closed", **denial}]}).ok()
    assert ann.get("buckets/shelf/objects").problem(403, "object.denied")["statement"] == "closed"
    ann.delete("buckets/shelf/policy").ok(204)
    assert ann.get("buckets/shelf/objects").ok()["items"] == []


def test_policies_see_where_a_request_comes_from(ann: Http, shelf: dict[str, Any]) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}
    ann.put("buckets/shelf/policy", {"Version": "2012-10-17", "Statement": statement}).ok()
    ann.get("buckets/shelf/objects").problem(403, "object.denied")
    ann.get("buckets/shelf/objects", REMOTE_ADDR="192.0.2.7").ok()


def test_a_public_bucket_is_seen_by_others(ann: Http, mallory: Http, shelf: dict[str, Any]) -> None:
    put(ann, "a")
    public = {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::shelf"}
    ann.put("buckets/shelf/policy", {"Version": "2012-10-17", "Statement": public}).ok()
    assert [each["key"] for each in mallory.get("buckets/shelf/objects").ok()["items"]] == ["a"]
    mallory.delete("buckets/shelf/objects?key=a").problem(403, "object.forbidden")
    assert mallory.get("buckets").ok()["items"] == []


def test_a_presigned_address_does_what_it_is_for(cloud: Cloud, ann: Http, shelf: dict[str, Any]) -> None:
    put(ann, "a/ü b", b"content")
    ann.post("buckets/shelf/presign", {"key": "a/ü b"}).problem(409, "access_key.none")
    key = make_key("ann", cloud.project)
    server = Server()
    made = ann.post("buckets/shelf/presign", {"key": "a/ü b", "expires_s": 60}).ok(201)
    assert (made["method"], made["access_key"]) == ("GET", key.access) and key.secret not in json.dumps(made)
    assert server.url("GET", made["url"]).body == b"content"
    server.url("PUT", made["url"], b"x").refused(403, "SignatureDoesNotMatch")
    put_there = ann.post("buckets/shelf/presign", {"key": "new", "method": "PUT"}).ok(201)
    assert server.url("PUT", put_there["url"], b"sent").status == 200
    assert ann.get("buckets/shelf").ok()["usage"]["objects"] == 2
    gone = ann.post("buckets/shelf/presign", {"key": "new", "method": "DELETE"}).ok(201)
    assert server.url("DELETE", gone["url"]).status == 204
    ann.post("buckets/shelf/presign", {"key": "new"}).problem(404, "object.not_found", "key")
    ann.post("buckets/shelf/presign", {"key": "a/ü b", "expires_s": 604801}).problem(400, "request.max_value", "expires_s")
    ann.post("buckets/shelf/presign", {"key": "a/ü b", "method": "POST"}).problem(400, "request.invalid_choice", "method")


def test_a_presigned_address_names_a_version(cloud: Cloud, ann: Http, shelf: dict[str, Any]) -> None:
    make_key("ann", cloud.project)
    ann.put("buckets/shelf/versioning", {"versioning": "enabled"}).ok()
    old = put(ann, "a", b"old")
    put(ann, "a", b"new")
    url = ann.post("buckets/shelf/presign", {"key": "a", "version": old.version}).ok(201)["url"]
    assert Server().url("GET", url).body == b"old"
    ann.post("buckets/shelf/presign", {"key": "a", "method": "PUT", "version": old.version}).problem(400, "version.invalid", "version")


def test_a_reader_signs_for_reading_only(cloud: Cloud, ann: Http, sign_in: Any, shelf: dict[str, Any]) -> None:
    put(ann, "a")
    reader = sign_in("reader", cloud.project, role="reader")
    make_key("reader", cloud.project, "reader")
    reader.post("buckets/shelf/presign", {"key": "a"}).ok(201)
    for method in ("PUT", "DELETE"):
        reader.post("buckets/shelf/presign", {"key": "a", "method": method}).problem(403, "policy.forbidden")


def test_a_key_for_another_project_signs_nothing_here(cloud: Cloud, ann: Http, shelf: dict[str, Any]) -> None:
    put(ann, "a")
    make_key("ann", make_project())
    ann.post("buckets/shelf/presign", {"key": "a"}).problem(409, "access_key.none")
