"""Users of an LDAP directory over HTTP, from the first sign-in to the day on which the directory has them no more."""

from typing import Any

import pytest
from django.test import Client

from apps.identity.models import Project, User
from apps.identity.services import directory as directory_service
from tests.api.conftest import MakeUser
from tests.api.kit import Http
from tests.support.cloud import make_project
from tests.support.directory import Directory, let_group, sync, users
from tests.support.fixtures import Time
from tests.support.identity import PASSWORD as DATABASE_PASSWORD
from tests.support.identity import make_user
from tests.support.slapd import GROUPS, PASSWORD, PEOPLE

INTERVAL_S = 30


@pytest.fixture
def project(directory: Directory) -> Project:
    """Ann is an engineer, and engineers are members of `p`; Bob is nothing yet."""
    directory.group("engineers", directory.person("ann"))
    directory.person("bob")
    sync()
    made = make_project("p")
    let_group("engineers", "member", made)
    return made


def signed_in(name: str = "ann", **more: Any) -> Http:
    """Somebody of the directory with a token by its password."""
    somebody = Http()
    somebody.secret = ask(somebody, name, **more).ok(201)["secret"]
    return somebody


def ask(http: Http, name: str = "ann", password: str = PASSWORD, domain: str = "ldap") -> Any:
    return http.post("tokens", {"username": name, "password": password, "domain": domain})


def test_a_password_of_the_directory_gives_a_token_with_the_roles_of_its_groups(project: Project) -> None:
    me = signed_in().get("whoami").ok()
    assert (me["user_name"], me["project_id"]) == ("ann", str(project.pk))
    assert "member" in me["roles"] and "compute.instance.create" in me["permissions"]
    ask(Http(), password="wrong").problem(401, "auth.failed")
    ask(Http(), domain="").problem(401, "auth.failed")
    ask(Http(), "bob").problem(403, "auth.no_project")


