"""One's own account: who one is and where, tokens, credentials of programs, access keys, the second factor, the password."""

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from apps.common.context import Actor, address_of
from apps.common.errors import CloudError, NotFound
from apps.identity import selectors
from apps.identity.api.authentication import PROJECT_IN_SESSION
from apps.identity.selectors import delegated
from apps.identity.services import access_keys, application_credentials, browsing, tokens, totp, users
from dashboard.account.forms import AccessKeyForm, ApplicationCredentialForm, ChangePasswordForm, CodeForm

# So many rows are shown; nobody reads more, and the API has them all.
_MOST = 100
Act = Callable[[HttpRequest, Actor], HttpResponseBase | None]


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class Page(View):
    """A page with forms. `do` in what is posted names the method `do_…`, which acts and says what became of it."""

    name: ClassVar[str]
    title: ClassVar[str]
    actor: Actor

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        user: Any = request.user
        try:
            self.actor = browsing.actor_of(
                user=user, chosen=request.session.get(PROJECT_IN_SESSION), address=address_of(request)
            )
            request.cloudsite_actor = self.actor  # type: ignore[attr-defined]  # limits and the audit trail look here
            return super().dispatch(request, *args, **kwargs)
        except CloudError as error:
            request.cloudsite_refusal = error  # type: ignore[attr-defined]
            messages.error(request, error.message)
            return redirect("account-start") if request.method == "GET" else redirect(f"account-{self.name}")

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.show(request)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        act: Act | None = getattr(self, f"do_{request.POST.get('do', '')}", None)
        if act is None:
            raise NotFound("page.unknown", "This page does not know what to do with that; open it anew.")
        return act(request, self.actor) or redirect(f"account-{self.name}")

    def show(self, request: HttpRequest, **more: Any) -> HttpResponse:
        """The page; `more` are forms with what is wrong in them, or secrets that are shown this once."""
        context = {
            "title": self.title, "site_header": "Cloudsite", "page": self.name, "actor": self.actor, **self.content(request), **more
        }
        return render(request, f"account/{self.name.replace('-', '_')}.html", context)

    def refuse(self, request: HttpRequest, error: CloudError, form: Any, **more: Any) -> HttpResponse:
        """The page with the form as it was filled in, and why it was refused."""
        request.cloudsite_refusal = error  # type: ignore[attr-defined]
        form.add_error(error.field if error.field in form.fields else None, error.message)
        return self.show(request, form=form, **more)

    def content(self, request: HttpRequest) -> dict[str, Any]:
        """What the template shows."""
        return {}


class Start(Page):
    """Who am I, and where."""

    name, title = "start", "Account"

    def content(self, request: HttpRequest) -> dict[str, Any]:
        user: Any = request.user
        mine = selectors.projects_with_a_role(user.pk).select_related("domain").order_by("name")
        return {
            "projects": list(mine[:_MOST]), "domain": user.domain.name, "second_factor": totp.is_on(actor=self.actor),
        }

    def do_switch(self, request: HttpRequest, actor: Actor) -> None:
        chosen = selectors.projects_with_a_role(_user_id(actor)).filter(pk=_id(request, "project_id")).first()
        if chosen is None:
            raise NotFound("project.not_found", "There is no such project of yours.")
        request.session[PROJECT_IN_SESSION] = str(chosen.pk)
        messages.success(request, f"You work in {chosen.name} now.")


class Tokens(Page):
    """Bearer tokens that work."""

    name, title = "tokens", "Tokens"

    def content(self, request: HttpRequest) -> dict[str, Any]:
        return {"tokens": list(selectors.tokens(actor=self.actor).order_by("-created_at")[:_MOST])}

    def do_revoke(self, request: HttpRequest, actor: Actor) -> None:
        tokens.revoke(actor=actor, token_id=_id(request, "id"))
        messages.success(request, "The token is void.")

    def do_revoke_all(self, request: HttpRequest, actor: Actor) -> None:
        messages.success(request, f"{tokens.revoke_all(actor=actor)} tokens are void.")


