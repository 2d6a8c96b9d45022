"""Signing in and one's own account, in a real browser."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD
from tests.support.cloud import Cloud
from tests.support.identity import make_user
from tests.support.proofs import code_of, with_second_factor

pytestmark = pytest.mark.browser


def sign_in(page: Page, at: str = "/account/") -> None:
    page.goto(at)
    page.fill("#id_username", "ann")
    page.fill("#id_password", PASSWORD)
    page.click("text=Log in")
    page.wait_for_url(lambda url: not url.partition("?")[0].endswith("/login/"))


def test_a_member_signs_in_with_a_code_and_sees_the_account(cloud: Cloud, stranger: Page) -> None:
    seed = with_second_factor(make_user("ann", cloud.project))
    sign_in(stranger)
    stranger.wait_for_url("**/account/login/code/")
    assert stranger.locator("#id_code").get_attribute("autocomplete") == "one-time-code"
    stranger.fill("#id_code", code_of(seed))
    stranger.keyboard.press("Enter")
    stranger.wait_for_selector("text=Your projects")
    expect(stranger.locator("text=you work here")).to_be_visible()


def test_a_second_factor_is_scanned_and_a_key_is_shown_once(cloud: Cloud, stranger: Page) -> None:
    make_user("ann", cloud.project)
    sign_in(stranger)
    stranger.click("nav >> text=Second factor")
    stranger.click("text=Set it up")
    image = stranger.locator(".cs-enrol img")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    seed = stranger.locator(".cs-enrol .cs-secret").inner_text()
    stranger.fill("#id_code", code_of(seed))
    stranger.click("text=Turn it on")
    stranger.wait_for_selector("text=takes a code beside the password")

    stranger.click("nav >> text=Access keys")
    stranger.fill("#id_name", "laptop")
    stranger.click("text=Make it")
    stranger.wait_for_selector(".cs-secret")
    stranger.goto("/account/access-keys/")
    expect(stranger.locator("text=laptop")).to_be_visible()
    expect(stranger.locator(".cs-secret")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_on_a_phone(cloud: Cloud, stranger: Page, scheme: str) -> None:
    make_user("ann", cloud.project)
    stranger.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    stranger.set_viewport_size({"width": 390, "height": 800})
    sign_in(stranger)
    for name in ("", "tokens/", "application-credentials/", "access-keys/", "second-factor/", "password/"):
        stranger.goto(f"/account/{name}")
        wide = stranger.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"nothing sticks out at the side of {name}"
