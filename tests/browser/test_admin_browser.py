"""What an operator sees and clicks, in a real browser."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connections
from django.urls import reverse

from apps.compute.models import Instance
from tests.support.admin import address, user
from tests.support.cloud import Cloud

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "correct horse battery"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian package chromium)"),
]


@pytest.fixture
def page(cloud: Cloud, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator["Page"]:
    """An operator's browser, signed in by the form. Complaints of the browser fail the test."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    # Playwright keeps an event loop in this thread, and Django would take that for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    user("root", is_superuser=True, is_staff=True)
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(base_url=live_server.url, viewport={"width": 1400, "height": 1000})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.goto(reverse("admin:index"))
        page.fill("#id_username", "root")
        page.fill("#id_password", PASSWORD)
        page.click("text=Log in")
        page.wait_for_selector(".cs-overview")
        yield page
        browser.close()
        # While that loop runs, Django keeps connections apart from those of the thread: nobody else would close them.
        connections.close_all()
    assert complaints == []


def test_an_operator_stops_an_instance_and_watches_it_happen(cloud: Cloud, page: "Page") -> None:
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
    page.wait_for_selector(".cs-head .cs-badge:has-text('STOPPED')", timeout=10_000)
    assert page.locator(".cs-live").count() == 0
    assert page.locator(".cs-operation").count() == 2
    assert page.locator("text=Start…").is_visible()


def test_a_page_that_follows_keeps_what_was_unfolded(cloud: Cloud, page: "Page") -> None:
    host = cloud.host("node-1")
    instance, _ = cloud.active(name="web")
    cloud.power(instance, "reboot_hard")
    page.goto(address(instance, "change"))
    page.click("summary")
    with page.expect_response(lambda response: "fragment" in response.url):
        host.work()
    page.wait_for_selector(".cs-live", state="detached", timeout=10_000)
    assert page.locator("details.cs-details").first.evaluate("box => box.open")


def test_the_start_page_works_in_the_dark_and_on_a_phone(cloud: Cloud, page: "Page") -> None:
    cloud.host("node-1")
    cloud.power(cloud.active(name="web")[0], "stop")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(reverse("admin:index"))
    assert page.locator(".cs-card").count() == 5
    assert page.locator(".cs-waiting .cs-progress").is_visible()
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "nothing sticks out at the side"
    background = page.locator(".cs-card").first.evaluate("card => getComputedStyle(card).backgroundColor")
    assert sum(int(part) for part in background[4:-1].split(",")) < 200


def test_pages_hold_under_a_strict_content_security_policy(cloud: Cloud, page: "Page") -> None:
    cloud.host("node-1")
    instance, host = cloud.active(name="web")
    cloud.power(instance, "stop")

    def strict(route: Any) -> None:
        answer = route.fetch()
        policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"
        route.fulfill(response=answer, headers={**answer.headers, "Content-Security-Policy": policy})

    page.route("**/admin/**", strict)
    for address_of_page in (reverse("admin:index"), address(instance, "change")):
        page.goto(address_of_page)
        page.wait_for_selector("#live")
    host.work()
    # The script runs under it, too. Violations are errors in the browser's console, which fail the test.
    page.wait_for_selector(".cs-head .cs-badge:has-text('STOPPED')", timeout=10_000)