class ApplicationCredentials(Page):
    """Passwords of programs."""

    name, title = "application-credentials", "Application credentials"

    def content(self, request: HttpRequest) -> dict[str, Any]:
        rows = delegated.application_credentials(actor=self.actor).order_by("name")
        return {"credentials": list(rows[:_MOST]), "form": ApplicationCredentialForm(roles=self.actor.roles)}

    def do_create(self, request: HttpRequest, actor: Actor) -> HttpResponse:
        form = ApplicationCredentialForm(request.POST, roles=actor.roles)
        if not form.is_valid():
            return self.show(request, form=form)
        try:
            made = application_credentials.create(actor=actor, **form.wanted())
        except CloudError as error:
            return self.refuse(request, error, form)
        return self.show(request, made=made)

    def do_delete(self, request: HttpRequest, actor: Actor) -> None:
        application_credentials.delete(actor=actor, credential_id=_id(request, "id"))
        messages.success(request, "The application credential is deleted; what used it is out.")


class AccessKeys(Page):
    """Keys for EC2 and S3."""

    name, title = "access-keys", "Access keys"

    def content(self, request: HttpRequest) -> dict[str, Any]:
        rows = delegated.access_keys(actor=self.actor).order_by("-created_at")
        return {"keys": list(rows[:_MOST]), "form": AccessKeyForm()}

    def do_create(self, request: HttpRequest, actor: Actor) -> HttpResponse:
        form = AccessKeyForm(request.POST)
        if not form.is_valid():
            return self.show(request, form=form)
        try:
            made = access_keys.create(actor=actor, name=form.cleaned_data["name"])
        except CloudError as error:
            return self.refuse(request, error, form)
        return self.show(request, made=made)

    def do_delete(self, request: HttpRequest, actor: Actor) -> None:
        access_keys.delete(actor=actor, key_id=_id(request, "id"))
        messages.success(request, "The access key is deleted; what is signed with it is refused.")


class SecondFactor(Page):
    """A code from one's phone beside the password."""

    name, title = "second-factor", "Second factor"

    def content(self, request: HttpRequest) -> dict[str, Any]:
        return {"is_on": totp.is_on(actor=self.actor), "form": CodeForm()}

    def do_enrol(self, request: HttpRequest, actor: Actor) -> HttpResponse:
        return self.show(request, enrolment=totp.enrol(actor=actor))

    def do_confirm(self, request: HttpRequest, actor: Actor) -> HttpResponse | None:
        form = CodeForm(request.POST)
        try:
            totp.confirm(actor=actor, code=request.POST.get("code", ""))
        except CloudError as error:
            form.full_clean()
            return self.refuse(request, error, form, enrolment=totp.waiting(actor=actor))
        messages.success(request, "From now on signing in takes a code beside the password.")
        return None

    def do_remove(self, request: HttpRequest, actor: Actor) -> HttpResponse | None:
        form = CodeForm(request.POST)
        try:
            totp.remove(actor=actor, code=request.POST.get("code", ""), request=request)
        except CloudError as error:
            form.full_clean()
            return self.refuse(request, error, form)
        messages.success(request, "From now on the password is enough again.")
        return None


class Password(Page):
    """Another password."""

    name, title = "password", "Password"

    def content(self, request: HttpRequest) -> dict[str, Any]:
        return {"form": ChangePasswordForm(), "source": getattr(request.user, "source", "")}

    def do_change(self, request: HttpRequest, actor: Actor) -> HttpResponse | None:
        form = ChangePasswordForm(request.POST)
        if not form.is_valid():
            return self.show(request, form=form)
        old, new = form.cleaned_data["old_password"], form.cleaned_data["new_password"]
        user: Any = request.user
        try:
            users.change_password(actor=actor, user_id=user.pk, old=old, new=new, request=request)
        except CloudError as error:
            if error.field == "password":
                error.field = "new_password"
            elif error.kind == "unauthenticated":
                error.field = "old_password"
            return self.refuse(request, error, form)
        user.refresh_from_db()
        # All other sessions are out, since they hang on the old password; this one is not.
        update_session_auth_hash(request, user)
        messages.success(request, "The password is changed. All your tokens and other sessions have ended.")
        return None


def _id(request: HttpRequest, name: str) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get(name, ""))
    except ValueError:
        raise NotFound("page.unknown", "This page does not know what to do with that; open it anew.") from None


def _user_id(actor: Actor) -> uuid.UUID:
    assert actor.user_id is not None, "only the system itself has none, and it uses no browser"
    return actor.user_id
