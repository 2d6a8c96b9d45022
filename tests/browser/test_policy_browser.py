"""Every kind of page works under the security policy that it is served with: the browser would complain in its console."""

from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import Page

from apps.common.api.edge import PAGE_POLICY
from tests.browser.conftest import complained
from tests.support.cloud import Cloud

pytestmark = pytest.mark.browser


def _add(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")


def visit(page: Page, path: str) -> Any:
    """Open it and be sure that its policy is in force."""
    answer = page.goto(path)
    assert answer is not None
    assert answer.headers["content-security-policy"] == PAGE_POLICY
    return answer


def test_every_page_of_the_admin(cloud: Cloud, page: Page) -> None:
    cloud.host("node-1")
    instance, _ = cloud.active(name="web")
    cloud.power(instance, "stop")
    visit(page, reverse("admin:index"))
    addable = {model for model in admin.site._registry if page.locator(f"a.addlink[href='{_add(model)}']").count()}
    assert addable
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert visit(page, reverse(f"{name}_changelist")).status == 200
        row = model._default_manager.first()
        if row is not None:
            assert visit(page, reverse(f"{name}_change", args=[row.pk])).status == 200
        if model in addable:
            assert visit(page, reverse(f"{name}_add")).status == 200


def test_the_documentation_of_the_api(stranger: Page) -> None:
    visit(stranger, reverse("docs"))
    stranger.wait_for_selector(".opblock")
    stranger.locator(".opblock").first.click()
    stranger.wait_for_selector(".opblock-body")
    assert stranger.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(250, 250, 250)"
    stranger.click("button.authorize")
    stranger.wait_for_selector(".modal-ux")


def test_the_browsable_api(cloud: Cloud, page: Page, complaints: list[str]) -> None:
    for path in ("/api/v1/instances", "/api/v1/flavors", "/api/v1/projects"):
        visit(page, path)
    page.locator("button:has-text('POST')").first.wait_for()
    page.locator("button.dropdown-toggle").first.click()
    page.locator(".dropdown-menu a").first.wait_for()
    page.click("text=Log out")
    page.wait_for_selector("text=Log in")
    assert "401" in complained(page, complaints), "back on the page, which now wants to know who asks"


def test_signing_in_to_the_browsable_api(cloud: Cloud, stranger: Page) -> None:
    visit(stranger, "/api/session/login/?next=/api/v1/docs")
    box = stranger.locator(".cs-form").bounding_box()
    assert box is not None and box["width"] < 500, "the style sheet counts"


def test_a_script_in_the_page_would_not_run(stranger: Page, complaints: list[str]) -> None:
    """That the policy is more than a header: what an attacker would put in is refused by the browser."""
    stranger.goto("/admin/login/")
    refused = stranger.evaluate(
        """() => new Promise(done => {
            document.addEventListener("securitypolicyviolation", event => done(event.effectiveDirective), {once: true});
            const script = document.createElement("script");
            script.textContent = "window.stolen = true";
            document.body.append(script);
        })"""
    )
    assert refused == "script-src-elem" and stranger.evaluate("window.stolen") is None
    assert "Executing inline script violates" in complained(stranger, complaints)
