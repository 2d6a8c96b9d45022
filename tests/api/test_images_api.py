"""Images over HTTP: upload as a stream, download in ranges by a signed address."""

import hashlib
import io
import tracemalloc
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import RequestFactory

from apps.images import signing, store
from apps.images.models import Image
from apps.images.services import sizes
from tests.api.conftest import MakeUser
from tests.api.kit import Answer, Http
from tests.support.cloud import Cloud

DATA = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MEDIA_ROOT", tmp_path)


def register(http: Http, **fields: Any) -> str:
    body = http.post("images", {"name": "disk", "disk_format": "raw", **fields}).ok(201)
    assert (body["state"], body["size_bytes"], body["sha256"]) == ("queued", None, "")
    return str(body["id"])


def upload(http: Http, image_id: str, data: bytes, **more: Any) -> Answer:
    return http.put(f"images/{image_id}/file", **{"data": data, "content_type": "application/octet-stream", **more})


def fetch(image_id: str, method: str = "GET", **headers: str) -> Answer:
    address = signing.sign(uuid.UUID(image_id), expires=2_000_000_000).removeprefix(settings.ENV.public_url)
    return Http()(method, address, headers=headers)


def test_an_image_is_registered_uploaded_shown_and_deleted(cloud: Cloud, ann: Http) -> None:
    image_id = register(ann, properties={"os": "linux"}, min_memory_mb=64)
    shown = upload(ann, image_id, DATA).ok()
    assert (shown["state"], shown["size_bytes"], shown["virtual_size_bytes"]) == ("active", len(DATA), len(DATA))
    assert shown["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert ann.get(f"images/{image_id}").ok() == shown
    assert ann.get("images?state=active&name=disk").ok()["items"] == [shown]
    upload(ann, image_id, DATA).problem(409, "image.state")
    ann.delete(f"images/{image_id}").ok(204)
    ann.get(f"images/{image_id}").problem(404, "image.not_found")
    assert not store.path_of(shown["sha256"]).exists()


def test_an_image_that_is_registered_twice_with_one_key_is_one(cloud: Cloud, ann: Http, mallory: Http) -> None:
    key, body = {"Idempotency-Key": "retry-me"}, {"name": "disk", "disk_format": "raw", "tags": ["lts"]}
    before = Image.objects.count()
    first = ann.post("images", body, headers=key).ok(201)
    assert ann.post("images", body, headers=key).ok(201) == first
    ann.post("images", {**body, "name": "other"}, headers=key).problem(409, "client_token.reused", "Idempotency-Key")
    instance = {"name": "web", "flavor": cloud.flavor.name, "image": "demo"}
    ann.post("instances", instance, headers=key).problem(409, "client_token.reused", "Idempotency-Key")
    ann.post("images", body, headers={"Idempotency-Key": ""}).problem(400, "client_token.malformed", "Idempotency-Key")
    assert Image.objects.count() == before + 1
    assert mallory.post("images", body, headers=key).ok(201)["id"] != first["id"]
    # The answer is the same when it is gone.
    ann.delete(f"images/{first['id']}").ok(204)
    assert ann.post("images", body, headers=key).ok(201) == {**first, "state": "deleted"}


def test_content_that_two_images_share_stays_until_both_are_gone(cloud: Cloud, ann: Http) -> None:
    first, second = register(ann), register(ann)
    sha256 = upload(ann, first, DATA).ok()["sha256"]
    upload(ann, second, DATA).ok()
    ann.delete(f"images/{first}").ok(204)
    assert store.path_of(sha256).exists()
    ann.delete(f"images/{second}").ok(204)
    assert not store.path_of(sha256).exists()


def test_what_is_not_what_it_says_is_refused_and_may_be_tried_again(cloud: Cloud, ann: Http) -> None:
    image_id = register(ann, disk_format="qcow2")
    upload(ann, image_id, DATA).problem(400, "image.format_mismatch", "disk_format")
    assert ann.get(f"images/{image_id}").ok()["state"] == "queued"
    assert not list(Path(settings.MEDIA_ROOT, "incoming").iterdir())
    assert not Path(settings.MEDIA_ROOT, "content").exists()


def test_an_upload_that_breaks_off_leaves_nothing(cloud: Cloud, ann: Http) -> None:
    image_id = register(ann)
    problem = upload(ann, image_id, DATA, CONTENT_LENGTH=str(len(DATA) + 5), **{"wsgi.input": io.BytesIO(DATA)}).problem(400, "image.incomplete")
    assert problem["missing"] == 5
    assert ann.get(f"images/{image_id}").ok()["state"] == "queued"
    assert not list(Path(settings.MEDIA_ROOT, "incoming").iterdir())


def test_an_image_has_its_own_limit_and_not_that_of_bodies(cloud: Cloud, ann: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\0" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    upload(ann, register(ann), data).ok()
    monkeypatch.setattr(sizes, "most_bytes", lambda: 1000)
    upload(ann, register(ann), data).problem(400, "image.too_large", "file")


def test_an_upload_is_never_in_memory_as_a_whole(cloud: Cloud, ann: Http) -> None:
    image_id, size = register(ann), 64 * 1024 * 1024
    from django.core.handlers.wsgi import WSGIHandler

    environ = RequestFactory().generic("PUT", f"/api/v1/images/{image_id}/file").environ
    environ |= {
        "CONTENT_LENGTH": str(size), "CONTENT_TYPE": "application/octet-stream", "wsgi.input": _Zeros(size),
        "HTTP_AUTHORIZATION": f"Bearer {ann.secret}",
    }
    tracemalloc.start()
    try:
        status: list[str] = []
        response = WSGIHandler()(environ, lambda line, headers, error=None: status.append(line))  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert status == ["200 OK"], b"".join(response)
    assert peak < 16 * 1024 * 1024
    assert ann.get(f"images/{image_id}").ok()["size_bytes"] == size


def test_a_chunked_upload_is_refused_since_nobody_could_tell_a_broken_one(cloud: Cloud, ann: Http) -> None:
    chunked = {"wsgi.input": io.BytesIO(DATA), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    answer = upload(ann, register(ann), b"", headers={"Transfer-Encoding": "chunked"}, **chunked)
    answer.problem(411, "request.length")


def test_an_empty_image_is_no_image(cloud: Cloud, ann: Http) -> None:
    image_id = register(ann, disk_format="qcow2")
    upload(ann, image_id, b"").problem(400, "image.empty", "file")


def test_only_bytes_are_taken(cloud: Cloud, ann: Http) -> None:
    upload(ann, register(ann), b"{}", content_type="application/json").problem(415, "request.media_type")


RANGES = [
    ("bytes=0-9", 0, 9), ("bytes=100-", 100, len(DATA) - 1), ("bytes=-7", len(DATA) - 7, len(DATA) - 1),
    (f"bytes={len(DATA) - 1}-{len(DATA) + 99}", len(DATA) - 1, len(DATA) - 1), ("bytes=-999999999", 0, len(DATA) - 1),
]


@pytest.mark.parametrize(("asked", "first", "last"), RANGES)
def test_a_range_is_served(cloud: Cloud, ann: Http, asked: str, first: int, last: int) -> None:
    image_id = register(ann)
    upload(ann, image_id, DATA).ok()
    answer = fetch(image_id, Range=asked)
    whole = (first, last) == (0, len(DATA) - 1)
    assert answer.status == (200 if whole else 206)
    assert answer.content == DATA[first : last + 1]
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert whole or answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(DATA)}"


def test_the_whole_is_served_with_its_hash_as_tag(cloud: Cloud, ann: Http) -> None:
    image_id = register(ann)
    sha256 = upload(ann, image_id, DATA).ok()["sha256"]
    for headers in ({}, {"Range": "bytes=0-1,5-6"}, {"Range": "bytes=9-5"}, {"Range": "lines=1-2"}, {"Range": "bytes=-"}):
        answer = fetch(image_id, **headers)
        assert (answer.status, answer.content) == (200, DATA), headers
        assert answer.headers["ETag"] == f'"{sha256}"' and answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["Content-Type"] == "application/octet-stream"
    assert fetch(image_id, Accept="application/octet-stream").status == 200
    head = fetch(image_id, "HEAD")
    assert (head.status, head.content, head.headers["Content-Length"]) == (200, b"", str(len(DATA)))
    assert fetch(image_id, **{"If-None-Match": f'"{sha256}"'}).status == 304


def test_a_resumed_download_starts_over_when_the_content_is_another(cloud: Cloud, ann: Http) -> None:
    image_id = register(ann)
    sha256 = upload(ann, image_id, DATA).ok()["sha256"]
    assert fetch(image_id, Range="bytes=10-", **{"If-Range": f'"{sha256}"'}).status == 206
    answer = fetch(image_id, Range="bytes=10-", **{"If-Range": '"other"'})
    assert (answer.status, answer.content) == (200, DATA)


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=9999999999999999999-", "bytes=-0"])
def test_a_range_outside_is_refused(cloud: Cloud, ann: Http, asked: str) -> None:
    image_id = register(ann)
    upload(ann, image_id, DATA).ok()
    answer = fetch(image_id, Range=asked)
    answer.problem(416, "image.range")
    assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"


def test_an_address_that_we_did_not_sign_is_refused(cloud: Cloud, ann: Http, mallory: Http, anybody: Http) -> None:
    image_id, other = register(ann), str(uuid.uuid4())
    upload(ann, image_id, DATA).ok()
    address = signing.sign(uuid.UUID(image_id), expires=2_000_000_000).removeprefix(settings.ENV.public_url)
    expired = signing.sign(uuid.UUID(image_id), expires=1_000_000_000).removeprefix(settings.ENV.public_url)
    for wrong in (
        address[:-1] + ("0" if address[-1] != "0" else "1"), address.replace(image_id, other), expired,
        address.replace("2000000000", "2000000001"),
    ):
        anybody.get(wrong).problem(403, "image.signature")
        mallory.get(wrong).problem(403, "image.signature")
    anybody.get(f"images/{image_id}/blob").problem(400, "request.required", "expires")
    ann.get(f"images/{image_id}/blob?expires=1&signature=x").problem(403, "image.signature")
    fetch(other).problem(404, "image.not_found")
    Path(store.path_of(Image.objects.get(pk=image_id).sha256)).unlink()
    fetch(image_id).problem(404, "image.content_missing")


def test_public_images_are_made_by_operators_and_used_by_all(cloud: Cloud, operator: Http, mallory: Http) -> None:
    image_id = register(operator, visibility="public", name="everybody's")
    upload(operator, image_id, DATA).ok()
    assert mallory.get(f"images/{image_id}").ok()["project_id"] is None
    mallory.delete(f"images/{image_id}").problem(403, "policy.forbidden")
    upload(mallory, image_id, DATA).problem(403, "policy.forbidden")


def test_a_kernel_in_use_stays(cloud: Cloud, ann: Http, sign_in: MakeUser) -> None:
    kernel = register(ann, disk_format="kernel")
    upload(ann, kernel, b"kernel").ok()
    disk = register(ann, kernel_id=kernel)
    upload(ann, disk, DATA).ok()
    ann.delete(f"images/{kernel}").problem(409, "image.in_use")
    ann.delete(f"images/{disk}").ok(204)
    ann.delete(f"images/{kernel}").ok(204)


class _Zeros:
    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        taken = self.left if size < 0 else min(size, self.left)
        self.left -= taken
        return b"\0" * taken

    readline = read
