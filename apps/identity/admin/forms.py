"""Fields and forms that several pages of identity use."""

import itertools
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Model

from apps.common.admin.lists import ReadOnlyAdmin
from apps.identity import policy
from apps.identity.models import Assignment, GroupMember, Project, Role

DESCRIPTION = 4096


def permission_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """The table, by what its permissions are about."""
    rows = itertools.groupby(policy.table(), lambda row: row.name.rpartition(".")[0])
    return [(thing, [(row.name, f"{row.name.rpartition('.')[2]}: {row.text}") for row in group]) for thing, group in rows]


class ChosenByName(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A row of a big table, found by typing a part of its name; `relation` of `model` says which table."""

    def __init__(self, model: type[Model], relation: str, **more: Any) -> None:
        field: Any = model._meta.get_field(relation)
        rows = field.related_model._default_manager.all()
        super().__init__(queryset=rows, widget=AutocompleteSelect(field, admin.site), **more)

    def label_from_instance(self, obj: Any) -> str:
        pages = admin.site._registry[type(obj)]
        return pages.label(obj) if isinstance(pages, ReadOnlyAdmin) else str(obj)


class ProjectChoice(ChosenByName):
    """A project, for forms of other contexts."""

    def __init__(self, **more: Any) -> None:
        super().__init__(Assignment, "project", **more)


class Described(forms.Form):
    """What almost everything has."""

    name = forms.CharField(max_length=255)
    description = forms.CharField(max_length=DESCRIPTION, required=False, widget=forms.Textarea(attrs={"rows": 3}))


class DomainChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A domain; there are few of them."""

    def __init__(self, **more: Any) -> None:
        super().__init__(queryset=Project.objects.filter(is_domain=True).order_by("name"), **more)


class RoleChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A role, with its domain if it is of one."""

    def __init__(self, **more: Any) -> None:
        rows = Role.objects.select_related("domain").order_by("-builtin", "domain__name", "name")
        super().__init__(queryset=rows, **more)

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj} (of the domain {obj.domain})" if obj.domain_id else str(obj)


class PlaceForm(forms.Form):
    """Where a role counts."""

    project = ChosenByName(
        Assignment, "project", required=False, label="Project or domain", help_text="Empty: on the system, which is everywhere."
    )
    inherited = forms.BooleanField(
        required=False, label="For all below", help_text="Not there itself, but in all projects below it."
    )


class GiveHereForm(forms.Form):
    """Somebody gets a role in a given place."""

    user = ChosenByName(Assignment, "user", required=False)
    group = ChosenByName(Assignment, "group", required=False, help_text="A user or a group, not both.")
    role = RoleChoice()
    inherited = PlaceForm.base_fields["inherited"]


class GiveForm(PlaceForm):
    """A given user or group gets a role somewhere."""

    role = RoleChoice()
    field_order = ("role", "project", "inherited")


class AssignForm(PlaceForm):
    """Anybody gets a role anywhere."""

    user = ChosenByName(Assignment, "user", required=False)
    group = ChosenByName(Assignment, "group", required=False, help_text="A user or a group, not both.")
    role = RoleChoice()
    field_order = ("user", "group", "role", "project", "inherited")


class JoinForm(forms.Form):
    """A user goes into a group."""

    group = ChosenByName(GroupMember, "group")


class MemberForm(forms.Form):
    """A group gets a user."""

    user = ChosenByName(GroupMember, "user")
