"""Admin pages of flavors and key pairs."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.inputs import Lines, Pairs
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.compute.models import Flavor, KeyPair
from apps.compute.services import catalog


def _flavor_names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Flavor.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("flavor", model="compute_flavor", names=_flavor_names)


class FlavorForm(forms.Form):
    """A new size."""

    name = forms.CharField(max_length=64)
    vcpus = forms.IntegerField(min_value=1, max_value=1024, label="vCPUs")
    memory_mb = forms.IntegerField(min_value=1, max_value=2**31 - 1, label="Memory (MiB)")
    disk_gb = forms.IntegerField(
        min_value=0, max_value=2**31 - 1, label="Disk (GiB)", help_text="0: as large as the image."
    )
    required_traits = Lines(help_text="That its hosts have, such as HW_CPU_X86_AVX2; one per line.")
    forbidden_traits = Lines(help_text="That they have not; one per line.")
    host_metadata = Pairs(help_text="That one of their aggregates each has: a line name=value each.")


def _create_flavor(actor: Actor, values: Mapping[str, Any]) -> Flavor:
    return catalog.create_flavor(actor=actor, **values)


def _delete_flavor(actor: Actor, flavor: Flavor, values: Mapping[str, Any]) -> str:
    catalog.delete_flavor(actor=actor, flavor_id=flavor.pk)
    return f"The flavor {flavor} is deleted."


@admin.register(Flavor)
class FlavorAdmin(RecordAdmin):
    """Sizes. They are made and deleted, never changed: instances carry their numbers."""

    permission = "compute.flavor.list"
    list_display = ("name", "vcpus", "memory_mb", "disk_gb", "offered")
    list_filter = ("enabled",)
    search_fields = ("name",)
    ordering = ("vcpus", "memory_mb", "name")
    facts = (("Facts", ("vcpus", "memory_mb", "disk_gb", "required", "forbidden", "metadata", "offered", "id")),)
    buttons = (
        Button(
            name="delete",
            label="Delete",
            permission="compute.flavor.delete",
            run=_delete_flavor,
            dangerous=True,
            gone=True,
            warning="No new instance can have this size. Instances keep theirs.",
        ),
    )
    creation = Creation(permission="compute.flavor.create", form=FlavorForm, run=_create_flavor)

    @admin.display(description="required traits")
    def required(self, flavor: Flavor) -> SafeString:
        return drawing.tags(flavor.required_traits)

    @admin.display(description="forbidden traits")
    def forbidden(self, flavor: Flavor) -> SafeString:
        return drawing.tags(flavor.forbidden_traits)

    @admin.display(description="metadata of its hosts")
    def metadata(self, flavor: Flavor) -> SafeString:
        return drawing.tags(f"{name}={value}" for name, value in sorted(flavor.host_metadata.items()))

    @admin.display(description="offered", boolean=True)
    def offered(self, flavor: Flavor) -> bool:
        return flavor.enabled


@admin.register(KeyPair)
class KeyPairAdmin(RecordAdmin):
    """Public SSH keys; their users make and delete them."""

    permission = "compute.key_pair.list"
    list_display = ("name", "user", "fingerprint", "created_at")
    search_fields = ("name", "=fingerprint")
    search_ids = ("pk", "user_id")
    references = {"user_id": "user"}
    user = reference("user_id", "user", "user")
    facts = (("Facts", ("user", "fingerprint", "public_key", "created_at", "id")),)
