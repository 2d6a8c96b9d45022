"""Admin pages of instances: list, facts, console, and buttons that call services.

The instance page's timeline and verdicts are composed in dashboard/pages/instance.py.
"""

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from apps.common.admin import access, drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.common.errors import CloudError
from apps.compute.models import Instance
from apps.compute.services import console, delete, power, snapshot
from apps.compute.states import POWER_FROM, InstanceState
from apps.operations import selectors as operations

TONES = {
    InstanceState.BUILD: "busy",
    InstanceState.ACTIVE: "good",
    InstanceState.STOPPED: "off",
    InstanceState.ERROR: "bad",
    InstanceState.DELETING: "busy",
    InstanceState.DELETED: "off",
}
NO_BREAK = "\u00a0"
_CHANGING = (InstanceState.BUILD, InstanceState.DELETING)


def _instance_names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Instance.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("instance", model="compute_instance", names=_instance_names)


def _power(action: str) -> Callable[[Actor, Instance, Mapping[str, Any]], str]:
    def run(actor: Actor, instance: Instance, values: Mapping[str, Any]) -> str:
        power.power(actor=actor, instance_id=instance.pk, action=action)
        return f"The {action.replace('_', ' ')} of {instance} is under way."

    return run


def _delete(actor: Actor, instance: Instance, values: Mapping[str, Any]) -> str:
    operation = delete.delete(actor=actor, instance_id=instance.pk)
    return f"The instance {instance} is {'deleted' if operation.state == 'succeeded' else 'being deleted'}."


def _can(action: str) -> Callable[[Instance], bool]:
    return lambda instance: instance.state in POWER_FROM[action] and instance.host_id is not None


def _power_button(action: str, label: str, warning: str) -> Button:
    return Button(
        name=action, label=label, warning=warning, permission="compute.instance.power", run=_power(action), offered=_can(action)
    )


class SnapshotForm(forms.Form):
    """The image that is to be."""

    name = forms.CharField(max_length=255, help_text="Of the image.")


def _snapshot(actor: Actor, instance: Instance, values: Mapping[str, Any]) -> str:
    begun = snapshot.snapshot(actor=actor, instance_id=instance.pk, name=values["name"])
    return f"The image {begun.image} of {instance} is under way."


BUTTONS = (
    _power_button("start", "Start", "The guest is powered on."),
    _power_button("stop", "Stop", "The guest is asked to shut down; if it does not within 30 s, its power is cut."),
    _power_button(
        "reboot_soft", "Soft reboot", "The guest is asked to reboot; if it does not within 30 s, it is reset."
    ),
    _power_button("reboot_hard", "Hard reboot", "The guest is reset at once: what it has not written to disk is lost."),
    Button(
        name="snapshot",
        label="Snapshot",
        question="An image of {rows}",
        permission="compute.instance.snapshot",
        run=_snapshot,
        form=SnapshotForm,
        offered=lambda instance: instance.state in (InstanceState.ACTIVE, InstanceState.STOPPED),
        warning="The guest goes on while its disk is copied. Without a guest agent that answers, the image is as a disk after a power cut.",
    ),
    Button(
        name="delete",
        label="Delete",
        permission="compute.instance.delete",
        run=_delete,
        dangerous=True,
        offered=lambda instance: instance.state not in (InstanceState.DELETED, InstanceState.DELETING),
        warning="The guest, its disk and its addresses are gone for good. Whatever else is under way is cancelled.",
    ),
)


def state_badge(state: str) -> SafeString:
    """A state of an instance."""
    return drawing.badge(state, TONES[InstanceState(state)], busy=state in _CHANGING)


class StateFilter(admin.SimpleListFilter):
    """Living ones unless asked otherwise."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((state.value, state.value) for state in InstanceState), ("any", "any, also DELETED")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        if self.value() is None:
            return queryset.exclude(state=InstanceState.DELETED)
        return queryset if self.value() == "any" else queryset.filter(state=self.value())

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Django calls the default “All”, and here it is not."""
        for choice in super().choices(changelist):
            yield {**choice, "display": "living"} if choice["display"] == _("All") else choice


