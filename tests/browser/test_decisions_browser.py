"""Why an instance is where it is, or nowhere, as an operator sees it."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from apps.hosts.models import Host
from apps.hosts.services import deltas
from apps.scheduler import selectors as scheduler
from tests.support.cloud import Cloud

pytestmark = pytest.mark.browser


def test_the_funnel_narrows_and_the_chosen_host_has_the_longest_bar(cloud: Cloud, page: Page) -> None:
    for number, memory in enumerate((256, 512, 4096, 9000, 60000), start=1):
        cloud.host(f"node-{number}", MEMORY_MB=memory)
    off = cloud.host("node-6")
    Host.objects.filter(pk=off.id).update(enabled=False)
    deltas.note([off.id])
    placed, *_ = cloud.active(name="web")
    (decision,) = scheduler.decisions(placed.pk)
    page.goto(reverse("admin:scheduler_decision_change", args=[decision.pk]))
    expect(page.locator("text=node-5 was chosen").first).to_be_visible()
    bars = page.locator(".cs-meters").first.locator("svg rect:last-of-type")
    widths = [box["width"] for bar in bars.all() if (box := bar.bounding_box())]
    assert len(widths) == 3 and widths == sorted(widths, reverse=True) and widths[0] > widths[-1] > 0
    page.click("details.cs-details summary")
    expect(page.locator("details.cs-details td:has-text('too little memory is free')")).to_be_visible()

    refused = cloud.boot(name="large", zone="nowhere")
    cloud.schedule()
    (decision,) = scheduler.decisions(refused.pk)
    page.goto(reverse("admin:scheduler_decision_change", args=[decision.pk]))
    expect(page.locator("text=The nearest misses")).to_be_visible()
    expect(page.locator("text=in another zone (default)").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
