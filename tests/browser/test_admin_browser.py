"""What an operator sees and clicks, in a real browser."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.compute.models import Instance
from tests.support.admin import address
from tests.support.cloud import Cloud

pytestmark = pytest.mark.browser


def test_an_operator_stops_an_instance_and_watches_it_happen(cloud: Cloud, page: Page) -> None:
    cloud.host("node-1")
    instance, host = cloud.active(name="web")
    page.goto(address(instance, "change"))
    assert page.locator(".cs-head").inner_text().startswith("web")
    bars = page.locator(".cs-timeline .cs-track rect")
    assert bars.count() > 4
    assert all((box := bar.bounding_box()) and box["width"] >= 0 and box["height"] > 5 for bar in bars.all())

    page.click("text=Stop…")
    page.click("button:has-text('Stop')")
    page.wait_for_selector("text=The stop of web is under way")
    page.wait_for_selector(".cs-live")
    assert Instance.objects.get().state == "ACTIVE"

    host.work()
    # Nobody reloads: the page follows by itself, and stops asking once nothing is under way.
    page.wait_for_selector(".cs-head .cs-badge:has-text('STOPPED')")
    expect(page.locator(".cs-live")).to_have_count(0)
    expect(page.locator(".cs-operation")).to_have_count(2)
    expect(page.locator("text=Start…")).to_be_visible()


def test_a_page_that_follows_keeps_what_was_unfolded(cloud: Cloud, page: Page) -> None:
    host = cloud.host("node-1")
    instance, _ = cloud.active(name="web")
    cloud.power(instance, "reboot_hard")
    page.goto(address(instance, "change"))
    page.click("summary")
    with page.expect_response(lambda response: "fragment" in response.url):
        host.work()
    page.wait_for_selector(".cs-live", state="detached")
    assert page.locator("details.cs-details").first.evaluate("box => box.open")


def test_the_start_page_works_in_the_dark_and_on_a_phone(cloud: Cloud, page: Page) -> None:
    cloud.host("node-1")
    cloud.power(cloud.active(name="web")[0], "stop")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(reverse("admin:index"))
    expect(page.locator(".cs-card")).to_have_count(5)
    expect(page.locator(".cs-waiting .cs-progress")).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "nothing sticks out at the side"
    background = page.locator(".cs-card").first.evaluate("card => getComputedStyle(card).backgroundColor")
    assert sum(int(part) for part in background[4:-1].split(",")) < 200
