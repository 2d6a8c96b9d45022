"""Admin pages of limits and usage."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.quotas import selectors
from apps.quotas.models import Limit, RegisteredLimit, Usage
from apps.quotas.resources import MOST, RESOURCES, UNLIMITED
from apps.quotas.selectors import Quota
from apps.quotas.services import audit, limits, registered

# So many bars in a line of the list: the fullest ones.
_IN_LIST = 3


def amount(name: str, value: int) -> str:
    """As people write it, with its unit."""
    unit = RESOURCES[name].unit if name in RESOURCES else ""
    if value == UNLIMITED:
        return "unlimited"
    return drawing.size(value) if unit == "bytes" else f"{drawing.number(value)} {unit}".rstrip()


def meter(quota: Quota) -> SafeString:
    """A bar: used / limit, of the project's limit or the domain's, whichever is met first."""
    name, used, limit = quota.resource, quota.used, quota.limit
    title = name.replace("_", " ")
    if quota.bounded_by == "domain" and quota.domain_limit is not None and quota.domain_used is not None:
        text = f"{amount(name, used)}; all of the domain {amount(name, quota.domain_used)} / {amount(name, quota.domain_limit)}"
        return drawing.meter(title, quota.domain_used, quota.domain_limit, text=text)
    if limit == UNLIMITED:
        return drawing.beside(title, drawing.bar(0.0, "off", label=f"{title}: no limit"), f"{amount(name, used)}, no limit")
    return drawing.meter(title, used, limit, text=f"{amount(name, used)} / {amount(name, limit)}")


def meters(quotas: Sequence[Quota]) -> SafeString:
    """A bar per resource."""
    return format_html('<div class="cs-meters">{}</div>', drawing.stack(map(meter, quotas)))


def _fullness(quota: Quota) -> float:
    return 0.0 if quota.left is None else 1 - quota.left / max(1, quota.left + quota.used)


class LimitsForm(forms.Form):
    """A field per resource."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, resource in RESOURCES.items():
            unit = f"{resource.unit}, " if resource.unit else ""
            self.fields[name] = forms.IntegerField(
                required=False, min_value=UNLIMITED, max_value=MOST, help_text=f"{unit}{resource.text}. Empty: the default; -1: no limit."
            )


class DefaultForm(forms.Form):
    """The default limit of one resource."""

    resource = forms.ChoiceField(choices=[(name, name) for name in RESOURCES])
    limit = forms.IntegerField(min_value=UNLIMITED, max_value=MOST, help_text="Of every project that has no limit of its own. -1: no limit.")


class LimitForm(forms.Form):
    """One limit."""

    limit = forms.IntegerField(min_value=UNLIMITED, max_value=MOST, help_text="-1: no limit.")


def _set(actor: Actor, usage: Usage, values: Mapping[str, Any]) -> str:
    limits.set_limits(actor=actor, owner_id=usage.project_id, limits=values)
    return f"The limits of {usage} are set."


def _set_of_domain(actor: Actor, usage: Usage, values: Mapping[str, Any]) -> str:
    limits.set_limits(actor=actor, owner_id=usage.domain_id, limits=values)
    return f"The limits of the domain {usage.domain_id} are set."


def _own_limits(usage: Usage) -> dict[str, Any]:
    (found,) = selectors.quotas({usage.project_id: usage.domain_id}).values()
    return {each.resource: each.limit for each in found if each.source == "project"}


def _domain_limits(usage: Usage) -> dict[str, Any]:
    return dict(selectors.domain_accounts([usage.domain_id], RESOURCES)[usage.domain_id].limits)


def _recount(actor: Actor, usage: Usage, values: Mapping[str, Any]) -> str:
    found = audit.repair(actor=actor, project_ids=[usage.project_id])
    return f"Counted again; {'; '.join(map(str, found)) or 'it was right'}."


@admin.register(Usage)
class UsageAdmin(RecordAdmin):
    """What projects may have and have; a project is here as soon as it has something."""

    permission = "quotas.usage.get"
    list_display = ("project", "domain", "fullest")
    search_ids = ("project_id", "domain_id")
    search_help_text = "an id of a project or domain"
    references = {"project_id": "project", "domain_id": "domain"}
    project = reference("project_id", "project", "project")
    domain = reference("domain_id", "domain", "domain")
    facts = (("Facts", ("project", "domain")),)
    pictures = (("Used", "used"), ("Limits", "table"))
    buttons = (
        Button(
            name="limits", label="Set limits", permission="quotas.limit.set", run=_set, form=LimitsForm, initial=_own_limits, bulk=False,
            warning="What is used already stays, even if it is more; then nothing is added until it is less.",
        ),
        Button(
            name="domain", label="Set limits of its domain", permission="quotas.default.set", run=_set_of_domain, form=LimitsForm,
            initial=_domain_limits, bulk=False,
            warning="They bound what all projects of the domain have together; each keeps its own limit besides.",
        ),
        Button(
            name="recount", label="Count again", permission="quotas.default.set", run=_recount,
            warning="What is said to be used becomes what there is. Nothing else changes.",
        ),
    )

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        super().prepare(request, rows)
        found = selectors.quotas({row.project_id: row.domain_id for row in rows})
        for row in rows:
            row.quotas = found[row.project_id]

    def headline(self, usage: Usage) -> SafeString:
        return references.link("project", usage.project_id)

    @admin.display(description="fullest")
    def fullest(self, usage: Usage) -> SafeString:
        some = [each for each in _quotas(usage) if each.used]
        return drawing.stack(meter(each) for each in sorted(some, key=_fullness, reverse=True)[:_IN_LIST]) or drawing.NOTHING

    def used(self, usage: Usage) -> SafeString:
        return meters(_quotas(usage))

    def table(self, usage: Usage) -> SafeString:
        """Where each limit comes from, and what bounds."""
        return drawing.table(
            ("resource", "used", "limit", "from", "of the domain", "left"),
            (
                (
                    each.resource, amount(each.resource, each.used), amount(each.resource, each.limit), each.source,
                    drawing.NOTHING if each.domain_limit is None
                    else f"{amount(each.resource, each.domain_used or 0)} / {amount(each.resource, each.domain_limit)}",
                    "no limit" if each.left is None else amount(each.resource, each.left),
                )
                for each in _quotas(usage)
            ),
        )


