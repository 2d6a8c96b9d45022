"""Operators at work on the pages of identity, in a real browser and under the pages' own security policy."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.identity.models import Assignment, Project
from tests.support.admin import address, user
from tests.support.cloud import Cloud

pytestmark = pytest.mark.browser


def choose(page: Page, field: str, typed: str, shown: str) -> None:
    """Find a row by typing a part of its name."""
    page.click(f".field-{field} .select2-selection")
    page.fill(".select2-search__field", typed)
    page.click(f".select2-results__option:has-text('{shown}')")


def test_a_project_is_made_and_somebody_gets_a_role_in_it(cloud: Cloud, page: Page) -> None:
    ann = user("ann")
    page.goto(address(Project, "add"))
    choose(page, "parent", "defa", "domain Default")
    page.fill("#id_name", "research")
    page.fill("#id_tags", "eu, physics")
    page.click("button:has-text('Create')")
    page.wait_for_selector("text=The project research is there.")
    assert page.locator(".cs-tree").inner_text().split() == ["Default", "domain", "research"]
    assert page.locator(".cs-tag").all_inner_texts() == ["eu", "physics"]

    page.click("text=Give a role…")
    choose(page, "user", "an", "ann (Default)")
    page.select_option("#id_role", label="member")
    page.click("button:has-text('Give a role')")
    page.wait_for_selector("text=ann has the role member in research.")
    assert Assignment.objects.get(user=ann).project == Project.objects.get(name="research")

    # And the way back: from the line of the table to the question, and to the list.
    page.click("tr:has-text('ann') >> text=Take away…")
    page.click("button:has-text('Take away')")
    page.wait_for_selector("text=is taken away.")
    assert not Assignment.objects.filter(user=ann).exists()


def test_a_refusal_stands_beside_its_field_and_what_was_typed_is_kept(cloud: Cloud, page: Page) -> None:
    page.goto(reverse("admin:identity_user_add"))
    page.fill("#id_username", "ann")
    page.fill("#id_password", "short")
    page.fill("#id_again", "short")
    page.click("button:has-text('Create')")
    page.wait_for_selector(".field-password .errorlist")
    assert page.input_value("#id_username") == "ann"
    assert page.input_value("#id_password") == ""


def test_the_permissions_are_a_picture_in_the_dark_and_on_a_phone(cloud: Cloud, page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(reverse("admin:identity_role_permissions"))
    expect(page.locator(".cs-arrows rect")).to_have_count(4)
    assert page.locator(".cs-matrix tbody tr").count() > 90
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "the picture scrolls, and not the page"
