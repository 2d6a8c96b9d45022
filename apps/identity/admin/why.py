"""What may a user do there, and why? The page behind the link on a user's page; `manage.py policy_check` says the same."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common.admin import access, buttons, drawing
from apps.common.admin.pages import Section
from apps.common.errors import CloudError
from apps.identity.admin.forms import ChosenByName, permission_choices
from apps.identity.models import Assignment, User
from apps.identity.services import explain
from apps.identity.services.explain import Verdict


def _choices() -> list[Any]:
    named = [(thing, [(name, f"{thing}.{text}") for name, text in options]) for thing, options in permission_choices()]
    return [("", "---------"), *named]


class WhyForm(forms.Form):
    """What is asked."""

    permission = forms.ChoiceField(choices=_choices)
    project = ChosenByName(Assignment, "project", required=False, label="Project or domain", help_text="Empty: on the system.")


def answer(request: HttpRequest, user: User, context: dict[str, Any]) -> HttpResponse:
    """The form, and what it finds."""
    form = WhyForm(request.GET) if "permission" in request.GET else WhyForm()
    sections = []
    if form.is_bound and form.is_valid():
        place = form.cleaned_data["project"]
        try:
            verdict = explain.explain(
                actor=access.actor_of(request), user_id=user.pk, permission=form.cleaned_data["permission"],
                place_id=place.pk if place else None,
            )
            sections.append(Section("Answer", _drawn(verdict)))
        except CloudError as error:
            access.refused(request, error)
            buttons.show_refusal(form, error)
    return TemplateResponse(
        request, "admin/cloudsite/why.html",
        {**context, "title": f"What may {user} do?", "label": "What may it do?", "form": form, "sections": sections},
    )


def _drawn(verdict: Verdict) -> SafeString:
    where = f"in {verdict.place}" if verdict.place else "on the system"
    sign = drawing.badge("yes", "good") if verdict.allowed else drawing.badge("no", "bad")
    may = "may" if verdict.allowed else "may not"
    said = format_html("<p>{} {} {} {} {}</p>", sign, verdict.user.username, may, drawing.code(verdict.permission), where)
    lists = ("because", verdict.because), ("would do", verdict.would_do), ("could be given by", verdict.givers)
    told = format_html_join("", "<h3>{}</h3>{}", ((title, drawing.stack(lines)) for title, lines in lists if lines))
    return format_html("{}{}", said, told)
