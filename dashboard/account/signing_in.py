"""Signing in by a browser: the password, then a code where one is needed, then a new password where the old one has expired.

Between these steps the session knows whose password was right, for a few minutes, and nothing else: nobody is signed in yet.
"""

from typing import Any

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from apps.common import clock
from apps.common.errors import CloudError
from apps.identity.services import browsing
from dashboard.account.forms import CodeForm, NewPasswordForm, SignInForm

_STEPS_IN_S = 300
_UNDER_WAY = "signing_in"


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class _Step(View):
    """One page with one form."""

    form_class: Any
    template = ""

    def show(self, request: HttpRequest, form: Any, **more: Any) -> HttpResponse:
        context = {"form": form, "title": "Log in", "site_header": "Cloudsite", "next": _target_asked(request), **more}
        return render(request, self.template, context)

    def refuse(self, request: HttpRequest, form: Any, error: CloudError, field: str | None = None) -> HttpResponse:
        request.cloudsite_refusal = error  # type: ignore[attr-defined]  # the audit trail looks here
        form.add_error(field if field in form.fields else None, error.message)
        return self.show(request, form)


class SignIn(_Step):
    """Also what the admin site and the browsable API show to who is not signed in."""

    form_class = SignInForm
    template = "account/login.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated and _may_enter(request.user, _target_asked(request)):
            return HttpResponseRedirect(_target_asked(request) or _home_of(request.user))
        return self.show(request, SignInForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = SignInForm(request.POST)
        if not form.is_valid():
            return self.show(request, form)
        try:
            user = browsing.password_step(username=form.cleaned_data["username"], password=form.cleaned_data["password"], request=request)
            return _go_on(request, user, ("password",), _target_asked(request))
        except CloudError as error:
            return self.refuse(request, form, error)


class Code(_Step):
    """The second factor."""

    form_class = CodeForm
    template = "account/code.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.show(request, CodeForm()) if _under_way(request) else redirect("account-login")

    def post(self, request: HttpRequest) -> HttpResponse:
        held, form = _under_way(request), CodeForm(request.POST)
        if held is None:
            return redirect("account-login")
        if not form.is_valid():
            return self.show(request, form)
        try:
            user = browsing.code_step(user_id=held["user"], code=form.cleaned_data["code"], request=request)
            user.backend = held["backend"]
            return _go_on(request, user, (*held["methods"], "totp"), held["target"])
        except CloudError as error:
            return self.refuse(request, form, error, "code")


class Expired(_Step):
    """The password was right, and too old."""

    form_class = NewPasswordForm
    template = "account/expired.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        held = _under_way(request)
        return self.show(request, NewPasswordForm()) if held and held["expired"] else redirect("account-login")

    def post(self, request: HttpRequest) -> HttpResponse:
        held, form = _under_way(request), NewPasswordForm(request.POST)
        if held is None or not held["expired"]:
            return redirect("account-login")
        if not form.is_valid():
            return self.show(request, form)
        try:
            user = browsing.new_password_step(user_id=held["user"], new=form.cleaned_data["new_password"], request=request)
            user.backend = held["backend"]
            return _enter(request, user, held["target"])
        except CloudError as error:
            return self.refuse(request, form, error, "new_password")


def home(request: HttpRequest) -> HttpResponse:
    """The bare address of the installation."""
    return HttpResponseRedirect(_home_of(request.user)) if request.user.is_authenticated else redirect("account-login")


def sign_out(request: HttpRequest) -> HttpResponse:
    """By POST only, so that no foreign page can do it."""
    if request.method == "POST":
        logout(request)
    return redirect("account-login")


def _go_on(request: HttpRequest, user: Any, methods: tuple[str, ...], target: str) -> HttpResponse:
    """To the next step, or in. Raises Unauthenticated if no step of these pages is enough."""
    missing = browsing.missing(user, methods)
    if not missing:
        return _enter(request, user, target)
    request.session[_UNDER_WAY] = {
        "user": str(user.pk), "backend": user.backend, "methods": list(methods), "target": target, "at": clock.now().timestamp(),
        "expired": missing == "new password",
    }
    return redirect("account-code" if missing == "code" else "account-expired")


def _enter(request: HttpRequest, user: Any, target: str) -> HttpResponse:
    request.session.pop(_UNDER_WAY, None)
    login(request, user)
    browsing.entered(user=user, address=str(request.META.get("REMOTE_ADDR", "")))
    return HttpResponseRedirect(target or _home_of(user))


def _under_way(request: HttpRequest) -> dict[str, Any] | None:
    held: dict[str, Any] | None = request.session.get(_UNDER_WAY)
    if held is None or clock.now().timestamp() - held["at"] > _STEPS_IN_S:
        request.session.pop(_UNDER_WAY, None)
        return None
    return held


def _target_asked(request: HttpRequest) -> str:
    asked = request.POST.get("next", request.GET.get("next", ""))
    fine = url_has_allowed_host_and_scheme(asked, {request.get_host()}, require_https=request.is_secure())
    return asked if fine and not asked.startswith(settings.LOGIN_URL) else ""


def _home_of(user: Any) -> str:
    """Where one begins: operators with the state of the installation, others with their account."""
    return reverse("admin:index" if getattr(user, "is_staff", False) else "account-start")


def _may_enter(user: Any, target: str) -> bool:
    """Whether that page would let this user in; if not, somebody else may want to sign in here."""
    return bool(getattr(user, "is_staff", False)) or not target.startswith(reverse("admin:index"))