@admin.register(Instance)
class InstanceAdmin(RecordAdmin):
    """Virtual machines of all projects."""

    permission = "compute.instance.list"
    list_display = ("name", "state_shown", "project", "host", "addresses_shown", "size_shown", "image_name", "created")
    list_filter = (StateFilter,)
    search_fields = ("name", "=host_name", "addresses__icontains")
    search_ids = ("pk", "project_id", "user_id", "host_id", "image_id", "flavor_id")
    search_help_text = (
        "an id (instance, project, user, host, image, flavor), a name, an address, or exactly a host's name"
    )
    references = {"project_id": "project", "host_id": "host"}
    server_group = reference("server_group_id", "server_group", "server group")
    project = reference("project_id", "project", "project")
    host = reference("host_id", "host", "host")
    user = reference("user_id", "user", "made by")
    flavor = reference("flavor_id", "flavor", "flavor")
    image = reference("image_id", "image", "image")
    network = reference("network_id", "network", "network")
    facts = (
        (
            "Facts",
            (
                "project",
                "host",
                "user",
                "size",
                "flavor",
                "image",
                "network",
                "zone",
                "server_group",
                "key_name",
                "created",
                "launched",
                "deleted",
                "power_state",
                "generation",
                "metadata",
                "user_data_size",
                "id_shown",
            ),
        ),
    )
    pictures = (("Addresses", "address_table"),)
    buttons = BUTTONS

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        super().prepare(request, rows)
        under_way = operations.open_kinds([row.pk for row in rows])
        for row in rows:
            row.under_way = under_way.get(row.pk, "")

    def headline(self, instance: Instance) -> SafeString:
        return self.state_shown(instance)

    def is_live(self, instance: Instance) -> bool:
        return instance.state in _CHANGING or self._under_way(instance) != ""

    def links(self, request: HttpRequest, instance: Instance) -> list[tuple[str, str]]:
        if instance.host_id is None or not access.may(request, "compute.instance.console"):
            return []
        return [("Console log", reverse("admin:compute_instance_console", args=[instance.pk]))]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.console_view)
        return [path("<uuid:object_id>/console/", view, name="compute_instance_console"), *super().get_urls()]

    def console_view(self, request: HttpRequest, object_id: uuid.UUID) -> HttpResponse:
        """The panel; reading asks the host, which leaves an operation behind, so it takes a POST."""
        instance = self._found(request, str(object_id))
        if instance is None:
            return self._missing(request, str(object_id))
        access.require(request, "compute.instance.console")
        text: SafeString | None = None
        cut = False
        if request.method == "POST":
            try:
                output = console.read(actor=access.actor_of(request), instance_id=instance.pk)
                text, cut = drawing.terminal(output.text), output.truncated
            except CloudError as error:
                messages.error(request, f"{error.message} ({error.code})")
        return TemplateResponse(
            request,
            "admin/cloudsite/console.html",
            {
                **self.context(request),
                "title": f"Console of {instance}",
                "original": instance,
                "page": self.page_of(instance),
                "headline": self.headline(instance),
                "text": text,
                "truncated": cut,
            },
        )

    def _under_way(self, instance: Instance) -> str:
        if not hasattr(instance, "under_way"):
            instance.under_way = operations.open_kinds([instance.pk]).get(instance.pk, "")  # type: ignore[attr-defined]
        return str(instance.under_way)  # type: ignore[attr-defined]

    @admin.display(description="state")
    def state_shown(self, instance: Instance) -> SafeString:
        said = state_badge(instance.state)
        if kind := self._under_way(instance):
            said = format_html(
                "{} {}", said, drawing.badge(kind.removeprefix("instance.").replace("_", " "), "busy", busy=True)
            )
        elif instance.wanted_gone and instance.state != InstanceState.DELETED:
            said = format_html("{} {}", said, drawing.badge("wanted gone", "warn"))
        return said

    @admin.display(description="addresses")
    def addresses_shown(self, instance: Instance) -> SafeString:
        return drawing.stack(each["address"] for each in instance.addresses) or drawing.NOTHING

    @admin.display(description="addresses")
    def address_table(self, instance: Instance) -> SafeString:
        if not instance.addresses:
            return drawing.EMPTY
        rows = [
            (drawing.code(a["address"]), drawing.code(a["mac"]), drawing.code(a["port_id"])) for a in instance.addresses
        ]
        return drawing.table(("address", "MAC", "port"), rows)

    @admin.display(description="size")
    def size(self, instance: Instance) -> str:
        disk = f", {instance.disk_gb} GiB disk" if instance.disk_gb else ""
        return f"{instance.vcpus} vCPU, {drawing.size(instance.memory_mb * 1024**2)}{disk}"

    @admin.display(description="size")
    def size_shown(self, instance: Instance) -> SafeString:
        memory = drawing.size(instance.memory_mb * 1024**2).replace(" ", NO_BREAK)
        return drawing.stack(
            (f"{instance.vcpus}{NO_BREAK}vCPU, {memory}", drawing.quiet(f"{instance.disk_gb} GiB disk"))
        )

    @admin.display(description="made")
    def created(self, instance: Instance) -> SafeString:
        return drawing.ago(instance.created_at)

    @admin.display(description="first started")
    def launched(self, instance: Instance) -> SafeString:
        return drawing.ago(instance.launched_at)

    @admin.display(description="deleted")
    def deleted(self, instance: Instance) -> SafeString:
        return drawing.ago(instance.deleted_at, never="no")

    @admin.display(description="user data")
    def user_data_size(self, instance: Instance) -> str:
        """Only how much: it often holds passwords."""
        return f"{len(instance.user_data) * 3 // 4} bytes" if instance.user_data else ""

    @admin.display(description="id")
    def id_shown(self, instance: Instance) -> SafeString:
        return drawing.code(instance.pk)
