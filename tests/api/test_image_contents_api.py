"""The content of images over HTTP: sent in pieces, read by users; and how images are shared and taken out of use."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.api.conftest import MakeUser
from tests.api.kit import Answer, Http
from tests.support.cloud import Cloud, make_project

DATA = os.urandom(100_000)


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MEDIA_ROOT", tmp_path)


def register(http: Http, **fields: Any) -> str:
    return str(http.post("images", {"name": "disk", "disk_format": "raw", **fields}).ok(201)["id"])


def put(http: Http, image_id: str, data: bytes, headers: dict[str, str] | None = None, **more: Any) -> Answer:
    return http.put(
        f"images/{image_id}/content", **{"data": data, "content_type": "application/octet-stream", "headers": headers or {}, **more}
    )


def head(http: Http, image_id: str) -> Answer:
    return http("HEAD", f"images/{image_id}/content")


def by_range(first: int, last: int, total: int | str) -> dict[str, str]:
    return {"Content-Range": f"bytes {first}-{last - 1}/{total}"}


def by_offset(first: int, last: int, total: int | str) -> dict[str, str]:
    return {"Upload-Offset": str(first), **({} if total == "*" else {"Upload-Length": str(total)})}


@pytest.mark.parametrize("said", [by_range, by_offset], ids=["content-range", "upload-offset"])
def test_an_image_comes_in_pieces(cloud: Cloud, ann: Http, said: Any) -> None:
    image_id, whole = register(ann), len(DATA)
    assert head(ann, image_id).headers["Upload-Offset"] == "0"
    answer = put(ann, image_id, DATA[:30_000], said(0, 30_000, "*"))
    assert (answer.status, answer.ok(202)["state"], answer.headers["Upload-Offset"]) == (202, "saving", "30000")
    assert "Upload-Length" not in head(ann, image_id).headers
    put(ann, image_id, DATA[30_000:60_000], said(30_000, 60_000, whole)).ok(202)
    found = head(ann, image_id)
    assert (found.headers["Upload-Offset"], found.headers["Upload-Length"]) == ("60000", str(whole))
    problem = put(ann, image_id, DATA[:30_000], said(0, 30_000, whole)).problem(409, "image.offset", "offset")
    assert problem["offset"] == 60_000
    assert put(ann, image_id, DATA[60_000:], said(60_000, whole, whole)).ok(200)["state"] == "active"
    answer = ann.get(f"images/{image_id}/content")
    assert (answer.status, answer.content) == (200, DATA)
    assert head(ann, image_id).headers["Content-Length"] == str(whole)


def test_without_headers_the_body_is_the_file_and_what_came_stays(cloud: Cloud, ann: Http) -> None:
    image_id = register(ann)
    broken: Any = {"CONTENT_LENGTH": str(len(DATA)), "wsgi.input": io.BytesIO(DATA[:40_000])}
    put(ann, image_id, DATA, **broken).problem(400, "image.incomplete")
    assert head(ann, image_id).headers["Upload-Offset"] == "40000"
    assert put(ann, image_id, DATA[40_000:], by_offset(40_000, 0, len(DATA))).ok(200)["state"] == "active"
    assert put(ann, register(ann), DATA).ok(200)["state"] == "active"


def test_an_upload_is_given_up(cloud: Cloud, ann: Http) -> None:
    image_id = register(ann)
    put(ann, image_id, DATA[:10], by_range(0, 10, len(DATA))).ok(202)
    ann.delete(f"images/{image_id}/content").ok(204)
    assert ann.get(f"images/{image_id}").ok()["state"] == "queued"
    assert not list(Path(settings.MEDIA_ROOT, "incoming").iterdir())


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-9"}, {"Content-Range": "bytes 0-99/100000"}, {"Content-Range": "bytes */9"}, {"Content-Range": "lines 0-9/10"},
        {"Upload-Offset": "-1"}, {"Upload-Offset": "1e3"}, {"Upload-Offset": "0", "Upload-Length": "many"},
    ],
    ids=["no-total", "too-short", "no-range", "lines", "negative", "float", "word"],
)
def test_headers_that_say_nothing_are_refused(cloud: Cloud, ann: Http, headers: dict[str, str]) -> None:
    image_id = register(ann)
    answer = put(ann, image_id, DATA[:10], headers)
    answer.problem(400, "image.range", next(name for name in reversed(headers)))
    assert ann.get(f"images/{image_id}").ok()["state"] == "queued"


def test_what_is_not_there_yet_cannot_be_read(cloud: Cloud, ann: Http, mallory: Http) -> None:
    image_id = register(ann)
    assert ann.get(f"images/{image_id}/content").problem(409, "image.state")["state"] == "queued"
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert mallory(method, f"images/{image_id}/content", content_type="application/octet-stream").status == 404


def test_the_hash_that_was_said_is_held_against_what_comes(cloud: Cloud, ann: Http) -> None:
    image_id = register(ann, sha256="0" * 64)
    problem = put(ann, image_id, DATA).problem(400, "image.sha256", "sha256")
    assert problem["expected"] == "0" * 64
    ann.post("images", {"name": "x", "disk_format": "raw", "sha256": "0"}).problem(400, "image.sha256", "sha256")


def test_an_image_is_changed_and_found_by_what_is_said_of_it(cloud: Cloud, ann: Http) -> None:
    image_id = register(ann, tags=["lts"], properties={"architecture": "amd64"})
    shown = ann.patch(f"images/{image_id}", {"name": "new", "protected": True, "tags": ["a", "b"]}).ok()
    assert (shown["name"], shown["protected"], shown["tags"]) == ("new", True, ["a", "b"])
    assert shown["properties"] == {"architecture": "x86_64"}
    for query, there in (
        ("tag=a", True), ("tag=lts", False), ("architecture=x86_64", True), ("architecture=i686", False), ("protected=true", True),
        ("min_size_bytes=1", False), ("state=queued&visibility=private&name=new", True),
    ):
        found = [each["id"] for each in ann.get(f"images?{query}").ok()["items"]]
        assert (image_id in found) == there, query
    ann.delete(f"images/{image_id}").problem(409, "image.protected", "protected")
    ann.patch(f"images/{image_id}", {"properties": {"hw_disk_bus": "floppy"}}).problem(400, "image.property", "properties.hw_disk_bus")
    ann.patch(f"images/{image_id}", {"visibility": "public"}).problem(403, "policy.forbidden")
    ann.patch(f"images/{image_id}", {"sha256": "0" * 64}).problem(400, "request.unknown_field", "sha256")


def test_an_image_is_shared_accepted_and_booted(cloud: Cloud, ann: Http, sign_in: MakeUser) -> None:
    blue = make_project()
    friend = sign_in("friend", blue)
    image_id = register(ann, visibility="shared")
    friend.get(f"images/{image_id}").problem(404, "image.not_found")
    assert ann.post(f"images/{image_id}/members", {"project_id": str(blue.pk)}).ok(201)["status"] == "pending"
    assert [each["id"] for each in friend.get("images?member_status=pending").ok()["items"]] == [image_id]
    assert friend.get(f"images/{image_id}").ok()["project_id"] == str(cloud.project.pk)
    put(ann, image_id, DATA).ok()
    friend.get(f"images/{image_id}/content").problem(404, "image.not_found")
    mine = f"images/{image_id}/members/{blue.pk}"
    ann.patch(mine, {"status": "accepted"}).problem(403, "policy.forbidden")
    assert friend.patch(mine, {"status": "accepted"}).ok()["status"] == "accepted"
    assert friend.get(f"images/{image_id}/content").content == DATA
    assert image_id in [each["id"] for each in friend.get("images").ok()["items"]]
    assert [each["status"] for each in ann.get(f"images/{image_id}/members").ok()["items"]] == ["accepted"]
    assert friend.get(mine).ok()["project_id"] == str(blue.pk)
    friend.delete(mine).problem(403, "image.not_yours")
    ann.delete(mine).ok(204)
    friend.get(f"images/{image_id}").problem(404, "image.not_found")


def test_a_deactivated_image_boots_nothing(cloud: Cloud, ann: Http, operator: Http) -> None:
    image_id = register(ann)
    put(ann, image_id, DATA).ok()
    ann.post(f"images/{image_id}/actions", {"action": "deactivate"}).problem(403, "policy.forbidden")
    assert operator.post(f"images/{image_id}/actions", {"action": "deactivate"}).ok()["state"] == "deactivated"
    ann.get(f"images/{image_id}/content").problem(409, "image.state")
    body = {"name": "x", "flavor": cloud.flavor.name, "image_id": image_id}
    ann.post("instances", body).problem(400, "image.state", "image_id")
    assert operator.post(f"images/{image_id}/actions", {"action": "reactivate"}).ok()["state"] == "active"
    ann.post("instances", body).ok(202)


def test_what_hosts_do_not_take_boots_not(cloud: Cloud, ann: Http) -> None:
    from tests.support import hostile

    image_id = register(ann, disk_format="vmdk")
    put(ann, image_id, hostile.vmdk(tables=2)).ok()
    ann.post("instances", {"name": "x", "flavor": cloud.flavor.name, "image_id": image_id}).problem(400, "image.format", "image_id")
    image_id = register(ann, disk_format="ami")
    put(ann, image_id, DATA).ok()
    ann.post("instances", {"name": "x", "flavor": cloud.flavor.name, "image_id": image_id}).problem(400, "image.kernel", "image_id")