def _quotas(usage: Usage) -> list[Quota]:
    known: list[Quota] | None = getattr(usage, "quotas", None)
    return selectors.quotas({usage.project_id: usage.domain_id})[usage.project_id] if known is None else known


def _register(actor: Actor, values: Mapping[str, Any]) -> RegisteredLimit:
    limits.set_defaults(actor=actor, limits={values["resource"]: values["limit"]})
    return selectors.registered_of([values["resource"]]).latest("region_id")


def _change_default(actor: Actor, row: RegisteredLimit, values: Mapping[str, Any]) -> str:
    registered.change_registered(actor=actor, registered_id=row.pk, default_limit=values["limit"])
    return f"The default limit of {row} is {amount(row.resource_name, values['limit'])}."


def _unregister(actor: Actor, row: RegisteredLimit, values: Mapping[str, Any]) -> str:
    registered.unregister(actor=actor, registered_id=row.pk)
    return f"{row} has its built-in default again."


@admin.register(RegisteredLimit)
class RegisteredLimitAdmin(RecordAdmin):
    """Default limits that were set; what is not here has its built-in default."""

    permission = "quotas.limit.list"
    list_display = ("resource_name", "limit", "effect", "region_id", "service", "description")
    search_fields = ("resource_name",)
    search_ids = ("pk", "service_id")
    ordering = ("resource_name", "pk")
    references = {"service_id": "service"}
    service = reference("service_id", "service", "service")
    facts = (("Facts", ("resource_name", "limit", "effect", "region_id", "service", "description")),)
    creation = Creation(permission="quotas.default.set", form=DefaultForm, run=_register)
    buttons = (
        Button(
            name="change", label="Change", permission="quotas.default.set", run=_change_default, form=LimitForm, bulk=False,
            initial=lambda row: {"limit": row.default_limit}, warning="It goes for every project without a limit of its own, at once.",
        ),
        Button(
            name="delete", label="Delete", permission="quotas.default.set", run=_unregister, dangerous=True, gone=True,
            warning="The built-in default goes again. Refused while projects or domains have limits of it.",
        ),
    )

    @admin.display(description="default limit")
    def limit(self, row: RegisteredLimit) -> str:
        return amount(row.resource_name, row.default_limit)

    @admin.display(description="effect")
    def effect(self, row: RegisteredLimit) -> SafeString:
        return drawing.yes_no(selectors.is_ours(row), "enforced", "kept for others")


def _change(actor: Actor, row: Limit, values: Mapping[str, Any]) -> str:
    registered.change_limit(actor=actor, limit_id=row.pk, resource_limit=values["limit"])
    return f"{row.registered} is limited to {amount(row.registered.resource_name, values['limit'])}."


def _delete(actor: Actor, row: Limit, values: Mapping[str, Any]) -> str:
    registered.delete_limit(actor=actor, limit_id=row.pk)
    return f"{row.registered} has no limit of its own any more."


@admin.register(Limit)
class LimitAdmin(RecordAdmin):
    """Limits of single projects, and of domains as a whole."""

    permission = "quotas.limit.list"
    list_display = ("registered", "limit", "project", "domain", "description")
    list_select_related = ("registered",)
    search_fields = ("registered__resource_name",)
    search_ids = ("pk", "project_id", "domain_id")
    references = {"project_id": "project", "domain_id": "domain"}
    project = reference("project_id", "project", "project")
    domain = reference("domain_id", "domain", "domain")
    facts = (("Facts", ("registered", "limit", "project", "domain", "description")),)
    buttons = (
        Button(
            name="change", label="Change", permission="quotas.limit.set", run=_change, form=LimitForm, bulk=False,
            initial=lambda row: {"limit": row.resource_limit}, warning="What is used already stays, even if it is more.",
        ),
        Button(
            name="delete", label="Delete", permission="quotas.limit.set", run=_delete, dangerous=True, gone=True,
            warning="The default goes for the project; a domain has no limit any more.",
        ),
    )

    @admin.display(description="limit")
    def limit(self, row: Limit) -> str:
        return amount(row.registered.resource_name, row.resource_limit)
