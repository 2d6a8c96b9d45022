"""Kept secrets, access keys and tokens by signatures over Identity v3."""

import base64
import json
import time
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from apps.audit.models import Record
from apps.identity.models import Credential, Project, Token, User
from apps.identity.services import access_keys
from tests.api.openstack.kit import Answer, Keystone, by_password, of, signed_in
from tests.api.openstack.signing import Signer
from tests.support.cloud import make_project
from tests.support.identity import give, make_user

pytestmark = pytest.mark.django_db
BASE = "http://127.0.0.1:8600/identity/v3"
SYSTEM = {"system": {"all": True}}
SEED = base64.b32encode(b"twenty bytes of seed").decode()


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


@pytest.fixture
def root() -> Keystone:
    """Whoever rules over the system."""
    return signed_in(make_user("root", operator=True), SYSTEM)


def keep(client: Keystone, user: User, **given: Any) -> Answer:
    return client.post("credentials", {"credential": {"type": "cert", "blob": "a secret", "user_id": str(user.pk), **given}})


def ec2(**given: Any) -> str:
    return json.dumps({"access": "AKMINE", "secret": "of my own", **given})


def key(client: Keystone, user: User, project: Project) -> dict[str, Any]:
    made: dict[str, Any] = client.post(f"users/{user.pk}/credentials/OS-EC2", {"tenant_id": str(project.pk)}).ok(201)["credential"]
    return made


def program(client: Keystone, user: User, **given: Any) -> Keystone:
    """A client that came by an application credential."""
    body = {"application_credential": {"name": str(uuid.uuid4()), **given}}
    made = client.post(f"users/{user.pk}/application_credentials", body).ok(201)["application_credential"]
    proof = {"id": made["id"], "secret": made["secret"]}
    identity = {"methods": ["application_credential"], "application_credential": proof}
    return Keystone(Keystone().post("auth/tokens", {"auth": {"identity": identity}}).headers["X-Subject-Token"])


def test_a_secret_is_kept_shown_changed_and_deleted(here: Keystone, ann: User, project: Project) -> None:
    made = keep(here, ann).ok(201)["credential"]
    path = f"credentials/{made['id']}"
    assert made == {
        "id": made["id"], "user_id": str(ann.pk), "type": "cert", "blob": "a secret", "project_id": None,
        "links": {"self": f"{BASE}/{path}"},
    }
    assert here.get(path).ok() == {"credential": made}
    assert here.get("credentials").ok()["credentials"] == [made]
    changed = here.patch(path, {"credential": {"blob": "another", "project_id": str(project.pk), "user_id": str(ann.pk)}}).ok()["credential"]
    assert changed == {**made, "blob": "another", "project_id": str(project.pk)}
    assert here.delete(path).status == 204
    assert here.get(path).refused(404) == f"Could not find credential: {made['id']}."
    here.delete(path).refused(404)
    here.patch(path, {"credential": {"blob": "x"}}).refused(404)


def test_it_is_sealed_and_in_no_record(here: Keystone, ann: User) -> None:
    keep(here, ann, blob="unmistakable").ok(201)
    assert "unmistakable" not in str(list(Credential.objects.values())) + str(list(Record.objects.values()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"blob": ""}, {"blob": None}, {"blob": {"a": 1}}, {"blob": "a\x00b"}, {"type": ""}, {"type": 7}, {"type": "x" * 256},
        {"user_id": None}, {"project_id": 7}, {"type": "totp", "blob": "no base32!"}, {"type": "totp", "blob": "AAAA"},
        {"type": "ec2", "blob": ec2()}, {"type": "ec2", "blob": "no json", "project_id": "PROJECT"},
        {"type": "ec2", "blob": "[]", "project_id": "PROJECT"}, {"type": "ec2", "blob": "{}", "project_id": "PROJECT"},
        {"type": "ec2", "blob": ec2(access=7), "project_id": "PROJECT"}, {"type": "ec2", "blob": ec2(secret=""), "project_id": "PROJECT"},
        {"type": "ec2", "blob": ec2(access="x" * 200), "project_id": "PROJECT"},
    ],
)
def test_what_is_malformed_is_refused(here: Keystone, ann: User, project: Project, wrong: dict[str, Any]) -> None:
    if wrong.get("project_id") == "PROJECT":
        wrong = {**wrong, "project_id": str(project.pk)}
    keep(here, ann, **wrong).refused(400)
    assert not Credential.objects.exists()


