"""Admin pages of traits and resource classes that were made here; the standard ones need no page."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin

from apps.common.admin.buttons import Button, Creation
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.placement.models import ResourceClass, Trait
from apps.placement.services import classes, traits


class NameForm(forms.Form):
    """What is made is only a name."""

    name = forms.CharField(max_length=255, initial="CUSTOM_", help_text="CUSTOM_ and then A-Z, 0-9 and _.")


def _create_trait(actor: Actor, values: Mapping[str, Any]) -> Trait:
    traits.create(actor=actor, name=values["name"])
    return Trait.objects.get(name=values["name"])


def _delete_trait(actor: Actor, trait: Trait, values: Mapping[str, Any]) -> str:
    traits.delete(actor=actor, name=trait.name)
    return f"The trait {trait} is deleted."


def _create_class(actor: Actor, values: Mapping[str, Any]) -> ResourceClass:
    classes.ensure(actor=actor, name=values["name"])
    return ResourceClass.objects.get(name=values["name"])


def _delete_class(actor: Actor, row: ResourceClass, values: Mapping[str, Any]) -> str:
    classes.delete(actor=actor, name=row.name)
    return f"The resource class {row} is deleted."


@admin.register(Trait)
class TraitAdmin(RecordAdmin):
    """What providers can be, besides what OpenStack's list names."""

    permission = "placement.provider.list"
    list_display = ("name", "updated_at")
    search_fields = ("name",)
    search_ids = ()
    ordering = ("name",)
    facts = (("Facts", ("name", "updated_at")),)
    creation = Creation(permission="placement.trait.update", form=NameForm, run=_create_trait)
    buttons = (
        Button(
            name="delete", label="Delete", permission="placement.trait.update", run=_delete_trait, dangerous=True, gone=True,
            warning="Refused while a resource provider has it. Flavors that ask for it find no host then.",
        ),
    )


@admin.register(ResourceClass)
class ResourceClassAdmin(RecordAdmin):
    """What inventories are of, besides what OpenStack's list names."""

    permission = "placement.provider.list"
    list_display = ("name", "updated_at")
    search_fields = ("name",)
    search_ids = ()
    ordering = ("name",)
    facts = (("Facts", ("name", "updated_at")),)
    creation = Creation(permission="placement.resource_class.update", form=NameForm, run=_create_class)
    buttons = (
        Button(
            name="delete", label="Delete", permission="placement.resource_class.update", run=_delete_class, dangerous=True, gone=True,
            warning="Refused while an inventory is of it.",
        ),
    )
