"""Access keys and other secrets that must be readable: sealed, shown once, good for what their owner may do now."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.audit.models import Record
from apps.common import rotation, vault
from apps.common.context import SYSTEM
from apps.identity.access_rules import Rule
from apps.identity.models import Assignment, Credential, Project, User
from apps.identity.selectors import delegated
from apps.identity.services import access_keys, application_credentials, credentials, signin
from tests.support.cloud import make_project, refusal
from tests.support.fixtures import Time
from tests.support.identity import PASSWORD, actor_in, give, make_user
from tests.support.proofs import code_of, come_by, make_credential

pytestmark = pytest.mark.django_db(transaction=True)
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def ann(project: Project) -> User:
    return make_user("ann", project)


def make(user: User, project: Project, name: str = "") -> access_keys.Made:
    return access_keys.create(actor=actor_in(user, project), name=name)


def public(made: access_keys.Made) -> str:
    assert made.key.access is not None
    return made.key.access


def asks(made: access_keys.Made, **request: str) -> object:
    key = access_keys.find(access=public(made))
    assert key is not None and key.secret == made.secret
    return access_keys.use(key=key, **request)


def test_a_key_is_found_with_its_secret_and_its_owner_in_one_query(ann: User, project: Project) -> None:
    made = make(ann, project, "laptop")
    assert public(made).startswith("AK") and len(public(made)) == 20 and len(made.secret) == 40
    with CaptureQueriesContext(connection) as captured:
        key = access_keys.find(access=public(made))
    assert len(captured) == 1
    assert key is not None and key.secret == made.secret
    actor = access_keys.use(key=key, address="192.0.2.1")
    assert (actor.user_id, actor.project_id, actor.roles) == (ann.pk, project.pk, ("member", "reader"))
    assert access_keys.find(access="AK0123456789ABCDEFGH") is None


def test_its_secret_is_stored_sealed_and_told_to_nobody(ann: User, project: Project) -> None:
    made = make(ann, project)
    row = Credential.objects.values().get()
    assert made.secret not in str(row) + str(list(Record.objects.values()))
    assert json.loads(vault.open(row["blob"])) == {"access": made.key.access, "secret": made.secret, "trust_id": None}


def test_it_is_sealed_anew_with_a_new_key_of_the_vault(ann: User, project: Project) -> None:
    made = make(ann, project)
    before = Credential.objects.get().blob
    assert rotation.rotate_vault().resealed == 1
    assert Credential.objects.get().blob != before
    asks(made)


@pytest.mark.parametrize("end", ["role", "user", "project", "key"])
def test_it_is_good_for_what_its_owner_may_do_now(ann: User, project: Project, end: str) -> None:
    made = make(ann, project)
    if end == "role":
        Assignment.objects.all().delete()
    elif end == "user":
        User.objects.update(is_active=False)
    elif end == "project":
        Project.objects.filter(pk=project.pk).update(enabled=False)
    else:
        access_keys.delete(actor=actor_in(ann, project), access=public(made))
        assert access_keys.find(access=public(made)) is None
        return
    assert refusal(asks, made).kind == "unauthenticated"


def test_last_used_is_written_at_most_once_a_minute(ann: User, project: Project, time_machine: Time) -> None:
    made = make(ann, project)
    asks(made)
    first = Credential.objects.get().last_used_at
    asks(made)
    assert first is not None and Credential.objects.get().last_used_at == first
    time_machine.forward(61)
    asks(made)
    assert Credential.objects.get().last_used_at != first


def test_there_are_at_most_ten_per_user_and_project(ann: User, project: Project) -> None:
    for _ in range(access_keys.MOST):
        make(ann, project)
    assert refusal(make, ann, project).code == "access_key.too_many"
    make(make_user("bob", project), project)
    other = make_project()
    give(ann, "member", other)
    make(ann, other)


def test_a_key_made_by_an_application_credential_has_its_limits_and_its_end(ann: User, project: Project) -> None:
    parent = make_credential(ann, project, unrestricted=True, roles=["reader"], rules=[Rule("s3", "GET", "/**"), Rule("identity", "GET", "/v3")])
    actor, _ = come_by(parent)
    made = access_keys.create(actor=actor)
    assert getattr(asks(made, service="s3", method="GET", path="/bucket/key"), "roles", ()) == ("reader",)
    assert refusal(asks, made, service="s3", method="PUT", path="/bucket/key").code == "policy.access_rule"
    other = make_project()
    give(ann, "member", other)
    assert refusal(access_keys.create, actor=actor, project_id=other.pk).code == "auth.bound"
    application_credentials.delete(actor=actor_in(ann, project), credential_id=parent.credential.pk)
    assert access_keys.find(access=public(made)) is None


def test_a_limited_program_does_not_read_the_secret_of_a_key_without_limits(ann: User, project: Project) -> None:
    make(ann, project)
    credentials.create(actor=actor_in(ann, project), user_id=ann.pk, type="cert", blob="private")
    actor, _ = come_by(make_credential(ann, project))
    for row in Credential.objects.all():
        assert access_keys.secrets_of(actor=actor)(row) == "" == credentials.blobs(actor=actor)(row)


def test_operators_make_keys_for_others_and_others_do_not(ann: User, project: Project) -> None:
    bob = make_user("bob", project, "admin")
    assert refusal(access_keys.create, actor=actor_in(bob, project), user_id=ann.pk).kind == "forbidden"
    made = access_keys.create(actor=SYSTEM, user_id=ann.pk, project_id=project.pk)
    asks(made)
    assert refusal(access_keys.create, actor=SYSTEM, user_id=ann.pk, project_id=make_project().pk).code == "project.not_found"
    assert refusal(access_keys.delete, actor=actor_in(bob, project), access=public(made)).kind == "not_found"
    assert refusal(delegated.access_key, actor=actor_in(bob, project), access=public(made)).kind == "not_found"
    assert access_keys.secrets_of(actor=actor_in(ann, project))(Credential.objects.get()) == made.secret
    assert access_keys.secrets_of(actor=SYSTEM)(Credential.objects.get()) == ""


# Kept secrets of any kind.


def test_any_secret_is_kept_sealed_and_shown_to_its_owner_only(ann: User, project: Project) -> None:
    actor = actor_in(ann, project)
    made = credentials.create(actor=actor, user_id=ann.pk, type="cert", blob="-----BEGIN…")
    assert "BEGIN" not in str(Credential.objects.values().get()) + str(list(Record.objects.values()))
    assert credentials.blobs(actor=actor)(made) == "-----BEGIN…"
    assert credentials.blobs(actor=SYSTEM)(made) == ""
    changed = credentials.update(actor=actor, credential_id=made.pk, blob="another")
    assert credentials.blobs(actor=actor)(changed) == "another"
    bob = actor_in(make_user("bob", project, "admin"), project)
    assert refusal(credentials.update, actor=bob, credential_id=made.pk, blob="x").kind == "not_found"
    assert refusal(credentials.delete, actor=bob, credential_id=made.pk).kind == "not_found"
    assert refusal(credentials.create, actor=bob, user_id=ann.pk, type="cert", blob="x").kind == "forbidden"
    assert not delegated.credentials(actor=bob)
    credentials.delete(actor=actor, credential_id=made.pk)
    assert refusal(credentials.delete, actor=actor, credential_id=made.pk).kind == "not_found"


def test_one_of_type_ec2_is_an_access_key(ann: User, project: Project) -> None:
    actor = actor_in(ann, project)
    blob = json.dumps({"access": "mine", "secret": "my secret"})
    made = credentials.create(actor=actor, user_id=ann.pk, type="ec2", blob=blob, project_id=project.pk)
    key = access_keys.find(access="mine")
    assert key is not None and key.secret == "my secret"
    twice = refusal(credentials.create, actor=actor, user_id=ann.pk, type="ec2", blob=blob, project_id=project.pk)
    assert twice.code == "credential.exists"
    credentials.update(actor=actor, credential_id=made.pk, blob=json.dumps({"access": "mine2", "secret": "another"}))
    assert access_keys.find(access="mine") is None
    for fields in (
        {"blob": blob}, {"blob": "nonsense", "project_id": project.pk}, {"blob": "{}", "project_id": project.pk},
        {"blob": '{"access": 1, "secret": 2}', "project_id": project.pk}, {"blob": "", "project_id": project.pk},
        {"blob": json.dumps({"access": "x" * 129, "secret": "y"}), "project_id": project.pk}, {"blob": "[]", "project_id": project.pk},
    ):
        assert refusal(credentials.create, actor=actor, user_id=ann.pk, type="ec2", **fields).kind == "invalid"


def test_one_of_type_totp_is_a_second_factor(ann: User, project: Project) -> None:
    actor = actor_in(ann, project)
    assert refusal(credentials.create, actor=actor, user_id=ann.pk, type="totp", blob="not base 32").code == "credential.blob"
    credentials.create(actor=actor, user_id=ann.pk, type="totp", blob=SEED.lower())
    assert refusal(signin.login, username="ann", password=PASSWORD).code == "auth.second_factor"
    signin.login(username="ann", password=PASSWORD, otp=code_of(SEED))
