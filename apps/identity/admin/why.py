"""What may a user do there, and why? The page behind the button on a user's page."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from apps.common.admin.pages import Section
from apps.identity.admin.forms import ChosenByName
from apps.identity.models import Assignment, User


class WhyForm(forms.Form):
    """What is asked."""

    permission = forms.ChoiceField()
    project = ChosenByName(
        Assignment, "project", required=False, label="Project or domain", help_text="Empty: on the system."
    )


def answer(request: HttpRequest, user: User, context: dict[str, Any]) -> HttpResponse:
    """The form, and what it finds."""
    form = WhyForm(request.GET) if "permission" in request.GET else WhyForm()
    sections: list[Section] = []
    return TemplateResponse(
        request, "admin/cloudsite/why.html",
        {**context, "title": f"What may {user} do?", "label": "What may it do?", "form": form, "sections": sections},
    )
