"""Buttons: what an operator may have done to a row. Each asks first, then calls one service as that operator."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

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


@dataclass(frozen=True, kw_only=True)
class Button:
    """`run(actor, row, values)` calls the service and returns what to say; `values` come from `form`.

    `label` is the verb on the button, `warning` says what it means for the row. `offered`: whether the row is in a
    state for it; the service decides in the end. `gone`: the row has no page afterwards.
    """

    name: str
    label: str
    warning: str
    run: Callable[[Actor, Any, Mapping[str, Any]], str]
    offered: Callable[[Any], bool] = _always
    form: type[forms.Form] | None = None
    initial: Callable[[Any], dict[str, Any]] = _nothing
    dangerous: bool = False
    gone: bool = False
    bulk: bool = True


# Who is acting. Set by identity, which knows users; this package knows no context.
_source: list[Callable[[HttpRequest], Actor]] = []


def actors_come_from(source: Callable[[HttpRequest], Actor]) -> None:
    """`source` makes the Actor of a request; it raises CloudError for those who are no operators."""
    _source[:] = [source]


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in operator. Raises CloudError, PermissionDenied."""
    if not _source:
        raise PermissionDenied
    actor = _source[0](request)
    request.cloudsite_actor = actor  # type: ignore[attr-defined]  # the audit trail looks here
    return actor


def press(request: HttpRequest, button: Button, row: Any, values: Mapping[str, Any]) -> bool:
    """Run it for one row and say how it went. Returns whether it was done."""
    try:
        messages.success(request, button.run(actor_of(request), row, values))
    except CloudError as error:
        messages.error(request, _refusal(request, button, row, error))
        return False
    return True


def press_many(request: HttpRequest, button: Button, rows: Sequence[Any], values: Mapping[str, Any]) -> list[Any]:
    """Run it for one row after the other, and say in a few sentences how it went. Returns for which it was done."""
    done, refused = [], []
    for row in rows:
        try:
            button.run(actor_of(request), row, values)
            done.append(row)
        except CloudError as error:
            refused.append(_refusal(request, button, row, error))
    if done:
        messages.success(request, f"{button.label}: done for {_what(done)}.")
    for sentence in refused[:_MOST_SENTENCES]:
        messages.error(request, sentence)
    if len(refused) > _MOST_SENTENCES:
        messages.error(request, f"… and refused for {len(refused) - _MOST_SENTENCES} more.")
    return done


def _refusal(request: HttpRequest, button: Button, row: Any, error: CloudError) -> str:
    request.cloudsite_refusal = error  # type: ignore[attr-defined]  # and here; of many the last one stands for all
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
            "title": f"{button.label} {_what(rows)}?",
            **context,
            "label": button.label,
            "warning": button.warning,
            "dangerous": button.dangerous,
            "rows": rows,
            "form": form,
            "checkbox_name": ACTION_CHECKBOX_NAME,
        },
    )


def ask_for(request: HttpRequest, context: dict[str, Any], label: str, form: forms.Form) -> TemplateResponse:
    """The same page for something that does not exist yet."""
    return TemplateResponse(request, _CONFIRM, {**context, "label": label, "form": form})


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
        values = form.cleaned_data if form else {}
        for row in press_many(request, button, rows, values):
            admin_class.log_change(request, row, button.label)
        return HttpResponseRedirect(request.get_full_path())

    action.__name__ = f"do_{button.name}"
    action.short_description = f"{button.label}…"  # type: ignore[attr-defined]
    return action


def _what(rows: Sequence[Any]) -> str:
    return str(rows[0]) if len(rows) == 1 else f"{len(rows)} {rows[0]._meta.verbose_name_plural}"
