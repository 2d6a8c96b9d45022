"""OS-TRUST: who may give trusts, what they give, and how they end."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from apps.common import clock
from apps.identity import builtin
from apps.identity.models import Project, Trust, User
from tests.api.openstack.kit import Answer, Keystone, of, signed_in
from tests.support.cloud import make_project
from tests.support.identity import give, given, make_user

pytestmark = pytest.mark.django_db
BASE = "http://127.0.0.1:8600/identity/v3"
READER = {"id": str(builtin.ROLE_IDS[builtin.Role.READER])}


@pytest.fixture
def project() -> Project:
    return make_project("red")


@pytest.fixture
def ann(project: Project) -> User:
    return make_user("ann", project)


@pytest.fixture
def bob() -> User:
    """Nobody in any project."""
    return make_user("bob")


@pytest.fixture
def here(ann: User, project: Project) -> Keystone:
    """Ann, working in the project."""
    return signed_in(ann, of(project))


def trust(client: Keystone, trustor: User, trustee: User, project: Project | None, **more: Any) -> Answer:
    body = {
        "trustor_user_id": str(trustor.pk), "trustee_user_id": str(trustee.pk), "impersonation": False, "roles": [READER],
        "project_id": str(project.pk) if project else None, **more,
    }
    return client.post("OS-TRUST/trusts", {"trust": body})


def by(trust_id: str) -> dict[str, Any]:
    return {"OS-TRUST:trust": {"id": trust_id}}


def test_a_trust_says_all_about_itself(here: Keystone, ann: User, bob: User, project: Project) -> None:
    made = trust(here, ann, bob, project).ok(201)["trust"]
    path = f"OS-TRUST/trusts/{made['id']}"
    [role] = made["roles"]
    assert role["name"] == "reader" and role["links"] == {"self": f"{BASE}/roles/{role['id']}"}
    assert made == {
        "id": made["id"], "trustor_user_id": str(ann.pk), "trustee_user_id": str(bob.pk), "project_id": str(project.pk),
        "impersonation": False, "expires_at": None, "remaining_uses": None, "allow_redelegation": False, "redelegation_count": 0,
        "deleted_at": None, "links": {"self": f"{BASE}/{path}"}, "roles": [role],
        "roles_links": {"self": f"{BASE}/{path}/roles", "next": None, "previous": None},
    }
    for client in (here, signed_in(bob)):
        assert client.get(path).ok() == {"trust": made}
        assert client.get(f"{path}/roles").ok()["roles"] == [role]
        assert client.get(f"{path}/roles/{role['id']}").ok() == {"role": role}
        assert client.head(f"{path}/roles/{role['id']}").status == 200
        client.get(f"{path}/roles/{builtin.ROLE_IDS[builtin.Role.ADMIN]}").refused(404)
    assert here.patch(path, {"trust": {"impersonation": True}}).status == 405


def test_a_trust_works_from_end_to_end(here: Keystone, ann: User, bob: User, project: Project) -> None:
    ends = (clock.now() + timedelta(hours=1)).replace(microsecond=0)
    made = trust(here, ann, bob, project, impersonation=True, remaining_uses=2, expires_at=f"{ends:%Y-%m-%dT%H:%M:%S.%f}Z")
    trust_id = made.ok(201)["trust"]["id"]
    answer = Keystone().sign_in(bob, by(trust_id))
    token = answer.ok(201)["token"]
    assert token["user"]["name"] == "ann" and token["project"]["name"] == "red"
    assert token["expires_at"] == f"{ends:%Y-%m-%dT%H:%M:%S}.000000Z"
    assert here.get(f"OS-TRUST/trusts/{trust_id}").ok()["trust"]["remaining_uses"] == 1
    client = Keystone(answer.headers["X-Subject-Token"])
    assert client.get("auth/catalog").status == 200
    again = {"methods": ["token"], "token": {"id": client.token}}
    Keystone().post("auth/tokens", {"auth": {"identity": again, "scope": of(project)}}).refused(403)
    Keystone().sign_in(ann, by(trust_id)).refused(403)
    assert here.delete(f"OS-TRUST/trusts/{trust_id}").status == 204
    client.get("auth/catalog").refused(401)
    Keystone().sign_in(bob, by(trust_id)).refused(401)
    here.get(f"OS-TRUST/trusts/{trust_id}").refused(404)
    here.delete(f"OS-TRUST/trusts/{trust_id}").refused(404)


def test_a_trust_is_void_when_the_trustor_loses_the_role(here: Keystone, ann: User, bob: User, project: Project) -> None:
    from apps.common.context import SYSTEM
    from apps.identity.services import assignments

    trust_id = trust(here, ann, bob, project).ok(201)["trust"]["id"]
    client = signed_in(bob, by(trust_id))
    assignments.take(actor=SYSTEM, given=given(ann, "member", project))
    client.get("auth/catalog").refused(401)
    Keystone().sign_in(bob, by(trust_id)).refused(401)


def test_without_a_project_it_says_who_one_is_and_nothing_more(here: Keystone, ann: User, bob: User) -> None:
    made = trust(here, ann, bob, None, roles=[], impersonation=True).ok(201)["trust"]
    assert made["project_id"] is None and made["roles"] == []


def test_lists_are_by_trustor_and_by_trustee(here: Keystone, ann: User, bob: User, project: Project) -> None:
    eve, root = make_user("eve"), make_user("root", operator=True)
    first = trust(here, ann, bob, project).ok(201)["trust"]["id"]
    second = trust(here, ann, eve, project).ok(201)["trust"]["id"]

    def ids(client: Keystone, query: str = "") -> list[str]:
        content = client.get(f"OS-TRUST/trusts{query}").ok()
        assert content["links"]["self"] == f"{BASE}/OS-TRUST/trusts{query}"
        assert all("roles" not in each for each in content["trusts"])
        return [each["id"] for each in content["trusts"]]

    assert ids(here, f"?trustor_user_id={ann.pk}") == [first, second]
    assert ids(here, f"?trustee_user_id={ann.pk}") == []
    assert ids(here, f"?trustor_user_id={ann.pk}&trustee_user_id={eve.pk}") == [second]
    assert ids(signed_in(bob), f"?trustee_user_id={bob.pk}") == [first]
    assert ids(signed_in(bob)) == [first]
    everything = signed_in(root, {"system": {"all": True}})
    assert ids(everything) == [first, second]
    assert ids(everything, f"?trustor_user_id={uuid.uuid4()}") == ids(everything, "?trustor_user_id=none") == []
    for query in (f"?trustor_user_id={ann.pk}", f"?trustee_user_id={eve.pk}", "?trustor_user_id=none"):
        signed_in(bob).get(f"OS-TRUST/trusts{query}").refused(403)


def test_trusts_of_others_are_not_there(here: Keystone, ann: User, bob: User, project: Project) -> None:
    trust_id = trust(here, ann, bob, project).ok(201)["trust"]["id"]
    eve = signed_in(make_user("eve", project, "admin"), of(project))
    for path in ("", "/roles", f"/roles/{READER['id']}"):
        eve.get(f"OS-TRUST/trusts/{trust_id}{path}").refused(404)
    eve.delete(f"OS-TRUST/trusts/{trust_id}").refused(404)
    signed_in(bob).delete(f"OS-TRUST/trusts/{trust_id}").refused(403)
    root = signed_in(make_user("root", operator=True), {"system": {"all": True}})
    assert root.get(f"OS-TRUST/trusts/{trust_id}").status == 200
    assert root.delete(f"OS-TRUST/trusts/{trust_id}").status == 204
    assert Trust.objects.get(pk=trust_id).deleted_at is not None


def test_only_the_trustor_gives_a_trust_and_only_what_it_has(here: Keystone, ann: User, bob: User, project: Project) -> None:
    green = make_project("green")
    trust(here, bob, ann, project).refused(403)
    root = make_user("root", project, operator=True)
    trust(signed_in(root, of(project)), ann, bob, project).refused(403)
    assert "At least one role should be specified" in trust(here, ann, bob, project, roles=[]).refused(403)
    trust(here, ann, bob, project, roles=[{"name": "admin"}]).refused(404)
    trust(here, ann, bob, project, roles=[{"id": str(uuid.uuid4())}]).refused(404)
    trust(here, ann, bob, green).refused(404)
    trust(here, ann, bob, project, project_id=str(uuid.uuid4())).refused(404)
    trust(here, ann, bob, project, trustee_user_id=str(uuid.uuid4())).refused(404)
    trust(here, ann, bob, project, trustee_user_id="bob").refused(404)
    assert not Trust.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"impersonation": None}, {"impersonation": "true"}, {"trustor_user_id": None}, {"trustee_user_id": 7},
        {"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": "soon"}, {"expires_at": 7},
        {"remaining_uses": 0}, {"remaining_uses": -1}, {"remaining_uses": "1"}, {"remaining_uses": 1.5}, {"remaining_uses": 2**40},
        {"remaining_uses": 1, "allow_redelegation": True}, {"redelegation_count": -1}, {"allow_redelegation": "x"},
        {"roles": "reader"}, {"roles": [{}]}, {"roles": [7]}, {"project_id": None},
    ],
)
def test_what_is_malformed_is_refused(here: Keystone, ann: User, bob: User, project: Project, wrong: dict[str, Any]) -> None:
    trust(here, ann, bob, project, **wrong).refused(400)
    assert not Trust.objects.exists()


@pytest.mark.parametrize("missing", ["trustor_user_id", "trustee_user_id", "impersonation"])
def test_what_is_needed_is_named(here: Keystone, ann: User, bob: User, missing: str) -> None:
    body = {"trustor_user_id": str(ann.pk), "trustee_user_id": str(bob.pk), "impersonation": True}
    del body[missing]
    assert f"'{missing}' is a required property" in here.post("OS-TRUST/trusts", {"trust": body}).refused(400)


def test_a_trust_is_handed_on_only_where_that_was_allowed_and_within_its_limits(
    here: Keystone, ann: User, bob: User, project: Project
) -> None:
    eve = make_user("eve")
    plain = trust(here, ann, bob, project).ok(201)["trust"]["id"]
    trust(signed_in(bob, by(plain)), bob, eve, project).refused(403)
    first = trust(here, ann, bob, project, allow_redelegation=True, redelegation_count=1, roles=[{"name": "reader"}]).ok(201)["trust"]
    client = signed_in(bob, by(first["id"]))
    trust(client, bob, eve, project, roles=[{"name": "member"}]).refused(403)
    trust(client, bob, eve, project, impersonation=True).refused(403)
    trust(here, ann, eve, project, redelegated_trust_id=first["id"]).refused(403)
    second = trust(client, bob, eve, project, redelegated_trust_id=first["id"]).ok(201)["trust"]
    assert second["redelegated_trust_id"] == first["id"] and second["redelegation_count"] == 0
    last = signed_in(eve, by(second["id"]))
    assert last.get("auth/catalog").status == 200
    trust(last, eve, ann, project).refused(403)
    assert here.delete(f"OS-TRUST/trusts/{first['id']}").status == 204
    last.get("auth/catalog").refused(401)
    signed_in(eve).get(f"OS-TRUST/trusts/{second['id']}").refused(404)


def test_it_is_not_handed_on_more_often_than_the_most(here: Keystone, ann: User, bob: User, project: Project) -> None:
    trust(here, ann, bob, project, allow_redelegation=True, redelegation_count=4).refused(403)


def test_a_program_gives_no_trusts(here: Keystone, ann: User, bob: User, project: Project) -> None:
    give(ann, "member", project)
    for unrestricted in (False, True):
        body = {"application_credential": {"name": str(unrestricted), "unrestricted": unrestricted}}
        made = here.post(f"users/{ann.pk}/application_credentials", body).ok(201)["application_credential"]
        proof = {"id": made["id"], "secret": made["secret"]}
        identity = {"methods": ["application_credential"], "application_credential": proof}
        token = Keystone().post("auth/tokens", {"auth": {"identity": identity}}).headers["X-Subject-Token"]
        trust(Keystone(token), ann, bob, project).refused(403)
