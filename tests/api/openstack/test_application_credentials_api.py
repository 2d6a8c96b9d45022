"""Application credentials and their access rules over Identity v3."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from apps.audit.models import Record
from apps.common import clock
from apps.identity import builtin
from apps.identity.models import ApplicationCredential, Project, User
from tests.api.openstack.kit import Answer, Keystone, of, signed_in
from tests.support.cloud import make_project
from tests.support.identity import give, make_user

pytestmark = pytest.mark.django_db
BASE = "http://127.0.0.1:8600/identity/v3"


@pytest.fixture
def project() -> Project:
    return make_project("red")


@pytest.fixture
def ann(project: Project) -> User:
    return make_user("ann", project)


@pytest.fixture
def here(ann: User, project: Project) -> Keystone:
    """Ann, working in the project."""
    return signed_in(ann, of(project))


def at(user: User, *rest: object) -> str:
    return "/".join(["users", str(user.pk), "application_credentials", *map(str, rest)])


def create(client: Keystone, user: User, **given: Any) -> Answer:
    return client.post(at(user), {"application_credential": {"name": "ci", **given}})


def token_by(made: dict[str, Any], secret: str = "") -> Answer:
    proof = {"id": made["id"], "secret": secret or made["secret"]}
    identity = {"methods": ["application_credential"], "application_credential": proof}
    return Keystone().post("auth/tokens", {"auth": {"identity": identity}})


def test_one_that_is_made_says_all_about_itself(here: Keystone, ann: User, project: Project) -> None:
    made = create(here, ann, description="for the pipeline").ok(201)["application_credential"]
    assert len(made.pop("secret")) >= 43
    roles = made.pop("roles")
    assert {role["name"] for role in roles} == {"member", "reader"}
    assert all(set(role) == {"id", "name", "domain_id", "description", "options"} for role in roles)
    assert made == {
        "id": made["id"], "name": "ci", "description": "for the pipeline", "project_id": str(project.pk), "user_id": str(ann.pk),
        "unrestricted": False, "expires_at": None, "system": None, "links": {"self": f"{BASE}/{at(ann, made['id'])}"},
    }


def test_the_secret_is_shown_once_and_is_nowhere_else(here: Keystone, ann: User) -> None:
    made = create(here, ann).ok(201)["application_credential"]
    assert token_by(made).status == 201
    for path in (at(ann), at(ann, made["id"])):
        answer = here.get(path)
        assert made["secret"].encode() not in answer.content and b"secret" not in answer.content
    assert made["secret"] not in str(list(ApplicationCredential.objects.values()))
    assert made["secret"] not in str(list(Record.objects.values()))


def test_a_secret_of_ones_own_is_taken(here: Keystone, ann: User) -> None:
    made = create(here, ann, secret="something long enough 7").ok(201)["application_credential"]
    assert made["secret"] == "something long enough 7"
    assert token_by(made).status == 201
    token_by(made, "something else 77").refused(401)


def test_roles_are_named_by_id_or_by_name_and_bring_what_they_imply(here: Keystone, ann: User) -> None:
    reader = str(builtin.ROLE_IDS[builtin.Role.READER])
    for number, roles in enumerate(([{"id": reader}], [{"name": "reader"}], [{"id": reader.replace("-", "")}])):
        made = create(here, ann, name=f"r{number}", roles=roles).ok(201)["application_credential"]
        assert [role["name"] for role in made["roles"]] == ["reader"]
        assert [role["name"] for role in token_by(made).ok(201)["token"]["roles"]] == ["reader"]
    made = create(here, ann, name="m", roles=[{"name": "member"}]).ok(201)["application_credential"]
    assert {role["name"] for role in made["roles"]} == {"member", "reader"}
    assert "roles" in create(here, ann, name="x", roles=[{"name": "admin"}]).refused(400)


@pytest.mark.parametrize("text", ["{:%Y-%m-%dT%H:%M:%S}", "{:%Y-%m-%dT%H:%M:%SZ}", "{:%Y-%m-%dT%H:%M:%S.%fZ}", "{:%Y-%m-%dT%H:%M:%S+00:00}"])
def test_an_end_is_a_time_in_utc_unless_it_says_otherwise(here: Keystone, ann: User, text: str) -> None:
    ends = (clock.now() + timedelta(days=1)).replace(microsecond=0)
    made = create(here, ann, expires_at=text.format(ends)).ok(201)["application_credential"]
    assert made["expires_at"] == f"{ends:%Y-%m-%dT%H:%M:%S}.000000Z"
    assert token_by(made).status == 201
    ApplicationCredential.objects.update(expires_at=clock.now() - timedelta(seconds=1))
    token_by(made).refused(401)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""}, {"name": " "}, {"name": "x" * 256}, {"name": None}, {"name": 7}, {"name": "a\nb"},
        {"secret": 7}, {"secret": "short"}, {"description": 7}, {"description": "x" * 5000},
        {"expires_at": "tomorrow"}, {"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": ""}, {"expires_at": 7},
        {"expires_at": "0001-01-01T00:00:00+14:00"}, {"expires_at": "2026-13-01T00:00:00"},
        {"roles": "reader"}, {"roles": [{}]}, {"roles": [{"name": "nothing"}]}, {"roles": [{"id": "x", "more": 1}]}, {"roles": [7]},
        {"unrestricted": "true"}, {"unrestricted": 1},
        {"access_rules": [{}]}, {"access_rules": [{"path": "/x", "method": "GET"}]}, {"access_rules": "x"},
        {"access_rules": [{"path": "x", "method": "GET", "service": "compute"}]},
        {"access_rules": [{"path": "/x", "method": "TRACE", "service": "compute"}]},
        {"access_rules": [{"path": "/x", "method": "GET", "service": "a b"}]},
        {"access_rules": [{"path": "/" + "x" * 300, "method": "GET", "service": "compute"}]},
        {"unknown": True},
    ],
)
def test_what_is_malformed_is_refused(here: Keystone, ann: User, wrong: dict[str, Any]) -> None:
    create(here, ann, **wrong).refused(400)
    assert not ApplicationCredential.objects.exists()


@pytest.mark.parametrize("body", [{}, {"application_credential": {}}, {"application_credential": []}, {"application_credential": None}])
def test_a_body_without_one_is_refused(here: Keystone, ann: User, body: Any) -> None:
    here.post(at(ann), body).refused(400)


def test_null_is_the_same_as_nothing(here: Keystone, ann: User) -> None:
    nothing = dict.fromkeys(("secret", "description", "expires_at", "roles", "unrestricted", "access_rules", "project_id", "system"))
    assert create(here, ann, **nothing).ok(201)["application_credential"]["unrestricted"] is False


def test_a_name_is_taken_once_per_user(here: Keystone, ann: User, project: Project) -> None:
    create(here, ann).ok(201)
    create(here, ann).refused(409)
    bob = make_user("bob", project)
    create(signed_in(bob, of(project)), bob).ok(201)


def test_it_needs_a_project(ann: User) -> None:
    create(signed_in(ann), ann).refused(400)


def test_lists_are_filtered_by_name(here: Keystone, ann: User) -> None:
    for name in ("one", "two"):
        create(here, ann, name=name).ok(201)
    content = here.get(at(ann)).ok()
    assert {each["name"] for each in content["application_credentials"]} == {"one", "two"}
    assert content["links"] == {"self": f"{BASE}/{at(ann)}", "next": None, "previous": None}
    assert [each["name"] for each in here.get(f"{at(ann)}?name=two").ok()["application_credentials"]] == ["two"]
    assert here.get(f"{at(ann)}?name=three").ok()["application_credentials"] == []
    assert here.head(at(ann)).status == 200


def test_a_deleted_one_and_its_tokens_are_void_at_once(here: Keystone, ann: User) -> None:
    made = create(here, ann).ok(201)["application_credential"]
    client = Keystone(token_by(made).headers["X-Subject-Token"])
    assert client.get("auth/projects").status == 200
    answer = here.delete(at(ann, made["id"]))
    assert answer.status == 204 and answer.content == b""
    assert here.get(at(ann, made["id"])).refused(404) == f"Could not find Application Credential: {made['id']}."
    here.delete(at(ann, made["id"])).refused(404)
    client.get("auth/projects").refused(401)
    token_by(made).refused(401)


def test_what_is_no_id_is_not_found_and_it_is_never_changed(here: Keystone, ann: User) -> None:
    made = create(here, ann).ok(201)["application_credential"]
    for key in ("ci", str(uuid.uuid4())):
        here.get(at(ann, key)).refused(404)
    for method in ("PATCH", "PUT"):
        answer = here(method, at(ann, made["id"]), {"application_credential": {"name": "other"}})
        answer.refused(405)
        assert answer.headers["Allow"] == "GET, DELETE, HEAD, OPTIONS"


def test_those_of_others_are_not_there(here: Keystone, ann: User, project: Project) -> None:
    made = create(here, ann).ok(201)["application_credential"]
    bob = make_user("bob", project, "admin")
    client = signed_in(bob, of(project))
    for path in (at(ann, made["id"]), at(bob, made["id"])):
        client.get(path).refused(404)
        client.delete(path).refused(404)
    assert client.get(at(ann)).refused(403).startswith("You are not authorized to perform the requested action: ")
    create(client, ann).refused(403)
    here.get(at(bob, made["id"])).refused(404)
    assert here.get(at(ann, made["id"])).status == 200


def test_roles_on_the_system_reach_those_of_others_but_make_none_for_them(here: Keystone, ann: User, project: Project) -> None:
    made = create(here, ann).ok(201)["application_credential"]
    root, auditor = make_user("root", project, operator=True), make_user("auditor")
    give(auditor, "reader")
    system = {"system": {"all": True}}
    for user in (root, auditor):
        client = signed_in(user, system)
        assert [each["id"] for each in client.get(at(ann)).ok()["application_credentials"]] == [made["id"]]
        assert client.get(at(ann, made["id"])).status == 200
        client.get(at(user, made["id"])).refused(404)
    create(signed_in(root, of(project)), ann, name="two").refused(403)
    signed_in(auditor, system).delete(at(ann, made["id"])).refused(404)
    assert signed_in(root, system).delete(at(ann, made["id"])).status == 204


def test_a_restricted_one_makes_and_deletes_none_and_an_unrestricted_one_within_its_own_limits(here: Keystone, ann: User) -> None:
    restricted = create(here, ann).ok(201)["application_credential"]
    client = Keystone(token_by(restricted).headers["X-Subject-Token"])
    create(client, ann, name="two").refused(403)
    client.delete(at(ann, restricted["id"])).refused(403)
    assert client.get(at(ann, restricted["id"])).status == 200
    free = create(here, ann, name="free", unrestricted=True, roles=[{"name": "reader"}]).ok(201)["application_credential"]
    client = Keystone(token_by(free).headers["X-Subject-Token"])
    create(client, ann, name="more", roles=[{"name": "member"}]).refused(400)
    assert [role["name"] for role in create(client, ann, name="same").ok(201)["application_credential"]["roles"]] == ["reader"]
    assert client.delete(at(ann, restricted["id"])).status == 204


RULE = {"service": "identity", "method": "GET", "path": "/v3/auth/projects"}


def test_access_rules_are_shown_kept_and_used_again(here: Keystone, ann: User) -> None:
    made = create(here, ann, access_rules=[RULE]).ok(201)["application_credential"]
    [rule] = made["access_rules"]
    assert rule == {"id": rule["id"], **RULE}
    path = f"users/{ann.pk}/access_rules"
    shown = {**rule, "links": {"self": f"{BASE}/{path}/{rule['id']}"}}
    assert here.get(path).ok()["access_rules"] == [shown]
    assert here.get(f"{path}/{rule['id']}").ok() == {"access_rule": shown}
    for more in (dict(RULE), {"id": rule["id"]}):
        again = create(here, ann, name=str(more), access_rules=[more]).ok(201)["application_credential"]
        assert [each["id"] for each in again["access_rules"]] == [rule["id"]]
    client = Keystone(token_by(made).headers["X-Subject-Token"])
    assert client.get("auth/projects").status == 200
    client.get(path).refused(403)
    assert create(here, ann, name="x", access_rules=[{"id": str(uuid.uuid4())}]).status == 404


def test_access_rules_are_filtered(here: Keystone, ann: User) -> None:
    create(here, ann, access_rules=[RULE, {**RULE, "method": "POST", "service": "compute", "path": "/x"}]).ok(201)
    for query in ("service=compute", "method=POST", "path=/x"):
        [found] = here.get(f"users/{ann.pk}/access_rules?{query}").ok()["access_rules"]
        assert found["method"] == "POST"


def test_an_access_rule_goes_when_no_credential_has_it(here: Keystone, ann: User, project: Project) -> None:
    made = create(here, ann, access_rules=[RULE]).ok(201)["application_credential"]
    path = f"users/{ann.pk}/access_rules/{made['access_rules'][0]['id']}"
    assert "May not delete access rule in use" in here.delete(path).refused(403)
    here.delete(at(ann, made["id"])).ok(204)
    bob = make_user("bob", project)
    other = signed_in(bob, of(project))
    other.get(path).refused(404)
    other.delete(path).refused(404)
    here.delete(path.replace(str(ann.pk), str(bob.pk))).refused(404)
    assert here.delete(path).status == 204
    here.get(path).refused(404)
    here.get(f"users/{ann.pk}/access_rules/none").refused(404)
