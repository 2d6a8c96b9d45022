"""`/auth/tokens`: issue, validate, check and revoke."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common import times
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity import catalog
from apis.openstack.identity.auth_request import Auth, proofs_of, scope_of
from apis.openstack.identity.service import View
from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import policy
from apps.identity.services import signin, tokens

if TYPE_CHECKING:
    from apps.identity.models import ApplicationCredential, Project, Token, User


class Tokens(View):
    """A token in `X-Subject-Token`: who it is, where it works."""

    permissions: ClassVar = {
        "GET": "identity.token.validate", "POST": "", "DELETE": "identity.token.revoke",
    }
    public: ClassVar = frozenset({"POST"})

    def post(self, call: Call) -> HttpResponse:
        auth = call.read(Auth, "auth")
        scope = scope_of(auth)
        proofs = proofs_of(auth, call.request)
        issued = signin.issue(proofs=proofs, scope=scope, request=call.request)
        content = render(issued.token, issued.actor, with_catalog="nocatalog" not in call.query)
        return reply({"token": content}, 201, {"X-Subject-Token": issued.secret})

    def get(self, call: Call) -> HttpResponse:
        secret = _subject(call)
        token, actor = tokens.validate(actor=call.actor, secret=secret, allow_expired=_truth(call.query.get("allow_expired", "")))
        content = render(token, actor, with_catalog="nocatalog" not in call.query)
        return reply({"token": content}, headers={"X-Subject-Token": secret})

    def delete(self, call: Call) -> HttpResponse:
        tokens.revoke_secret(actor=call.actor, secret=_subject(call))
        return nothing()


def render(token: "Token", actor: Actor, *, with_catalog: bool) -> dict[str, Any]:
    """A token as Identity shows it; what its scope has is there, what it has not is not."""
    content: dict[str, Any] = {
        "methods": token.methods, "user": _user(token.user), "audit_ids": token.audit_ids,
        "issued_at": times.render(token.created_at), "expires_at": times.render(token.expires_at),
    }
    project = token.project
    if token.system:
        content["system"] = {"all": True}
    elif project is not None and project.is_domain:
        content["domain"] = _named(project)
    elif project is not None:
        assert project.domain is not None
        content |= {"project": {**_named(project), "domain": _named(project.domain)}, "is_domain": False}
    if trust := token.trust:
        content["OS-TRUST:trust"] = {
            "id": trust.pk, "impersonation": trust.impersonation, "trustor_user": {"id": trust.trustor_id},
            "trustee_user": {"id": trust.trustee_id},
        }
    if credential := token.application_credential:
        content["application_credential"] = _credential(credential)
    if token.system or project is not None:
        content["roles"] = _roles(actor)
        if with_catalog:
            content["catalog"] = catalog.render(project_id=actor.project_id, user_id=actor.user_id)
    return content


def _user(user: "User") -> dict[str, Any]:
    assert user.domain is not None
    return {
        "id": user.pk, "name": user.username, "domain": _named(user.domain),
        "password_expires_at": times.render(user.password_expires_at),
    }


def _credential(credential: "ApplicationCredential") -> dict[str, Any]:
    content: dict[str, Any] = {"id": credential.pk, "name": credential.name, "restricted": not credential.unrestricted}
    rules = [
        {"id": rule.pk, "service": rule.service, "method": rule.method, "path": rule.path} for rule in credential.access_rules.all()
    ]
    return {**content, "access_rules": rules} if rules else content


def _named(place: "Project") -> dict[str, Any]:
    return {"id": place.pk, "name": place.name}


def _roles(actor: Actor) -> list[dict[str, Any]]:
    ids = {role.name: role.id for role in policy.definitions(policy.version()).values() if role.domain_id is None}
    return [{"id": ids[name], "name": name} for name in actor.roles if name in ids]


def _subject(call: Call) -> str:
    secret = call.request.headers.get("X-Subject-Token", "").strip()
    if not secret:
        raise NotFound("token.not_found", "Could not find token: send it as X-Subject-Token.")
    return secret


def _truth(text: str) -> bool:
    return text.lower() in {"1", "t", "true", "on", "y", "yes"}


urlpatterns = [path("auth/tokens", Tokens.as_view())]
