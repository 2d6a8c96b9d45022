"""A real browser. Whatever it complains of in its console, the security policy included, fails the test."""

import shutil
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

if TYPE_CHECKING:
    from tests.support.cloud import Cloud

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
# Five seconds are too few for a page on a busy machine.
expect.set_options(timeout=60_000)


def complained(page: Page, complaints: list[str]) -> str:
    """What the browser complained of last, which may be told a moment after what it is about; it is taken away."""
    until = time.monotonic() + 30
    while not complaints and time.monotonic() < until:
        page.wait_for_timeout(50)
    return complaints.pop()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser has complained of; a test that provokes it takes it away."""
    return []


@pytest.fixture
def stranger(
    cloud: "Cloud", live_server: Any, complaints: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Page]:
    """The browser of somebody who is not signed in."""
    from django.db import connections

    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian package chromium)")
    # Playwright keeps an event loop in this thread, and Django would take that for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(base_url=live_server.url, viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(f"{page.url}: {said.text}") if said.type in ("error", "warning") else None,
        )
        yield page
        browser.close()
        # While that loop runs, Django keeps connections apart from those of the thread: nobody else would close them.
        connections.close_all()
    assert complaints == [], "\n".join(complaints)


@pytest.fixture
def page(stranger: Page) -> Page:
    """An operator's browser, signed in by the form."""
    from django.urls import reverse

    from tests.support.admin import user

    user("root", is_superuser=True, is_staff=True)
    stranger.goto(reverse("admin:index"))
    stranger.fill("#id_username", "root")
    stranger.fill("#id_password", PASSWORD)
    stranger.click("text=Log in")
    stranger.wait_for_selector(".cs-overview")
    return stranger
