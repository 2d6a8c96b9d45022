"""Tokens over HTTP: by password and by token, for every scope; validated, checked and revoked."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.identity import builtin
from apps.identity.models import Project, ProjectAncestor, Token, User
from tests.api.openstack.kit import Answer, Keystone, by_password, of, signed_in
from tests.support.cloud import make_project
from tests.support.identity import PASSWORD, give, make_user

pytestmark = pytest.mark.django_db
DEFAULT = {"id": str(builtin.DEFAULT_DOMAIN_ID), "name": "Default"}
SYSTEM = {"system": {"all": True}}
UNKNOWN = "The request you have made requires authentication."


@pytest.fixture
def project() -> Project:
    return make_project("red")


@pytest.fixture
def ann(project: Project) -> User:
    """A member of the project, and of nothing else."""
    return make_user("ann", project)


@pytest.fixture
def root() -> User:
    """An operator: admin on the system."""
    return make_user("root", operator=True)


@pytest.fixture
def domain() -> Project:
    """A second domain."""
    made = Project.objects.create(name="blue", is_domain=True)
    ProjectAncestor.objects.create(project=made, ancestor=made, depth=0)
    return made


def ask(identity: dict[str, Any], scope: Any = None) -> Answer:
    return Keystone().post("auth/tokens", {"auth": {"identity": identity, **({} if scope is None else {"scope": scope})}})


def token_of(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = answer.ok(201)["token"]
    return found


def role_names(token: dict[str, Any]) -> set[str]:
    return {role["name"] for role in token["roles"]}


def test_a_password_becomes_a_token_of_a_project(ann: User, project: Project) -> None:
    answer = Keystone().sign_in(ann, of(project))
    token = token_of(answer)
    assert answer.headers["X-Subject-Token"].startswith("cs1_")
    assert token["methods"] == ["password"]
    assert token["user"] == {"id": str(ann.pk), "name": "ann", "domain": DEFAULT, "password_expires_at": None}
    assert token["project"] == {"id": str(project.pk), "name": "red", "domain": DEFAULT}
    assert token["is_domain"] is False
    assert role_names(token) == {"member", "reader"}
    assert {role["id"] for role in token["roles"]} == {str(builtin.ROLE_IDS[builtin.Role(name)]) for name in ("member", "reader")}
    assert len(token["audit_ids"]) == 1
    assert not {"system", "domain", "OS-TRUST:trust", "application_credential"} & set(token)


def test_times_have_microseconds_and_end_in_z(ann: User, project: Project) -> None:
    token = token_of(Keystone().sign_in(ann, of(project)))
    issued, expires = (datetime.strptime(token[name], "%Y-%m-%dT%H:%M:%S.%fZ") for name in ("issued_at", "expires_at"))  # noqa: DTZ007
    assert expires - issued == timedelta(hours=24)


def test_users_and_projects_are_found_by_id_and_by_name_in_a_domain(ann: User, project: Project) -> None:
    domains: list[dict[str, str]] = [{"id": "default"}, {"name": "Default"}, {"id": str(builtin.DEFAULT_DOMAIN_ID)}, {"id": builtin.DEFAULT_DOMAIN_ID.hex}]
    for domain in domains:
        by_name = {"project": {"name": "red", "domain": domain}}
        assert token_of(ask(by_password({"name": "ann", "domain": domain}), by_name))["project"]["id"] == str(project.pk)
    by_id = {"project": {"id": project.pk.hex}}
    assert token_of(ask(by_password({"id": ann.pk.hex}), by_id))["project"]["id"] == str(project.pk)


def test_a_token_of_a_domain_shows_the_domain(ann: User, domain: Project) -> None:
    give(ann, "admin", domain)
    for scope in ({"domain": {"id": str(domain.pk)}}, {"domain": {"name": "blue"}}):
        token = token_of(Keystone().sign_in(ann, scope))
        assert token["domain"] == {"id": str(domain.pk), "name": "blue"}
        assert role_names(token) == {"admin", "member", "operator", "reader"}
        assert "project" not in token


def test_a_token_of_the_system_shows_the_system(root: User) -> None:
    token = token_of(Keystone().sign_in(root, SYSTEM))
    assert token["system"] == {"all": True}
    assert role_names(token) == {"admin", "member", "operator", "reader"}
    assert "project" not in token and "domain" not in token


@pytest.mark.parametrize("scope", ["unscoped", {"unscoped": {}}])
def test_unscoped_is_what_is_asked_for_in_spite_of_a_default_project(ann: User, project: Project, scope: Any) -> None:
    User.objects.filter(pk=ann.pk).update(default_project_id=project.pk)
    token = token_of(Keystone().sign_in(ann, scope))
    assert not {"project", "roles", "catalog", "is_domain"} & set(token)


def test_without_a_scope_it_is_the_default_project_if_one_may_work_there(ann: User, project: Project) -> None:
    other = make_project("green")
    assert "project" not in token_of(Keystone().sign_in(ann))
    for default, expected in ((project.pk, str(project.pk)), (other.pk, None), (uuid.uuid4(), None)):
        User.objects.filter(pk=ann.pk).update(default_project_id=default)
        assert token_of(Keystone().sign_in(ann)).get("project", {}).get("id") == expected
    User.objects.filter(pk=ann.pk).update(default_project_id=project.pk)
    Project.objects.filter(pk=project.pk).update(enabled=False)
    assert "project" not in token_of(Keystone().sign_in(ann))


def test_the_catalog_has_what_is_there_and_can_be_left_out(ann: User, project: Project) -> None:
    catalog = {each["type"]: each for each in token_of(Keystone().sign_in(ann, of(project)))["catalog"]}
    service = catalog.pop("identity")
    assert service["name"] == "keystone"
    assert [(kind, each["name"], each["endpoints"][0]["url"]) for kind, each in catalog.items()] == [
        ("placement", "placement", "http://127.0.0.1:8600/placement"),
    ]
    [endpoint] = service["endpoints"]
    assert endpoint["url"] == "http://127.0.0.1:8600/identity/v3"
    assert (endpoint["interface"], endpoint["region"], endpoint["region_id"]) == ("public", "RegionOne", "RegionOne")
    answer = Keystone().sign_in(ann, of(project), query="?nocatalog")
    assert "catalog" not in token_of(answer)
    here = Keystone(answer.headers["X-Subject-Token"])
    subject = {"X-Subject-Token": here.token}
    assert "catalog" in here.get("auth/tokens", headers=subject).ok()["token"]
    assert "catalog" not in here.get("auth/tokens?nocatalog", headers=subject).ok()["token"]


def test_whatever_is_wrong_the_answer_is_the_same(ann: User, project: Project, domain: Project) -> None:
    other, nowhere = make_project("green"), str(uuid.uuid4())
    attempts: list[tuple[dict[str, Any], Any]] = [
        (by_password({"id": str(ann.pk)}, "wrong"), of(project)),
        (by_password({"id": str(ann.pk)}, ""), of(project)),
        (by_password({"name": "ann", "domain": {"name": "Default"}}, "wrong"), None),
        (by_password({"name": "nobody", "domain": {"name": "Default"}}), None),
        (by_password({"name": "ann", "domain": {"name": "blue"}}), None),
        (by_password({"name": "ann", "domain": {"name": "no such domain"}}), None),
        (by_password({"name": "ann", "domain": {"id": "no-such-id"}}), None),
        (by_password({"id": nowhere}), None),
        (by_password({"id": "ann"}), None),
        ({"methods": ["password"], "password": {"user": {"id": str(ann.pk)}}}, None),
        (by_password({"id": str(ann.pk)}), of(other)),
        (by_password({"id": str(ann.pk)}), {"project": {"id": nowhere}}),
        (by_password({"id": str(ann.pk)}), {"project": {"id": "red"}}),
        (by_password({"id": str(ann.pk)}), {"project": {"id": str(domain.pk)}}),
        (by_password({"id": str(ann.pk)}), {"project": {"name": "nothing", "domain": {"id": "default"}}}),
        (by_password({"id": str(ann.pk)}), {"project": {"name": "red", "domain": {"name": "blue"}}}),
        (by_password({"id": str(ann.pk)}), {"domain": {"id": str(domain.pk)}}),
        (by_password({"id": str(ann.pk)}), {"domain": {"name": "no such domain"}}),
        (by_password({"id": str(ann.pk)}), SYSTEM),
        (by_password({"id": str(ann.pk)}), {"OS-TRUST:trust": {"id": nowhere}}),
        ({"methods": ["token"], "token": {"id": "nonsense"}}, of(project)),
        ({"methods": ["token"], "token": {"id": ""}}, of(project)),
    ]
    for identity, scope in attempts:
        answer = ask(identity, scope)
        assert answer.refused(401) == UNKNOWN, (identity, scope)
        assert "X-Subject-Token" not in answer.headers


def test_disabled_means_out(ann: User, project: Project, domain: Project) -> None:
    moved = make_user("bob")
    User.objects.filter(pk=moved.pk).update(domain_id=domain.pk)
    token_of(Keystone().sign_in(moved))
    Project.objects.filter(pk=domain.pk).update(enabled=False)
    assert Keystone().sign_in(moved).refused(401) == UNKNOWN
    Project.objects.filter(pk=project.pk).update(enabled=False)
    assert Keystone().sign_in(ann, of(project)).refused(401) == UNKNOWN
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert Keystone().sign_in(ann).refused(401) == UNKNOWN


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ({"methods": []}, "methods"),
        ({"methods": "password"}, "methods"),
        ({"methods": ["password"]}, "password"),
        ({"methods": ["token"], "token": {}}, "id"),
        ({"methods": ["password"], "password": {}}, "user"),
        ({"methods": ["password"], "password": {"user": {"password": "x"}}}, "id or name"),
        ({"methods": ["password"], "password": {"user": {"name": "ann", "password": "x"}}}, "domain"),
        ({"methods": ["password"], "password": {"user": {"name": "ann", "domain": {}, "password": "x"}}}, "id or name"),
        ({"methods": ["password"], "password": {"user": {"name": 7, "domain": {"id": "default"}}}}, "name"),
        ({"methods": ["application_credential"], "application_credential": {"secret": "x"}}, "name or ID"),
        ({"methods": ["application_credential"], "application_credential": {"name": "x", "secret": "x"}}, "user"),
    ],
)
def test_a_malformed_proof_is_told_what_is_missing(identity: dict[str, Any], said: str) -> None:
    assert said in ask(identity).refused(400)


@pytest.mark.parametrize(
    "scope",
    [
        {}, "everything", [], 7, {"galaxy": {}}, {"project": {}}, {"project": {"name": "red"}}, {"domain": {}},
        {"system": {}}, {"system": {"all": False}}, {"system": {"all": "yes"}}, {"OS-TRUST:trust": {}},
        {"project": {"id": "x"}, "domain": {"id": "default"}}, {"project": {"name": "red", "domain": {}}},
        {"project": {"id": "x"}, "unscoped": {}},
    ],
)
def test_a_malformed_scope_is_refused_before_any_password_is_looked_at(ann: User, scope: Any) -> None:
    Keystone().sign_in(ann, scope).refused(400)
    Keystone().sign_in(ann, scope, password="wrong").refused(400)


def test_a_method_that_nobody_knows_is_told_the_known_ones() -> None:
    answer = ask({"methods": ["saml2"], "saml2": {}})
    assert answer.refused(401) == "Attempted to authenticate with an unsupported method."
    assert {"password", "token", "totp", "application_credential"} <= set(answer.json["error"]["identity"]["methods"])


def test_a_token_becomes_another_of_another_project_and_no_longer_life(ann: User, project: Project) -> None:
    green = make_project("green")
    give(ann, "reader", green)
    first = Keystone().sign_in(ann, of(project))
    second = ask({"methods": ["token"], "token": {"id": first.headers["X-Subject-Token"]}}, of(green))
    old, new = token_of(first), token_of(second)
    assert new["project"]["id"] == str(green.pk)
    assert role_names(new) == {"reader"}
    assert new["expires_at"] == old["expires_at"]
    assert set(new["methods"]) == {"password", "token"}
    assert len(new["audit_ids"]) == 2 and new["audit_ids"][1] == old["audit_ids"][0]
    third = token_of(ask({"methods": ["token"], "token": {"id": second.headers["X-Subject-Token"]}}, of(project)))
    assert third["audit_ids"][1] == old["audit_ids"][0]


def test_two_methods_must_both_prove_and_prove_the_same_user(ann: User, project: Project) -> None:
    bob = make_user("bob", project)
    secret = Keystone().sign_in(ann).headers["X-Subject-Token"]

    def both(user: User, password: str = PASSWORD) -> Answer:
        identity = {**by_password({"id": str(user.pk)}, password), "methods": ["password", "token"], "token": {"id": secret}}
        return ask(identity, of(project))

    assert set(token_of(both(ann))["methods"]) == {"password", "token"}
    assert both(ann, "wrong").refused(401) == UNKNOWN
    assert both(bob).refused(401) == UNKNOWN


def test_one_can_ask_what_ones_own_token_is_good_for(ann: User, project: Project) -> None:
    issued = Keystone().sign_in(ann, of(project))
    here = Keystone(issued.headers["X-Subject-Token"])
    subject = {"X-Subject-Token": here.token}
    shown = here.get("auth/tokens", headers=subject)
    assert shown.ok() == issued.json
    assert shown.headers["X-Subject-Token"] == here.token
    checked = here.head("auth/tokens", headers=subject)
    assert checked.status == 200 and checked.content == b"" and checked.headers["X-Subject-Token"] == here.token


def test_tokens_of_others_are_for_those_who_may(ann: User, root: User, project: Project) -> None:
    bob = make_user("bob", project, "admin")
    theirs = {"X-Subject-Token": signed_in(ann, of(project)).token}
    for method in ("GET", "DELETE"):
        message = signed_in(bob, of(project))(method, "auth/tokens", headers=theirs)
        assert message.status in (403, 404)
    operator = signed_in(root, SYSTEM)
    assert operator.get("auth/tokens", headers=theirs).ok()["token"]["user"]["name"] == "ann"
    assert operator.delete("auth/tokens", headers=theirs).status == 204
    operator.get("auth/tokens", headers=theirs).refused(404)


def test_a_revoked_token_is_good_for_nothing_at_once(ann: User, project: Project) -> None:
    kept, ended = signed_in(ann, of(project)), signed_in(ann, of(project))
    subject = {"X-Subject-Token": ended.token}
    answer = kept.delete("auth/tokens", headers=subject)
    assert answer.status == 204 and answer.content == b"" and "Content-Type" not in answer.headers
    assert ended.get("auth/projects").refused(401) == UNKNOWN
    for method in ("GET", "DELETE"):
        kept(method, "auth/tokens", headers=subject).refused(404)
    assert kept.head("auth/tokens", headers=subject).status == 404
    ask({"methods": ["token"], "token": {"id": ended.token}}).refused(401)
    assert kept.delete("auth/tokens", headers={"X-Subject-Token": kept.token}).status == 204
    kept.get("auth/projects").refused(401)


def test_an_expired_token_is_not_found_unless_expired_ones_are_asked_for(ann: User, root: User, project: Project) -> None:
    old, operator = signed_in(ann, of(project)), signed_in(root, SYSTEM)
    past = Token.objects.get(user=ann).created_at - timedelta(hours=1)
    Token.objects.filter(user=ann).update(expires_at=past)
    subject = {"X-Subject-Token": old.token}
    assert old.get("auth/projects").refused(401) == UNKNOWN
    operator.get("auth/tokens", headers=subject).refused(404)
    assert operator.get("auth/tokens?allow_expired=1", headers=subject).ok()["token"]["user"]["name"] == "ann"
    operator.get("auth/tokens?allow_expired=0", headers=subject).refused(404)


@pytest.mark.parametrize("subject", [{}, {"X-Subject-Token": ""}, {"X-Subject-Token": "nonsense"}, {"X-Subject-Token": "x" * 5000}])
def test_no_secret_is_repeated_where_a_token_is_not_found(ann: User, subject: dict[str, str]) -> None:
    here = signed_in(ann)
    for method in ("GET", "DELETE"):
        message = here(method, "auth/tokens", headers=subject).refused(404)
        assert not subject.get("X-Subject-Token") or subject["X-Subject-Token"] not in message


def test_a_bearer_header_is_as_good_as_x_auth_token(ann: User, project: Project) -> None:
    here = signed_in(ann, of(project))
    assert Keystone().get("auth/projects", headers={"Authorization": f"Bearer {here.token}"}).ok()["projects"]
