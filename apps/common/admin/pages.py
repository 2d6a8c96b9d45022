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

from apps.common.admin import access, buttons, drawing
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.lists import ReadOnlyAdmin
from apps.common.errors import CloudError

# How often a page with an open operation is drawn anew; see dashboard/static/dashboard/live.js.
LIVE_EVERY_MS = 2000


@dataclass(frozen=True)
class Section:
    """A titled part of a page; left out when `body` is empty."""

    title: str
    body: SafeString


Draw = Callable[[HttpRequest, Any], SafeString]
_added: dict[type[Model], list[tuple[int, str, Draw, str]]] = {}
_links: list[tuple[str, Callable[[Any], str], str]] = []


def add_section(model: type[Model], title: str, draw: Draw, *, place: int = 50, permission: str = "") -> None:
    """Show `draw(request, row)` on the pages of `model`; a lower `place` is nearer to the top, facts are at 20.

    `permission`: who sees it, if it takes more than to see the page.
    """
    _added.setdefault(model, []).append((place, title, draw, permission))


def add_link(label: str, address: Callable[[Any], str], *, permission: str) -> None:
    """Show a link to `address(row)` on the pages of all models, to those who have the permission."""
    _links.append((label, address, permission))


class RecordAdmin(ReadOnlyAdmin):
    """A list, and a page per row.

    `facts`: titled groups of field or method names, as in `list_display`. `pictures`: titles and names of methods that
    draw a section. `creation`: the form of a new row.
    """

    facts: ClassVar[Sequence[tuple[str, Sequence[str]]]] = ()
    pictures: ClassVar[Sequence[tuple[str, str]]] = ()
    buttons: ClassVar[Sequence[Button]] = ()
    creation: ClassVar[Creation | None] = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.creation is not None and access.may(request, self.creation.permission)

    def headline(self, row: Any) -> SafeString:
        """Badges beside the title."""
        return drawing.EMPTY

    def is_live(self, row: Any) -> bool:
        """Whether the page changes by itself at the moment."""
        return False

    def links(self, request: HttpRequest, row: Any) -> list[tuple[str, str]]:
        """Further pages of this row: label and address."""
        return []

    def context(self, request: HttpRequest) -> dict[str, Any]:
        """What all templates of this class get."""
        return {**self.admin_site.each_context(request), "opts": self.opts, "is_popup": False, "media": self.media}

    @property
    def list_page(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

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
        for button in self.buttons:
            if button.bulk and buttons.may_press(request, button):
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
                "buttons": [
                    (button, self._named("do", row, button.name))
                    for button in self.buttons
                    if not button.in_table and button.offered(row) and buttons.may_press(request, button)
                ],
                "links": [
                    *self.links(request, row),
                    *((label, address(row)) for label, address, permission in _links if access.may(request, permission)),
                ],
            },
        )

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form of a new row, with what the address says filled in; the service makes it."""
        creation = self.creation
        if creation is None:
            raise PermissionDenied
        access.require(request, creation.permission)
        form = creation.form(request.POST) if request.method == "POST" else creation.form(initial=request.GET.dict())
        if request.method == "POST" and form.is_valid():
            try:
                made = creation.run(access.actor_of(request), form.cleaned_data)
            except CloudError as error:
                access.refused(request, error)
                buttons.show_refusal(form, error)
            else:
                messages.success(request, f"The {self.opts.verbose_name} {made} is there.")
                return HttpResponseRedirect(self.page_of(made))
        context = {**self.context(request), "title": f"New {self.opts.verbose_name}", "cancel": self.list_page}
        return buttons.ask_for(request, context, creation, form)

    def button_view(self, request: HttpRequest, object_id: str, button: str) -> HttpResponse:
        """Ask on GET, with what the address says filled in; act on POST."""
        pressed = next((each for each in self.buttons if each.name == button), None)
        row = self._found(request, object_id)
        if row is None or pressed is None:
            return self._missing(request, object_id)
        access.require(request, pressed.permission)
        page, form = self.page_of(row), None
        if pressed.form is not None and request.method == "POST":
            form = pressed.form(request.POST)
        elif pressed.form is not None:
            form = pressed.form(initial={**pressed.initial(row), **request.GET.dict()})
        if request.method == "POST" and (form is None or form.is_valid()):
            if buttons.press(request, pressed, row, form):
                return HttpResponseRedirect(self.list_page if pressed.gone else page)
            if form is None:
                return HttpResponseRedirect(page)
        context = {**self.context(request), "page": page, "original": row}
        return buttons.ask(request, context, pressed, [row], form)

    def _named(self, view: str, row: Any, *more: str) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}", args=[quote(row.pk), *more])

    def _found(self, request: HttpRequest, object_id: str) -> Any:
        row = self.get_object(request, unquote(object_id))
        if row is not None and not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def _missing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        messages.warning(request, f"There is no {self.opts.verbose_name} {unquote(object_id)} (any more).")
        return HttpResponseRedirect(self.list_page)

    def _sections(self, request: HttpRequest, row: Any) -> list[Section]:
        placed = [(20, title, self._facts(row, names)) for title, names in self.facts]
        placed += [(20, title, getattr(self, method)(row)) for title, method in self.pictures]
        placed += [
            (place, title, draw(request, row))
            for place, title, draw, permission in _added.get(self.model, ())
            if not permission or access.may(request, permission)
        ]
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
