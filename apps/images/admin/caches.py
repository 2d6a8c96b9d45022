"""What hosts have of an image, on its page, and the button that has them fetch it."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common.admin import drawing, pages, references
from apps.common.admin.buttons import Button
from apps.common.context import Actor
from apps.images.models import CachedImage, Image
from apps.images.services import caches
from apps.images.states import ImageState

# So many hosts of one are listed on its page.
_MOST = 200


class SeedForm(forms.Form):
    """Which hosts are to fetch it."""

    hosts = forms.CharField(required=False, help_text="Names, separated by blanks.")
    zone = forms.CharField(required=False, max_length=64, help_text="All of its hosts that are up.")
    aggregate = forms.CharField(required=False, max_length=255, help_text="All of its hosts that are up; its name.")


def _seed(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    seeded = caches.seed(
        actor=actor, image_id=image.pk, hosts=values["hosts"].split(), zone=values["zone"], aggregate=values["aggregate"]
    )
    passed_over = f" Passed over: {', '.join(sorted(seeded.skipped))}." if seeded.skipped else ""
    count = len({each.host_id for each in seeded.operations})
    return f"{count} {'host is' if count == 1 else 'hosts are'} fetching {image}.{passed_over}"


SEED = Button(
    name="seed", label="Fetch on hosts", question="Have hosts fetch {rows}", permission="images.cache.seed", run=_seed, form=SeedForm, bulk=False,
    offered=lambda image: image.state == ImageState.ACTIVE,
    warning="Hosts keep it in their caches until they need the room for others.",
)


def _hosts(request: HttpRequest, image: Image) -> SafeString:
    rows = list(CachedImage.objects.filter(sha256=image.sha256).exclude(sha256="").order_by("-last_used_at")[:_MOST])
    if not rows:
        return drawing.quiet("No host has it.")
    names, _ = caches.names_of(rows)
    return drawing.table(
        ("host", "size", "in use", "last used"),
        (
            (
                references.link("host", row.host_id, names.get(row.host_id, "")),
                drawing.size(row.size_bytes) if row.seen_at else drawing.quiet("being fetched"), "yes" if row.in_use else "no",
                drawing.ago(row.last_used_at),
            )
            for row in rows
        ),
    )


pages.add_section(Image, "On hosts", _hosts, permission="images.cache.list")
