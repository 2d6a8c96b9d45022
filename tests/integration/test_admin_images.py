"""Admin pages of images: made, uploaded by the page's own script, shared, taken out of use."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.common.context import SYSTEM
from apps.images.models import Image, Member
from apps.images.services import uploads
from apps.operations.models import Operation
from tests.support.admin import address, signed_in, user
from tests.support.cloud import Cloud, make_project

Press = Callable[..., str]
NEW = "/admin/images/image/add/"
FORM = {"name": "debian", "disk_format": "raw", "visibility": "shared", "min_disk_gb": "2", "min_memory_mb": "0"}


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return signed_in(user("root", is_superuser=True, is_staff=True))


@pytest.fixture
def press(operator: Client) -> Press:
    """`press(image, "delete")`: confirm the button; the text of the page that follows."""

    def pressed(image: Image, button: str, **values: Any) -> str:
        answer = operator.post(address(image, "do", button), {"confirmed": "1", **values}, follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    return pressed


@pytest.fixture
def image(cloud: Cloud, operator: Client) -> Image:
    operator.post(NEW, {**FORM, "project": str(cloud.project.pk), "tags": "lts", "properties": "os_distro=debian"})
    return Image.objects.get(name="debian")


def page(operator: Client, image: Image) -> str:
    return operator.get(address(image, "change")).content.decode()


def test_an_image_is_made_for_a_project_and_says_where_its_data_go(cloud: Cloud, operator: Client, image: Image) -> None:
    assert (image.project_id, image.state, image.min_disk_gb, image.properties) == (cloud.project.pk, "queued", 2, {"os_distro": "debian"})
    upload = reverse("admin:images_image_upload", args=[image.pk])
    assert upload in page(operator, image)
    shown = operator.get(upload).content.decode()
    assert f'data-content="/api/v1/images/{image.pk}/content"' in shown and "<progress" in shown and "dashboard/upload.js" in shown
    again = operator.post(NEW, {**FORM, "project": str(cloud.project.pk), "properties": "hw_disk_bus=floppy"}).content.decode()
    assert "(image.property)" in again


def test_the_page_sends_pieces_as_the_one_who_is_signed_in(operator: Client, image: Image) -> None:
    content = f"/api/v1/images/{image.pk}/content"
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    token = strict.get(reverse("admin:images_image_upload", args=[image.pk])).context["csrf_token"]
    headers = {"Upload-Offset": "0", "Upload-Length": "10"}
    more: Any = {"data": b"01234", "content_type": "application/octet-stream"}
    assert strict.put(content, **more, headers=headers).status_code == 403
    assert strict.put(content, **more, headers={**headers, "X-CSRFToken": str(token)}).status_code == 202
    assert "5 B" in page(operator, image) or "5 bytes" in page(operator, image)
    assert strict.head(content).headers["Upload-Offset"] == "5"
    answer = strict.put(content, **more, headers={"Upload-Offset": "5", "Upload-Length": "10", "X-CSRFToken": str(token)})
    assert answer.status_code == 200
    image.refresh_from_db()
    assert (image.state, image.size_bytes) == ("active", 10)
    upload = reverse("admin:images_image_upload", args=[image.pk])
    assert upload not in page(operator, image)
    assert "never change" in operator.get(upload).content.decode()


def test_an_upload_is_given_up(operator: Client, image: Image, press: Press) -> None:
    more: Any = {"data": b"01234", "content_type": "application/octet-stream", "headers": {"Upload-Offset": "0", "Upload-Length": "10"}}
    assert operator.put(f"/api/v1/images/{image.pk}/content", **more).status_code == 202
    assert "waits for its data again" in press(image, "give_up")
    image.refresh_from_db()
    assert image.state == "queued"


def test_an_image_is_changed(image: Image, press: Press) -> None:
    press(image, "change", **{**FORM, "name": "trixie", "protected": "on", "properties": "hw_firmware_type=uefi"})
    image.refresh_from_db()
    assert (image.name, image.protected, image.properties, image.tags.count()) == ("trixie", True, {"hw_firmware_type": "uefi"}, 0)
    assert "(image.protected)" in press(image, "delete")


def test_an_image_is_shared_answered_for_and_shared_no_more(operator: Client, image: Image, press: Press) -> None:
    blue = make_project("blue")
    press(image, "share", member=str(blue.pk))
    assert "(image.member_exists)" in press(image, "share", member=str(blue.pk))
    assert "blue" in page(operator, image) and "pending" in page(operator, image)
    press(image, "answer", member=str(blue.pk), status="accepted")
    assert Member.objects.get().status == "accepted"
    press(image, "unshare", member=str(blue.pk))
    assert not Member.objects.exists()


def test_an_image_is_taken_out_of_use_and_put_back(image: Image, press: Press) -> None:
    Image.objects.filter(pk=image.pk).update(state="active", sha256="0" * 64, size_bytes=1)
    press(image, "deactivate")
    image.refresh_from_db()
    assert image.state == "deactivated"
    press(image, "reactivate")
    image.refresh_from_db()
    assert image.state == "active"


def test_an_import_is_ordered_and_its_timeline_is_on_the_page(operator: Client, image: Image, press: Press) -> None:
    assert "Import…" in page(operator, image)
    assert "(image.source)" in press(image, "import", url="https://example.org/disk.raw", bucket="disks", key="disk.raw")
    said = press(image, "import", url="https://example.org/disk.raw?signature=secret")
    image.refresh_from_db()
    assert image.state == "importing"
    assert "https://example.org/disk.raw" in said and "secret" not in said
    assert "Import…" not in said
    assert Operation.objects.get().kind == "image.import"


def test_a_conversion_is_ordered_and_makes_an_image_of_the_same_project(operator: Client, image: Image, press: Press, tmp_path: Path) -> None:
    assert "Convert…" not in page(operator, image)
    uploads.upload(actor=SYSTEM, image_id=image.pk, stream=io.BytesIO(b"disk" * 1024))
    assert "debian (vhdx)" in press(image, "convert", disk_format="vhdx")
    made = Image.objects.exclude(pk=image.pk).get(disk_format="vhdx")
    assert (made.project_id, made.state, made.properties) == (image.project_id, "importing", image.properties)
