"""Buttons: what an operator may have done to a row. Each asks first, then calls one service as that operator."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from apps.common.admin import access
from apps.common.context import Actor
from apps.common.errors import CloudError

log = logging.getLogger(__name__)
# So many rows may be acted on in one go.
MOST_AT_ONCE = 200
# So many refusals are told one by one.
_MOST_SENTENCES = 10
_CONFIRM = "admin/cloudsite/confirm.html"


def _always(row: Any) -> bool:
    return True


def _nothing(row: Any) -> dict[str, Any]:
    return {}


def _silent(row: Any) -> object:
    return ""


@dataclass(frozen=True, kw_only=True)
class Button:
    """`run(actor, row, values)` calls the service and returns what to say; `values` come from `form`.

    `label` is the verb on the button, `question` asks with it, `warning` says what it means for the row. `permission`: who may press it, as the
    service will ask. `offered`: whether the row is in a state for it; the service decides in the end. `notice`: what
    else there is to know about the row before. `gone`: the row has no page afterwards. `bulk`: also for many rows of the
    list. `in_table`: not at the top of the page; lines of its tables link to it.
    """

    name: str
    label: str
    warning: str
    permission: str
    question: str = "{label} {rows}?"
    run: Callable[[Actor, Any, Mapping[str, Any]], str]
    offered: Callable[[Any], bool] = _always
    form: type[forms.Form] | None = None
    initial: Callable[[Any], dict[str, Any]] = _nothing
    notice: Callable[[Any], object] = _silent
    dangerous: bool = False
    gone: bool = False
    bulk: bool = True
    in_table: bool = False


@dataclass(frozen=True, kw_only=True)
class Creation:
    """The form of something new: `run(actor, values)` calls the service and returns the new row."""

    permission: str
    form: type[forms.Form]
    run: Callable[[Actor, Mapping[str, Any]], Model]
    warning: str = ""


def may_press(request: HttpRequest, button: Button) -> bool:
    """Whether the service would take it from this operator."""
    return access.may(request, button.permission)


def press(request: HttpRequest, button: Button, row: Any, form: forms.Form | None) -> bool:
    """Run it for one row and say how it went: a refusal beside the field that it is about. Returns whether it was done."""
    try:
        messages.success(request, button.run(access.actor_of(request), row, form.cleaned_data if form else {}))
    except CloudError as error:
        sentence = _refusal(request, button, row, error)
        if form is None:
            messages.error(request, sentence)
        else:
            show_refusal(form, error)
        return False
    return True


def show_refusal(form: forms.Form, error: CloudError) -> None:
    """What a service said about a value, beside its field."""
    field = error.field or ""
    known = next((name for name in (field, field.removesuffix("_id")) if name in form.fields), None)
    form.add_error(known, f"{error.message} ({error.code})")


def press_many(request: HttpRequest, button: Button, rows: Sequence[Any], values: Mapping[str, Any]) -> None:
    """Run it for one row after the other, and say in a few sentences how it went."""
    done, refused = [], []
    for row in rows:
        try:
            button.run(access.actor_of(request), row, values)
            done.append(row)
        except CloudError as error:
            refused.append(_refusal(request, button, row, error))
    if done:
        messages.success(request, f"{button.label}: done for {_what(done)}.")
    for sentence in refused[:_MOST_SENTENCES]:
        messages.error(request, sentence)
    if len(refused) > _MOST_SENTENCES:
        messages.error(request, f"… and refused for {len(refused) - _MOST_SENTENCES} more.")


def _refusal(request: HttpRequest, button: Button, row: Any, error: CloudError) -> str:
    access.refused(request, error)
    log.info("admin: %s refused for %s: %s", button.name, row.pk, error.code)
    return f"{button.label} {row}: {error.message} ({error.code})"


def ask(
    request: HttpRequest, context: dict[str, Any], button: Button, rows: Sequence[Any], form: forms.Form | None
) -> TemplateResponse:
    """The page that asks: really?"""
    return TemplateResponse(
        request,
        _CONFIRM,
        {
            "title": button.question.replace("{label}", button.label).replace("{rows}", _what(rows)),
            **context,
            "label": button.label,
            "warning": button.warning,
            "notice": button.notice(rows[0]) if len(rows) == 1 else "",
            "dangerous": button.dangerous,
            "rows": rows,
            "form": form,
            "checkbox_name": ACTION_CHECKBOX_NAME,
        },
    )


def ask_for(request: HttpRequest, context: dict[str, Any], creation: Creation, form: forms.Form) -> TemplateResponse:
    """The same page for something that does not exist yet."""
    return TemplateResponse(request, _CONFIRM, {**context, "label": "Create", "warning": creation.warning, "form": form})


def as_action(button: Button) -> Callable[[Any, HttpRequest, "QuerySet[Any]"], HttpResponse | None]:
    """The button for many rows of a list: asks once, then goes through them one by one."""

    def action(admin_class: Any, request: HttpRequest, queryset: "QuerySet[Any]") -> HttpResponse | None:
        rows = list(queryset[: MOST_AT_ONCE + 1])
        if len(rows) > MOST_AT_ONCE:
            messages.error(request, f"At most {MOST_AT_ONCE} rows at once; nothing was done.")
            return None
        form = button.form(request.POST if "confirmed" in request.POST else None) if button.form else None
        if "confirmed" not in request.POST or (form is not None and not form.is_valid()):
            return ask(request, {**admin_class.context(request), "action": f"do_{button.name}"}, button, rows, form)
        press_many(request, button, rows, form.cleaned_data if form else {})
        return HttpResponseRedirect(request.get_full_path())

    action.__name__ = f"do_{button.name}"
    action.short_description = f"{button.label}…"  # type: ignore[attr-defined]
    return action


def _what(rows: Sequence[Any]) -> str:
    return str(rows[0]) if len(rows) == 1 else f"{len(rows)} {rows[0]._meta.verbose_name_plural}"
