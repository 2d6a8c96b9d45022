"""Admin pages of flavors and key pairs."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps.common.admin import buttons as pressing
from apps.common.admin import references
from apps.common.admin.buttons import Button
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.common.errors import CloudError
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


def _delete_flavor(actor: Actor, flavor: Flavor, values: Mapping[str, Any]) -> str:
    catalog.delete_flavor(actor=actor, flavor_id=flavor.pk)
    return f"The flavor {flavor} is deleted."


@admin.register(Flavor)
class FlavorAdmin(RecordAdmin):
    """Sizes. They are made and deleted, never changed: instances carry their numbers."""

    list_display = ("name", "vcpus", "memory_mb", "disk_gb", "offered")
    list_filter = ("enabled",)
    search_fields = ("name",)
    ordering = ("vcpus", "memory_mb", "name")
    facts = (("Facts", ("vcpus", "memory_mb", "disk_gb", "offered", "id")),)
    buttons = (
        Button(
            name="delete",
            label="Delete",
            run=_delete_flavor,
            dangerous=True,
            gone=True,
            warning="No new instance can have this size. Instances keep theirs.",
        ),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(getattr(request.user, "is_superuser", False))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form of a new flavor; the service makes it."""
        if not self.has_add_permission(request):
            return HttpResponse(status=403)
        form = FlavorForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                made = catalog.create_flavor(actor=pressing.actor_of(request), **form.cleaned_data)
            except CloudError as error:
                form.add_error(error.field if error.field in form.fields else None, error.message)
            else:
                messages.success(request, f"The flavor {made} is there.")
                return HttpResponseRedirect(self.page_of(made))
        page = reverse("admin:compute_flavor_changelist")
        return pressing.ask_for(
            request, {**self.context(request), "title": "New flavor", "cancel": page}, "Create", form
        )

    @admin.display(description="offered", boolean=True)
    def offered(self, flavor: Flavor) -> bool:
        return flavor.enabled


@admin.register(KeyPair)
class KeyPairAdmin(RecordAdmin):
    """Public SSH keys; their users make and delete them."""

    list_display = ("name", "user", "fingerprint", "created_at")
    search_fields = ("name", "=fingerprint")
    search_ids = ("pk", "user_id")
    references = {"user_id": "user"}
    user = reference("user_id", "user", "user")
    facts = (("Facts", ("user", "fingerprint", "public_key", "created_at", "id")),)