def test_a_change_that_is_none_is_refused_and_so_is_another_user(here: Keystone, ann: User) -> None:
    path = f"credentials/{keep(here, ann).ok(201)['credential']['id']}"
    for body in ({}, {"blob": None}, {"type": ""}, {"id": str(uuid.uuid4())}, {"user_id": str(uuid.uuid4())}, {"type": "ec2"}):
        here.patch(path, {"credential": body}).refused(400)


def test_what_is_named_must_be_there(here: Keystone, root: Keystone, ann: User) -> None:
    keep(here, ann, project_id=str(uuid.uuid4())).refused(404)
    keep(root, ann, user_id=str(uuid.uuid4())).refused(404)
    here.get("credentials/none").refused(404)


def test_lists_are_filtered_and_show_others_to_those_who_may_but_no_secret(here: Keystone, root: Keystone, ann: User) -> None:
    bob = make_user("bob")
    other = signed_in(bob)
    mine, theirs = (keep(*each).ok(201)["credential"]["id"] for each in ((here, ann), (other, bob)))

    def ids(client: Keystone, query: str = "") -> list[str]:
        return sorted(each["id"] for each in client.get(f"credentials{query}").ok()["credentials"])

    assert ids(here) == ids(here, f"?user_id={ann.pk}") == ids(here, "?type=cert") == [mine]
    assert ids(here, f"?user_id={bob.pk}") == ids(here, "?type=ec2") == ids(here, "?user_id=none") == []
    assert ids(root) == sorted([mine, theirs]) and ids(root, f"?user_id={bob.pk}") == [theirs]
    assert {each["blob"] for each in root.get("credentials").json["credentials"]} == {""}
    assert root.get(f"credentials/{mine}").ok()["credential"]["blob"] == ""
    for method in ("GET", "DELETE"):
        other(method, f"credentials/{mine}").refused(404)
    other.patch(f"credentials/{mine}", {"credential": {"blob": "x"}}).refused(404)
    keep(other, ann).refused(403)
    keep(root, ann, blob="for her").ok(201)
    assert "for her" in here.get("credentials").content.decode()
    assert root.delete(f"credentials/{mine}").status == 204


def test_a_program_keeps_nothing_and_reads_no_secrets(here: Keystone, ann: User, project: Project) -> None:
    path = f"credentials/{keep(here, ann).ok(201)['credential']['id']}"
    access = key(here, ann, project)["access"]
    for unrestricted in (False, True):
        client = program(here, ann, unrestricted=unrestricted)
        keep(client, ann).refused(403)
        client.patch(path, {"credential": {"blob": "x"}}).refused(403)
        assert client.get(path).ok()["credential"]["blob"] == ""
        assert client.get(f"users/{ann.pk}/credentials/OS-EC2/{access}").ok()["credential"]["secret"] == ""
    program(here, ann).delete(path).refused(403)


def test_a_totp_seed_that_is_kept_is_a_second_factor(here: Keystone, ann: User) -> None:
    keep(here, ann, type="totp", blob=SEED).ok(201)
    assert Keystone().sign_in(ann).json["required_auth_methods"] == [["password", "totp"]]
    code = TOTP(base64.b32decode(SEED), 6, SHA1(), 30).generate(int(time.time())).decode()
    identity = {**by_password({"id": str(ann.pk)}), "methods": ["password", "totp"], "totp": {"user": {"id": str(ann.pk), "passcode": code}}}
    Keystone().post("auth/tokens", {"auth": {"identity": identity}}).ok(201)


def test_an_ec2_one_that_is_kept_is_an_access_key(here: Keystone, ann: User, project: Project) -> None:
    made = keep(here, ann, type="ec2", blob=ec2(), project_id=str(project.pk)).ok(201)["credential"]
    assert json.loads(here.get(f"credentials/{made['id']}").json["credential"]["blob"]) == {
        "access": "AKMINE", "secret": "of my own", "trust_id": None,
    }
    assert here.get(f"users/{ann.pk}/credentials/OS-EC2/AKMINE").ok()["credential"]["secret"] == "of my own"
    found = access_keys.find(access="AKMINE")
    assert found is not None and found.secret == "of my own"
    assert keep(here, ann, type="ec2", blob=ec2(secret="x"), project_id=str(project.pk)).status == 409