def test_openstack_clients_sign_in_with_it_too(project: Project) -> None:
    identity = {"methods": ["password"], "password": {"user": {"name": "ann", "domain": {"name": "ldap"}, "password": PASSWORD}}}
    scope = {"project": {"name": "p", "domain": {"name": "Default"}}}
    answer = Http()("POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
    token = answer.ok(201)["token"]
    assert token["user"]["domain"]["name"] == "ldap" and token["project"]["id"] == str(project.pk)
    assert {role["name"] for role in token["roles"]} >= {"member", "reader"}


def test_a_browser_signs_in_with_domain_and_name(project: Project) -> None:
    browser = Client()
    assert browser.post("/admin/login/", {"username": "ldap/ann", "password": "wrong"}).status_code == 200
    assert "_auth_user_id" not in browser.session
    browser.post("/admin/login/", {"username": "ldap/ann", "password": PASSWORD})
    assert browser.session["_auth_user_id"] == str(User.objects.get(username="ann").pk)


def test_who_is_moved_to_another_group_has_its_roles_and_not_the_old_ones(directory: Directory, project: Project, time_machine: Time) -> None:
    ann, other = signed_in(), make_project("q")
    directory.group("testers", f"uid=ann,{PEOPLE}", f"uid=bob,{PEOPLE}")
    directory.members(f"cn=engineers,{GROUPS}")
    tick(time_machine)
    let_group("testers", "reader", other)
    ann.get("instances").problem(401, "auth.no_role")
    assert signed_in().get("whoami").ok()["project_name"] == "q"
    assert signed_in("bob").get("whoami").ok()["roles"] == ["reader"]


@pytest.mark.parametrize("end", ["locked", "deleted", "out of the base"])
def test_who_is_out_in_the_directory_is_out_here_within_the_interval(
    directory: Directory, project: Project, time_machine: Time, end: str
) -> None:
    ann, dn = signed_in(), f"uid=ann,{PEOPLE}"
    tick(time_machine)
    ann.get("whoami").ok()
    if end == "locked":
        directory.set(dn, pwdAccountLockedTime="000001010000Z")
    elif end == "deleted":
        directory.delete(dn)
    else:
        directory.rename(dn, "uid=ann", GROUPS)
    time_machine.forward(INTERVAL_S / 3)  # the rest is for a busy machine
    assert directory_service.sync_if_due() is None
    ann.get("whoami").ok()
    time_machine.forward(INTERVAL_S)
    assert directory_service.sync_if_due() is not None
    assert ann.get("whoami").status == 401
    ask(Http()).problem(401, "auth.failed")
    assert users()["bob"] == "in"


def test_a_renamed_user_keeps_its_token_and_signs_in_by_the_new_name(directory: Directory, project: Project, time_machine: Time) -> None:
    ann = signed_in()
    directory.members(f"cn=engineers,{GROUPS}", directory.rename(f"uid=ann,{PEOPLE}", "uid=ann.smith"))
    tick(time_machine)
    assert ann.get("whoami").ok()["user_name"] == "ann.smith"
    assert signed_in("ann.smith").get("whoami").ok()["user_id"] == ann.get("whoami").ok()["user_id"]
    ask(Http(), "ann").problem(401, "auth.failed")


def test_a_directory_that_is_down_is_an_error_for_its_users_alone(directory: Directory, project: Project, time_machine: Time) -> None:
    make_user("carol", project)
    ann = signed_in()
    directory.stop()
    answer = ask(Http())
    problem = answer.problem(503, "directory.unavailable")
    assert int(answer.headers["Retry-After"]) >= 1 and "127.0.0.1" not in str(problem)
    # For an OpenStack client as well.
    identity = {"methods": ["password"], "password": {"user": {"name": "ann", "domain": {"name": "ldap"}, "password": PASSWORD}}}
    assert Http()("POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity}}).status == 503
    page = Client().post("/admin/login/", {"username": "ldap/ann", "password": PASSWORD})
    assert page.status_code == 200 and b"does not answer now" in page.content
    ask(Http(), "carol", DATABASE_PASSWORD, "").ok(201)
    ask(Http(), "nobody", domain="").problem(401, "auth.failed")
    # Tokens go on, and nobody is disabled because the directory says nothing.
    for _ in range(3):
        time_machine.forward(INTERVAL_S + 1)
        assert directory_service.sync_if_due() is None
    ann.get("whoami").ok()
    directory.start()
    tick(time_machine)
    directory.settings()  # the pause after the last failure is over
    signed_in().get("whoami").ok()


def test_operators_see_how_it_goes_and_start_a_synchronisation(
    directory: Directory, project: Project, sign_in: MakeUser, time_machine: Time
) -> None:
    operator = sign_in("root", project, operator=True)
    status = operator.get("directory").ok()
    assert status["configured"] and status["domain"] == "ldap" and status["domain_id"] == str(Project.objects.get(name="ldap").pk)
    assert (status["users"], status["users_enabled"], status["groups"], status["error"]) == (2, 2, 1, None)
    assert status["result"]["users_created"] == 2 and status["age_s"] < 60
    directory.person("carol")
    assert directory_service.sync_if_due() is None
    asked = operator.post("directory").ok(202)
    assert asked["due_at"] < status["due_at"]
    assert directory_service.sync_if_due() is not None
    assert operator.get("directory").ok()["users"] == 3
    directory.settings(ldap_bind_password="wrong")
    tick(time_machine)
    status = operator.get("directory").ok()
    assert status["error"]["code"] == "directory.bind" and status["good_at"] and "wrong" not in str(status)


def test_members_neither_see_nor_start_it(project: Project) -> None:
    ann = signed_in()
    ann.get("directory").problem(403, "policy.forbidden")
    ann.post("directory").problem(403, "policy.forbidden")
    Http().get("directory").problem(401, "auth.required")


def test_without_a_directory_there_is_nothing_to_start(directory: Directory, sign_in: MakeUser) -> None:
    operator = sign_in("root", operator=True)
    directory.settings(ldap_url="")
    status = operator.get("directory").ok()
    assert not status["configured"] and status["users"] == 0 and status["good_at"] is None
    operator.post("directory").problem(409, "directory.not_configured")


def test_what_the_directory_says_is_not_changed_by_the_api(project: Project, sign_in: MakeUser) -> None:
    operator = sign_in("root", project, operator=True)
    user = User.objects.get(username="ann")
    shown = operator.get(f"users/{user.pk}").ok()
    assert shown["source"] == "ldap"
    operator.patch(f"users/{user.pk}", {"email": "x@example.org"}).problem(403, "user.read_only", "email")
    operator.patch(f"users/{user.pk}", {"enabled": False}).ok()
    ask(Http()).problem(401, "auth.failed")
    operator.patch(f"users/{user.pk}", {"enabled": True}).ok()
    signed_in()


def tick(time_machine: Time) -> None:
    """The interval is over, and the ticker comes by."""
    time_machine.forward(INTERVAL_S + 1)
    directory_service.sync_if_due()
