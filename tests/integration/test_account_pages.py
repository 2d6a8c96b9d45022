"""Signing in by a browser, and one's own pages."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from apps.audit.models import Record
from apps.identity.models import ApplicationCredential, Credential, Project, Token, User
from apps.identity.services import access_keys, totp
from tests.support.cloud import make_project
from tests.support.fixtures import Time
from tests.support.identity import PASSWORD, actor_in, give, make_token, make_user
from tests.support.proofs import code_of, make_credential, with_second_factor

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "another battery horse"


@pytest.fixture
def project() -> Project:
    return make_project("blue")


@pytest.fixture
def ann(project: Project) -> User:
    return make_user("ann", project)


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def sign_in(client: Client, password: str = PASSWORD, **more: str) -> Any:
    return client.post("/account/login/", {"username": "ann", "password": password, **more})


@pytest.fixture
def browser(ann: User) -> Client:
    client = Client()
    sign_in(client)
    assert is_in(client)
    return client


def do(client: Client, page: str, what: str, **fields: str) -> Any:
    return client.post(f"/account/{page}", {"do": what, **fields}, follow=True)


def test_who_is_no_operator_comes_to_the_account_and_operators_to_the_overview(ann: User) -> None:
    assert sign_in(Client())["Location"] == "/account/"
    give(ann, "reader")
    assert sign_in(Client())["Location"] == "/admin/"
    assert sign_in(Client(), next="/account/tokens/")["Location"] == "/account/tokens/"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/account/login/?next=/"])
def test_signing_in_leads_nowhere_else(ann: User, elsewhere: str) -> None:
    assert sign_in(Client(), next=elsewhere)["Location"] == "/account/"


def test_a_wrong_password_says_no_more_than_that(ann: User) -> None:
    client = Client()
    for username in ("ann", "nobody"):
        answer = client.post("/account/login/", {"username": username, "password": "wrong"})
        assert answer.status_code == 200 and b"Unknown user or wrong password." in answer.content
    assert not is_in(client)
    assert [row.user_name for row in Record.objects.filter(code="auth.failed").order_by("id")] == ["ann", "nobody"]


def test_a_new_session_is_begun_and_written_down(ann: User) -> None:
    client = Client()
    client.get("/account/login/")
    sign_in(client, "wrong")
    before = client.cookies.get(settings.SESSION_COOKIE_NAME)
    sign_in(client)
    assert before is None or client.cookies[settings.SESSION_COOKIE_NAME].value != before.value
    assert client.cookies[settings.SESSION_COOKIE_NAME]["max-age"] == settings.ENV.session_hours * 3600
    row = Record.objects.get(action="identity.session.open")
    assert (row.user_name, row.address) == ("ann", "127.0.0.1")


def test_the_password_alone_signs_nobody_in_who_has_a_second_factor(ann: User) -> None:
    seed, client = with_second_factor(ann), Client()
    for page in ("/account/login/", "/admin/login/", "/api/session/login/"):
        answer = client.post(page, {"username": "ann", "password": PASSWORD, "next": "/account/tokens/"})
        assert answer["Location"] == "/account/login/code/" and not is_in(client)
    assert client.get("/account/tokens/").status_code == 302
    assert client.get("/api/v1/whoami").status_code == 401
    assert b"one-time-code" in client.get("/account/login/code/").content
    wrong = client.post("/account/login/code/", {"code": "000000"})
    assert b"This code is wrong" in wrong.content and not is_in(client)
    right = client.post("/account/login/code/", {"code": code_of(seed)})
    assert right["Location"] == "/account/tokens/" and is_in(client)


def test_nobody_begins_with_the_code_or_comes_late_with_it(ann: User, time_machine: Time) -> None:
    seed, client = with_second_factor(ann), Client()
    assert client.get("/account/login/code/")["Location"] == "/account/login/"
    assert client.post("/account/login/code/", {"code": code_of(seed)})["Location"] == "/account/login/"
    sign_in(client)
    time_machine.forward(301)
    client.post("/account/login/code/", {"code": code_of(seed)})
    assert not is_in(client)


def test_who_was_disabled_between_password_and_code_stays_out(ann: User) -> None:
    seed, client = with_second_factor(ann), Client()
    sign_in(client)
    User.objects.update(is_active=False)
    client.post("/account/login/code/", {"code": code_of(seed)})
    assert not is_in(client)


def test_codes_cannot_be_guessed(ann: User) -> None:
    seed, client = with_second_factor(ann), Client()
    sign_in(client)
    for _ in range(settings.ENV.login_attempts):
        client.post("/account/login/code/", {"code": "000000"})
    answer = client.post("/account/login/code/", {"code": code_of(seed)})
    assert b"Too many wrong passwords or codes" in answer.content and not is_in(client)


def test_an_expired_password_is_changed_on_the_way_in(ann: User, monkeypatch: pytest.MonkeyPatch, time_machine: Time) -> None:
    from apps.common import clock

    seed, client = with_second_factor(ann), Client()
    User.objects.update(password_expires_at=clock.now())
    time_machine.forward(60)
    sign_in(client)
    assert client.get("/account/login/new-password/")["Location"] == "/account/login/", "the code comes first"
    assert client.post("/account/login/code/", {"code": code_of(seed)})["Location"] == "/account/login/new-password/"
    assert not is_in(client)
    for new, again, why in ((PASSWORD, PASSWORD, b"is the old one"), ("short", "short", b"too short"), (NEW, "x", b"not the same")):
        answer = client.post("/account/login/new-password/", {"new_password": new, "again": again})
        assert why in answer.content and not is_in(client)
    assert client.post("/account/login/new-password/", {"new_password": NEW, "again": NEW})["Location"] == "/account/"
    assert is_in(client)
    assert User.objects.get().check_password(NEW)


def test_the_browsable_api_and_the_admin_site_use_the_same_page(ann: User) -> None:
    client = Client()
    for page in ("/account/login/", "/admin/login/", "/api/session/login/"):
        answer = client.get(f"{page}?next=/api/v1/whoami")
        assert answer.status_code == 200 and b'value="/api/v1/whoami"' in answer.content
    sign_in(client)
    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    refused = client.get("/admin/login/?next=/admin/")
    assert refused.status_code == 200 and b"who is no operator" in refused.content
    assert client.get("/account/login/")["Location"] == "/account/"
    assert client.get("/admin/password_change/")["Location"].startswith("/admin/login/")


def test_signing_out_takes_a_post(browser: Client) -> None:
    browser.get("/account/logout/")
    assert is_in(browser)
    browser.post("/account/logout/")
    assert not is_in(browser)
    assert browser.get("/account/")["Location"] == "/account/login/?next=/account/"


def test_forms_need_the_token_against_forgery(ann: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ann)
    for page in ("", "login/", "login/code/", "logout/", "tokens/", "access-keys/", "password/"):
        assert client.post(f"/account/{page}", {"do": "create"}).status_code == 403


def test_one_switches_between_ones_projects_and_works_there(ann: User, browser: Client) -> None:
    green, foreign = make_project("green"), make_project("of-others")
    give(ann, "reader", green)
    page = browser.get("/account/").content.decode()
    assert "blue" in page and "green" in page and "of-others" not in page
    do(browser, "", "switch", project_id=str(green.pk))
    assert browser.get("/api/v1/whoami").json()["project_name"] == "green"
    assert b"no such project" in do(browser, "", "switch", project_id=str(foreign.pk)).content
    assert b"no such project" not in do(browser, "", "switch", project_id=str(green.pk)).content
    assert b"open it anew" in do(browser, "", "switch", project_id="x").content
    assert browser.get("/api/v1/whoami").json()["project_name"] == "green"


def test_tokens_are_seen_and_revoked(ann: User, project: Project, browser: Client) -> None:
    first, _ = make_token(ann, project, name="ci"), make_token(ann, project)
    foreign = make_token(make_user("bob", project), project, name="bobs")
    page = browser.get("/account/tokens/").content.decode()
    assert first.token.prefix in page and "ci" in page and "bobs" not in page and first.secret not in page
    do(browser, "tokens/", "revoke", id=str(first.token.pk))
    assert b"no such token" in do(browser, "tokens/", "revoke", id=str(foreign.token.pk)).content
    assert b"1 tokens are void" in do(browser, "tokens/", "revoke_all").content
    assert Token.objects.filter(revoked_at=None).get() == foreign.token


def test_an_application_credential_is_made_shown_once_and_deleted(ann: User, project: Project, browser: Client) -> None:
    made = do(browser, "application-credentials/", "create", name="backup", roles="reader", permissions="compute.*", days="30")
    secret = re.search(r'cs-secret">([^<]+)<', made.content.decode())
    row = ApplicationCredential.objects.get()
    assert secret is not None and secret[1] not in browser.get("/account/application-credentials/").content.decode()
    assert [role.name for role in row.roles.all()] == ["reader"] and row.permissions == ["compute.*"] and row.expires_at
    twice = do(browser, "application-credentials/", "create", name="backup")
    assert b"one named &#x27;backup&#x27; already" in twice.content
    assert b"there is none like" in do(browser, "application-credentials/", "create", name="x", permissions="nonsense").content
    foreign = make_credential(make_user("bob", project), project)
    assert b"There is no application credential" in do(browser, "application-credentials/", "delete", id=str(foreign.credential.pk)).content
    do(browser, "application-credentials/", "delete", id=str(row.pk))
    assert ApplicationCredential.objects.get() == foreign.credential


def test_an_access_key_is_made_shown_once_and_deleted(ann: User, browser: Client) -> None:
    made = do(browser, "access-keys/", "create", name="laptop")
    row = Credential.objects.get()
    key = access_keys.find(access=row.access or "")
    assert key is not None and key.secret in made.content.decode()
    assert key.secret not in browser.get("/account/access-keys/").content.decode()
    do(browser, "access-keys/", "delete", id=str(row.pk))
    assert Credential.objects.count() == 0


def test_a_second_factor_is_set_up_with_a_qr_code_and_taken_away(ann: User, browser: Client, time_machine: Time) -> None:
    time_machine.stand()
    shown = do(browser, "second-factor/", "enrol").content.decode()
    seed = re.search(r'cs-secret">([A-Z2-7]+)<', shown)
    assert seed is not None and 'src="data:image/svg+xml' in shown
    again = do(browser, "second-factor/", "confirm", code="000000").content.decode()
    assert "not the code of this moment" in again and seed[1] in again, "the same code can be scanned again"
    do(browser, "second-factor/", "confirm", code=code_of(seed[1], steps=-1))
    assert totp.is_on(actor=actor_in(ann))
    assert seed[1] not in browser.get("/account/second-factor/").content.decode()
    assert b"This code is wrong" in do(browser, "second-factor/", "remove", code="000000").content
    do(browser, "second-factor/", "remove", code=code_of(seed[1]))
    assert not totp.is_on(actor=actor_in(ann))


def test_another_password_ends_tokens_and_other_sessions(ann: User, project: Project, browser: Client) -> None:
    other = Client()
    sign_in(other)
    make_token(ann, project)
    wrong = do(browser, "password/", "change", old_password="wrong", new_password=NEW, again=NEW)
    assert b"Unknown user or wrong password." in wrong.content
    for new, why in (("short", b"too short"), (PASSWORD, b"is the old one"), ("12345678901", b"entirely numeric")):
        assert why in do(browser, "password/", "change", old_password=PASSWORD, new_password=new, again=new).content
    assert other.get("/account/").status_code == 200
    do(browser, "password/", "change", old_password=PASSWORD, new_password=NEW, again=NEW)
    assert browser.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302
    assert not Token.objects.filter(revoked_at=None).exists()


def test_a_password_that_only_administrators_set_stays(ann: User, browser: Client) -> None:
    User.objects.update(options={"lock_password": True})
    assert b"by an administrator only" in do(browser, "password/", "change", old_password=PASSWORD, new_password=NEW, again=NEW).content
    User.objects.update(options={}, source="ldap")
    assert b"from the directory" in browser.get("/account/password/").content


def test_a_user_without_a_project_has_an_account_too() -> None:
    make_user("ann")
    client = Client()
    sign_in(client)
    assert b"no role in any project" in client.get("/account/").content
    for page in ("tokens/", "application-credentials/", "access-keys/", "second-factor/", "password/"):
        assert client.get(f"/account/{page}").status_code == 200
    for page in ("application-credentials/", "access-keys/"):
        assert b"You work in no project" in do(client, page, "create", name="x").content


def test_the_bare_address_leads_home(ann: User, browser: Client) -> None:
    assert Client().get("/")["Location"] == "/account/login/"
    assert browser.get("/")["Location"] == "/account/"
    give(ann, "reader")
    assert browser.get("/")["Location"] == "/admin/"


def test_pages_keep_to_the_security_policy(browser: Client) -> None:
    do(browser, "access-keys/", "create")
    for page in ("", "tokens/", "application-credentials/", "access-keys/", "second-factor/", "password/"):
        answer = browser.get(f"/account/{page}")
        assert "script-src 'self'" in answer["Content-Security-Policy"] and "no-store" in answer["Cache-Control"]
        assert not re.search(rb"<script(?![^>]*src)|style=|onclick=", answer.content)
