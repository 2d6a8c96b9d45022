"""A file goes up from the browser, piece by piece, with a bar; what is refused says why."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.images.models import Image
from apps.images.services import images
from tests.browser.conftest import complained
from tests.support.cloud import Cloud

pytestmark = pytest.mark.browser
# Two pieces and a bit.
DATA = os.urandom(17 * 1024 * 1024)


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "store"


def test_a_file_goes_up_in_pieces_and_the_image_is_active(cloud: Cloud, page: Page, tmp_path: Path) -> None:
    image = images.register(actor=cloud.actor, name="debian", disk_format="raw")
    (tmp_path / "disk").write_bytes(DATA)
    page.goto(reverse("admin:images_image_change", args=[image.pk]))
    page.click("#content a:text-is('Upload')")
    page.set_input_files("#upload-file", tmp_path / "disk")
    page.click("button:has-text('Upload')")
    page.wait_for_url("**/change/")
    image.refresh_from_db()
    assert (image.state, image.sha256) == ("active", hashlib.sha256(DATA).hexdigest())
    expect(page.locator("text=active").first).to_be_visible()


def test_an_upload_goes_on_where_it_was_left(cloud: Cloud, page: Page, tmp_path: Path, complaints: list[str]) -> None:
    image = images.register(actor=cloud.actor, name="debian", disk_format="raw")
    (tmp_path / "disk").write_bytes(DATA)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.headers.get("upload-offset", "")) if request.method == "PUT" else None)
    page.goto(reverse("admin:images_image_upload", args=[image.pk]))
    # The first piece gets through, the second one does not.
    page.route("**/content", lambda route: route.abort() if route.request.headers.get("upload-offset") == "8388608" else route.continue_())
    page.set_input_files("#upload-file", tmp_path / "disk")
    page.click("button:has-text('Upload')")
    page.wait_for_selector("text=trying again")
    assert Image.objects.get(pk=image.pk).state == "saving"
    page.unroute("**/content")
    page.wait_for_url("**/change/")
    image.refresh_from_db()
    assert (image.state, image.sha256) == ("active", hashlib.sha256(DATA).hexdigest())
    assert sent.count("0") == 1 and sent.count("8388608") >= 2
    complaints.clear()  # of the request that was cut


def test_an_answer_that_is_lost_does_not_make_a_whole_upload_a_failed_one(
    cloud: Cloud, page: Page, tmp_path: Path, complaints: list[str]
) -> None:
    image = images.register(actor=cloud.actor, name="debian", disk_format="raw")
    (tmp_path / "disk").write_bytes(DATA[:100_000])

    def swallow(route: Any) -> None:
        if route.request.method == "PUT":
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.goto(reverse("admin:images_image_upload", args=[image.pk]))
    page.route("**/content", swallow)
    page.set_input_files("#upload-file", tmp_path / "disk")
    page.click("button:has-text('Upload')")
    page.wait_for_url("**/change/")
    assert Image.objects.get(pk=image.pk).state == "active"
    complaints.clear()  # of the answer that was lost


def test_what_is_refused_says_why(cloud: Cloud, page: Page, tmp_path: Path, complaints: list[str]) -> None:
    image = images.register(actor=cloud.actor, name="debian", disk_format="qcow2")
    (tmp_path / "disk").write_bytes(b"\0" * 100_000)
    page.goto(reverse("admin:images_image_upload", args=[image.pk]))
    page.set_input_files("#upload-file", tmp_path / "disk")
    page.click("button:has-text('Upload')")
    page.wait_for_selector("text=(image.format_mismatch)")
    image.refresh_from_db()
    assert image.state == "queued"
    complained(page, complaints)  # of the status of the answer
