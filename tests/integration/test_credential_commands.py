"""Commands about tokens, application credentials, access keys and locks."""

import re
from typing import Any

import pytest
from django.conf import settings

from apps.identity.models import ApplicationCredential, Credential, Project, Token, User
from apps.identity.services import access_keys, signin, tokens, totp
from apps.identity.services.application_credentials import Made
from tests.support.cloud import make_project, refusal
from tests.support.commands import as_json, run
from tests.support.identity import PASSWORD, actor_in, make_domain, make_token, make_user
from tests.support.proofs import come_by, coming_from, with_second_factor

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project() -> Project:
    return make_project("demo")


@pytest.fixture
def ann(project: Project) -> User:
    return make_user("ann", project)


def test_an_access_key_is_made_listed_and_deleted(ann: User) -> None:
    made = as_json("access_key_create", "ann", "--name", "laptop")
    key = access_keys.find(access=made["access"])
    assert key is not None and key.secret == made["secret"]
    assert access_keys.use(key=key).user_id == ann.pk
    code, text = run("access_key_create", "ann")
    assert code == 0 and re.search(r"secret access key +\w{40}", text)
    listed = as_json("access_key_list", "ann")
    assert [each["name"] for each in listed] == ["laptop", ""] and made["secret"] not in str(listed)
    assert run("access_key_delete", made["access"])[0] == 0
    assert run("access_key_delete", made["access"])[0] == 3
    assert Credential.objects.count() == 1
    assert run("access_key_create", "nobody")[0] == 3
    make_user("eve")
    assert run("access_key_create", "eve")[0] == 3, "she has no role in the project"


def test_an_application_credential_is_made_for_a_user_with_at_most_its_roles(ann: User) -> None:
    made = as_json("application_credential_create", "ann", "backup", "--role", "reader", "--permission", "compute.*.get", "--days", "30")
    row = ApplicationCredential.objects.get()
    assert row.user == ann and made["roles"] == ["reader"] and made["permissions"] == ["compute.*.get"] and row.expires_at
    assert come_by(Made(row, made["secret"]))[0].user_id == ann.pk
    assert run("application_credential_create", "ann", "x", "--role", "admin")[0] == 2
    assert run("application_credential_create", "ann", "backup")[0] == 4


def test_tokens_are_listed_and_revoked(ann: User, project: Project) -> None:
    first, second = make_token(ann, project, name="ci"), make_token(ann, project)
    listed = as_json("token_list", "ann")
    assert [each["name"] for each in listed] == ["ci", ""] and first.secret not in str(listed)
    assert run("token_revoke", str(first.token.pk))[0] == 0
    assert run("token_revoke", str(first.token.pk))[0] == 3
    tokens.check(secret=second.secret)
    assert run("token_revoke", "--user", "ann") == (0, "1 tokens are void.\n")
    assert refusal(tokens.check, secret=second.secret).code == "auth.token_revoked"
    assert run("token_revoke")[0] == 2 and run("token_revoke", "x")[0] != 0
    assert not Token.objects.filter(revoked_at=None).exists()


@pytest.mark.parametrize("domain", ["", "sales"])
def test_a_locked_user_is_unlocked(ann: User, domain: str) -> None:
    user = make_user("bob", domain=make_domain(domain)) if domain else ann
    who: dict[str, Any] = {"username": user.username, "domain_id": user.domain_id}
    for _ in range(settings.ENV.login_attempts):
        refusal(signin.by_password, **who, password="wrong", request=coming_from())
    assert refusal(signin.by_password, **who, password=PASSWORD, request=coming_from()).code == "auth.locked"
    name = f"{domain}/bob" if domain else "ann"
    assert as_json("user_unlock", name) == {"failures": settings.ENV.login_attempts, "second_factor_removed": False}
    signin.by_password(**who, password=PASSWORD, request=coming_from())
    assert run("user_unlock", "nobody")[0] == 3


def test_a_lost_phone_is_no_lost_account(ann: User) -> None:
    with_second_factor(ann)
    assert as_json("user_unlock", "ann", "--totp")["second_factor_removed"] is True
    assert not totp.is_on(actor=actor_in(ann))
