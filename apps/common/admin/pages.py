"""Record pages: one row with its facts, pictures and buttons, instead of Django's form of disabled fields.

A page is a headline, then sections. The class gives facts and its own sections; others (the dashboard, which knows all
contexts) add theirs with `add_section`, so that a lower context's page can show what an upper one has.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.utils import (
    display_for_field,
    display_for_value,
    label_for_field,
    lookup_field,
    quote,
    unquote,
)
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from apps.common.admin import buttons, drawing
from apps.common.admin.buttons import Button
from apps.common.admin.lists import ReadOnlyAdmin

# How often a page with an open operation is drawn anew; see dashboard/static/dashboard/live.js.
LIVE_EVERY_MS = 2000


@dataclass(frozen=True)
class Section:
    """A titled part of a page; left out when `body` is empty."""

    title: str
    body: SafeString


Draw = Callable[[HttpRequest, Any], SafeString]
_added: dict[type[Model], list[tuple[int, str, Draw]]] = {}


def add_section(model: type[Model], title: str, draw: Draw, *, place: int = 50) -> None:
    """Show `draw(request, row)` on the pages of `model`; a lower `place` is nearer to the top, facts are at 20."""
    _added.setdefault(model, []).append((place, title, draw))


class RecordAdmin(ReadOnlyAdmin):
    """A list, and a page per row.

    `facts`: titled groups of field or method names, as in `list_display`. `pictures`: titles and names of methods that
    draw a section.
    """

    facts: ClassVar[Sequence[tuple[str, Sequence[str]]]] = ()
    pictures: ClassVar[Sequence[tuple[str, str]]] = ()
    buttons: ClassVar[Sequence[Button]] = ()

    def headline(self, row: Any) -> SafeString:
        """Badges beside the title."""
        return drawing.EMPTY

    def is_live(self, row: Any) -> bool:
        """Whether the page changes by itself at the moment."""
        return False

    def links(self, row: Any) -> list[tuple[str, str]]:
        """Further pages of this row: label and address."""
        return []

    def context(self, request: HttpRequest) -> dict[str, Any]:
        """What all templates of this class get."""
        return {**self.admin_site.each_context(request), "opts": self.opts, "is_popup": False, "media": self.media}

    def page_of(self, row: Any) -> str:
        return self._named("change", row)

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_do"
        return [
            path("<path:object_id>/do/<slug:button>/", self.admin_site.admin_view(self.button_view), name=name),
            *super().get_urls(),
        ]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        for button in self.buttons if _may_act(request) else ():
            if button.bulk:
                action = buttons.as_action(button)
                actions[f"do_{button.name}"] = (action, f"do_{button.name}", f"{button.label}…")
        return actions

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page; with `?fragment` only the part that changes, for live.js."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        row = self._found(request, object_id)
        if row is None:
            return self._missing(request, object_id)
        return TemplateResponse(
            request,
            "admin/cloudsite/record.html",
            {
                **self.context(request),
                **(extra_context or {}),
                "title": str(row),
                "original": row,
                "headline": self.headline(row),
                "fragment": "fragment" in request.GET,
                "every_ms": LIVE_EVERY_MS if self.is_live(row) else 0,
                "sections": self._sections(request, row),
                "page": self.page_of(row),
                "buttons": [(b, self._named("do", row, b.name)) for b in self.buttons if b.offered(row)]
                if _may_act(request)
                else [],
                "links": [*self.links(row), ("History", self._named("history", row))],
            },
        )

    def button_view(self, request: HttpRequest, object_id: str, button: str) -> HttpResponse:
        """Ask on GET, act on POST."""
        if not _may_act(request):
            raise PermissionDenied
        pressed = next((each for each in self.buttons if each.name == button), None)
        row = self._found(request, object_id)
        if row is None or pressed is None:
            return self._missing(request, object_id)
        form = None
        if pressed.form is not None:
            form = (
                pressed.form(request.POST) if request.method == "POST" else pressed.form(initial=pressed.initial(row))
            )
        if request.method != "POST" or (form is not None and not form.is_valid()):
            return buttons.ask(
                request, {**self.context(request), "page": self.page_of(row), "original": row}, pressed, [row], form
            )
        page = self.page_of(row)
        if buttons.press(request, pressed, row, form.cleaned_data if form else {}):
            self.log_change(request, row, pressed.label)
            if pressed.gone:
                page = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return HttpResponseRedirect(page)

    def _named(self, view: str, row: Any, *more: str) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}", args=[quote(row.pk), *more])

    def _found(self, request: HttpRequest, object_id: str) -> Any:
        row = self.get_object(request, unquote(object_id))
        if row is not None and not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def _missing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        messages.warning(request, f"There is no {self.opts.verbose_name} {unquote(object_id)} (any more).")
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))

    def _sections(self, request: HttpRequest, row: Any) -> list[Section]:
        placed = [(20, title, self._facts(row, names)) for title, names in self.facts]
        placed += [(20, title, getattr(self, method)(row)) for title, method in self.pictures]
        placed += [(place, title, draw(request, row)) for place, title, draw in _added.get(self.model, ())]
        placed.sort(key=lambda each: each[0])
        return [Section(title, body) for _, title, body in placed if body]

    def _facts(self, row: Any, names: Sequence[str]) -> SafeString:
        return drawing.facts(
            (capfirst(str(label_for_field(name, self.model, self))), self._value(row, name)) for name in names
        )

    def _value(self, row: Any, name: str) -> Any:
        field, method, value = lookup_field(name, row, self)
        if field is not None:
            return display_for_field(value, field, "")
        return display_for_value(value, "", boolean=getattr(method, "boolean", False))


def _may_act(request: HttpRequest) -> bool:
    """Buttons are for operators; the services check again."""
    return bool(getattr(request.user, "is_superuser", False))