def test_an_access_key_says_all_about_itself(here: Keystone, ann: User, project: Project) -> None:
    made = key(here, ann, project)
    path = f"users/{ann.pk}/credentials/OS-EC2"
    assert len(made["secret"]) == 40
    assert made == {
        "user_id": str(ann.pk), "tenant_id": str(project.pk), "access": made["access"], "secret": made["secret"], "trust_id": None,
        "links": {"self": f"{BASE}/{path}/{made['access']}"},
    }
    assert here.get(f"{path}/{made['access']}").ok() == {"credential": made}
    assert here.get(path).ok()["credentials"] == [made]
    [kept] = here.get("credentials?type=ec2").ok()["credentials"]
    assert json.loads(kept["blob"])["access"] == made["access"]
    assert here.delete(f"{path}/{made['access']}").status == 204
    here.get(f"{path}/{made['access']}").refused(404)
    here.delete(f"{path}/{made['access']}").refused(404)
    assert access_keys.find(access=made["access"]) is None


def test_access_keys_are_for_projects_in_which_one_has_a_role(here: Keystone, ann: User, project: Project) -> None:
    path = f"users/{ann.pk}/credentials/OS-EC2"
    for tenant in (str(make_project("green").pk), str(uuid.uuid4()), "red"):
        here.post(path, {"tenant_id": tenant}).refused(404)
    for body in ({}, {"tenant_id": None}, {"tenant_id": 7}):
        here.post(path, body).refused(400)


def test_access_keys_of_others_are_not_there(here: Keystone, root: Keystone, ann: User, project: Project) -> None:
    made = key(here, ann, project)
    bob = make_user("bob", project, "admin")
    other = signed_in(bob, of(project))
    for user in (ann, bob):
        for method in ("GET", "DELETE"):
            other(method, f"users/{user.pk}/credentials/OS-EC2/{made['access']}").refused(404)
    other.get(f"users/{ann.pk}/credentials/OS-EC2").refused(403)
    other.post(f"users/{ann.pk}/credentials/OS-EC2", {"tenant_id": str(project.pk)}).refused(403)
    [shown] = root.get(f"users/{ann.pk}/credentials/OS-EC2").ok()["credentials"]
    assert shown == {**made, "secret": ""}
    theirs = key(root, bob, project)
    assert theirs["user_id"] == str(bob.pk) and len(theirs["secret"]) == 40
    assert root.delete(f"users/{ann.pk}/credentials/OS-EC2/{made['access']}").status == 204


def test_a_restricted_program_makes_no_keys_and_an_unrestricted_one_its_own(here: Keystone, ann: User, project: Project) -> None:
    green = make_project("green")
    give(ann, "member", green)
    path = f"users/{ann.pk}/credentials/OS-EC2"
    program(here, ann).post(path, {"tenant_id": str(project.pk)}).refused(403)
    client = program(here, ann, unrestricted=True, roles=[{"name": "reader"}])
    client.post(path, {"tenant_id": str(green.pk)}).refused(403)
    made = key(client, ann, project)
    assert client.get(f"{path}/{made['access']}").ok()["credential"]["secret"] == made["secret"]


def test_a_signature_becomes_a_token_of_the_owner_in_the_project_of_the_key(
    here: Keystone, root: Keystone, ann: User, project: Project
) -> None:
    made = key(here, ann, project)
    for under in ("credentials", "credential", "ec2Credentials"):
        answer = root.post("ec2tokens", {under: Signer(made).ec2()})
        token = answer.ok()["token"]
        assert token["methods"] == ["ec2credential"] and token["user"]["name"] == "ann" and token["project"]["name"] == "red"
        assert token["catalog"] and {role["name"] for role in token["roles"]} == {"member", "reader"}
    for body in (Signer(made).ec2_version_2(), Signer(made).s3(), Signer(made).s3_version_2()):
        path = "s3tokens" if "token" in body else "ec2tokens"
        assert root.post(path, {"credentials": body}).ok()["token"]["user"]["name"] == "ann"
    assert Credential.objects.get(access=made["access"]).last_used_at is not None
    client = Keystone(answer.headers["X-Subject-Token"])
    assert client.get("auth/catalog").status == 200


def test_a_token_by_a_key_makes_nothing_that_reaches_further(here: Keystone, root: Keystone, ann: User, project: Project) -> None:
    made = key(here, ann, project)
    client = Keystone(root.post("ec2tokens", {"credentials": Signer(made).ec2()}).headers["X-Subject-Token"])
    identity = {"methods": ["token"], "token": {"id": client.token}}
    Keystone().post("auth/tokens", {"auth": {"identity": identity}}).refused(403)
    client.post(f"users/{ann.pk}/application_credentials", {"application_credential": {"name": "x"}}).refused(403)
    client.post(f"users/{ann.pk}/credentials/OS-EC2", {"tenant_id": str(project.pk)}).refused(403)
    keep(client, ann).refused(403)
    trust = {"trustor_user_id": str(ann.pk), "trustee_user_id": str(ann.pk), "impersonation": True}
    client.post("OS-TRUST/trusts", {"trust": trust}).refused(403)
    assert client.get(f"users/{ann.pk}/credentials/OS-EC2/{made['access']}").ok()["credential"]["secret"] == ""


def test_the_limits_of_the_key_are_those_of_the_token(here: Keystone, root: Keystone, ann: User, project: Project) -> None:
    made = key(program(here, ann, unrestricted=True, roles=[{"name": "reader"}]), ann, project)
    token = root.post("ec2tokens", {"credentials": Signer(made).ec2()}).ok()["token"]
    assert [role["name"] for role in token["roles"]] == ["reader"]
    assert token["application_credential"]["restricted"] is False


def test_who_has_a_second_factor_still_has_keys(here: Keystone, root: Keystone, ann: User, project: Project) -> None:
    made = key(here, ann, project)
    keep(here, ann, type="totp", blob=SEED).ok(201)
    root.post("ec2tokens", {"credentials": Signer(made).ec2()}).ok()


def test_whatever_is_wrong_with_a_signature_the_answer_is_the_same(here: Keystone, root: Keystone, ann: User, project: Project) -> None:
    made = key(here, ann, project)
    right = Signer(made).ec2()
    before = Token.objects.count()
    wrong = [
        Signer({**made, "secret": "x" * 40}).ec2(), Signer({**made, "access": "AKNOBODY"}).ec2(), {**right, "signature": ""},
        {**right, "verb": "PUT"}, {**right, "params": {}}, {**right, "headers": {}}, Signer(made).ec2(minutes=20),
    ]
    for body in wrong:
        assert root.post("ec2tokens", {"credentials": body}).refused(401) == "The request you have made requires authentication."
    root.post("s3tokens", {"credentials": {**Signer(made).s3(), "signature": "x"}}).refused(401)
    User.objects.filter(pk=ann.pk).update(is_active=False)
    root.post("ec2tokens", {"credentials": right}).refused(401)
    assert Token.objects.count() == before


@pytest.mark.parametrize("path", ["ec2tokens", "s3tokens"])
def test_what_is_no_signed_request_is_malformed(root: Keystone, path: str) -> None:
    bodies: list[Any] = [{}, {"credentials": None}, {"credentials": {}}, {"credentials": {"access": 7}}, {"other": {}}]
    for body in bodies:
        root.post(path, body).refused(400)
    root.post("s3tokens", {"credentials": {"access": "x", "signature": "x", "token": "é"}}).refused(400)
    assert root.get(path).status == 405


def test_only_services_ask_for_such_tokens(here: Keystone, ann: User, project: Project) -> None:
    body = {"credentials": Signer(key(here, ann, project)).ec2()}
    bob = make_user("bob", project, "admin")
    auditor = make_user("auditor")
    give(auditor, "reader")
    for client in (here, signed_in(bob, of(project)), signed_in(auditor, SYSTEM)):
        for path in ("ec2tokens", "s3tokens"):
            client.post(path, {"credentials": {**body["credentials"], "token": ""}}).refused(403)
    Keystone().post("ec2tokens", body).refused(401)
