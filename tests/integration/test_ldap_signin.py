"""Signing in with a password of the directory: who gets in, as whom, and what happens to others when it is away."""

import dataclasses
import time
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import authenticate
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from apps.common.context import SYSTEM
from apps.common.errors import Conflict
from apps.identity.directory import breaker, config
from apps.identity.ldap_backend import Ldap
from apps.identity.models import Project, User
from apps.identity.services import directory as directory_service
from apps.identity.services import signin, tokens
from apps.identity.services import users as user_services
from tests.support.cloud import make_project, refusal
from tests.support.directory import Directory, let_group, members, sign_in, sync, users
from tests.support.identity import PASSWORD as DATABASE_PASSWORD
from tests.support.identity import make_user
from tests.support.slapd import GROUPS, PASSWORD, PEOPLE, STAFF, SUFFIX, SlapdMissing, make_tls
from tests.support.threads import together, unexpected


def entered(username: str, password: str = PASSWORD, domain_id: uuid.UUID | None = None) -> User | None:
    """What Django's own sign-in says."""
    request = RequestFactory().post("/")
    found = authenticate(request, username=username, password=password, domain_id=domain_id)
    assert found is None or isinstance(found, User)
    return found


def test_who_signs_in_before_the_next_sync_is_made_with_its_groups_and_their_roles(directory: Directory) -> None:
    directory.group("engineers", directory.person("bob"))
    sync()
    project = make_project("p")
    let_group("engineers", "member", project)
    ann = directory.person("ann")
    directory.members(f"cn=engineers,{GROUPS}", ann)
    directory.group("new", ann)
    issued = sign_in("ann")
    assert issued.actor.project_id == project.pk and "member" in issued.actor.roles
    row = User.objects.get(username="ann")
    assert (row.source, row.email, row.has_usable_password(), row.domain.name) == ("ldap", "ann@example.org", False, "ldap")
    assert members("engineers") == {"ann", "bob"} and members("new") == {"ann"}
    # The next sync finds what it would have made.
    assert sync() == {"users_found": 2, "groups_found": 2, "members_removed": 1}


def test_a_role_that_a_group_had_is_lost_with_the_next_sign_in(directory: Directory) -> None:
    ann = directory.person("ann")
    inner = directory.group("inner", ann)
    directory.group("outer", inner)
    sync()
    let_group("outer", "member", make_project("p"))
    sign_in("ann")
    directory.members(inner)
    assert refusal(sign_in, "ann").code == "auth.no_project"
    assert members("inner") == members("outer") == set()


def test_a_sign_in_that_changes_nothing_writes_no_user_and_no_group(directory: Directory) -> None:
    directory.group("engineers", directory.person("ann"))
    sync()
    home = Project.objects.get(name="ldap").pk
    with CaptureQueriesContext(connection) as captured:
        assert entered("ann", domain_id=home)
    assert not [each["sql"] for each in captured if not each["sql"].startswith("SELECT")]


@pytest.mark.parametrize("password", ["wrong", "", " ", PASSWORD + "\x00"])
def test_a_wrong_password_is_refused(directory: Directory, password: str) -> None:
    directory.person("ann")
    sync()
    assert refusal(sign_in, "ann", password).code == "auth.failed"


@pytest.mark.parametrize(
    "name", ["*", "a*", "ann)(uid=*", "*)(objectClass=*", "ann)(|(uid=bob", "ann\x00", "ann\ud800", "\\2a", "%s", "%(user)s", "nobody", "x" * 255],
)
def test_what_is_typed_is_a_name_and_never_a_filter(directory: Directory, name: str) -> None:
    directory.person("ann")
    directory.person("bob")
    sync()
    home = Project.objects.get(name="ldap").pk
    for typed, domain in ((name, home), (f"ldap/{name}", None)):
        assert Ldap().authenticate(RequestFactory().post("/"), username=typed, password=PASSWORD, domain_id=domain) is None


@pytest.mark.parametrize("name", ["müller, hans", "o'neil (x)", "50%s", "a\\b", "ann+bob", "#1 \"quoted\"", "a/b", "小明"])
def test_odd_names_sign_in_and_have_their_groups(directory: Directory, name: str) -> None:
    directory.group("a (b) 50%, c", directory.person(name))
    sync()
    let_group("a (b) 50%, c", "member", make_project("p"))
    assert sign_in(name).token.user.username == name
    assert members("a (b) 50%, c") == {name}


def test_a_user_of_the_same_name_elsewhere_is_another_one(directory: Directory) -> None:
    mine = make_user("ann", make_project("mine"))
    directory.group("engineers", directory.person("ann"))
    sync()
    let_group("engineers", "member", make_project("theirs"))
    assert signin.login(username="ann", password=DATABASE_PASSWORD).token.user == mine
    theirs = sign_in("ann").token.user
    assert theirs != mine
    assert refusal(sign_in, "ann", domain="").code == "auth.failed"
    assert refusal(sign_in, "ann", DATABASE_PASSWORD).code == "auth.failed"
    assert entered("ldap/ann") == theirs and entered("ann") is None


def test_by_id_a_user_signs_in_as_by_name(directory: Directory) -> None:
    directory.person("ann")
    sync()
    row = User.objects.get(username="ann")
    request = RequestFactory().post("/")
    assert signin.by_password(user_id=row.pk, password=PASSWORD, request=request).user == row
    # Its name has come to somebody else, who is not meant by that id.
    directory.delete(directory.rename(f"uid=ann,{PEOPLE}", "uid=smith"))
    directory.person("ann")
    assert refusal(signin.by_password, user_id=row.pk, password=PASSWORD, request=request).code == "auth.failed"


def test_capitals_do_not_matter_to_the_directory_and_give_no_more_guesses(directory: Directory) -> None:
    directory.person("ann")
    sync()
    home = Project.objects.get(name="ldap").pk
    assert entered("ANN", domain_id=home) == User.objects.get(username="ann")
    for name in ("ann", "Ann", "aNn", "anN", "ANn")[: settings.ENV.login_attempts]:
        assert refusal(sign_in, name, "wrong").code == "auth.failed"
    for name in ("ann", "aNN"):
        assert refusal(sign_in, name).code == "auth.locked"


def test_a_user_who_is_locked_there_is_refused_and_out_at_once(directory: Directory) -> None:
    ann = directory.person("ann", pwdAccountLockedTime=None)
    directory.group("engineers", ann)
    sync()
    let_group("engineers", "member", make_project("p"))
    issued = sign_in("ann")
    directory.set(ann, pwdAccountLockedTime="000001010000Z")
    assert refusal(sign_in, "ann").code == "auth.failed"
    assert users() == {"ann": "locked"}
    assert refusal(tokens.check, secret=issued.secret).kind == "unauthenticated"
    directory.set(ann, pwdAccountLockedTime=None)
    sign_in("ann")
    assert users() == {"ann": "in"}


def test_who_is_disabled_here_does_not_sign_in(directory: Directory) -> None:
    directory.person("ann")
    sync()
    user_services.update_user(actor=SYSTEM, user_id=User.objects.get(username="ann").pk, enabled=False)
    assert refusal(sign_in, "ann").code == "auth.failed"
    assert users() == {"ann": "disabled here"}


def test_a_disabled_domain_keeps_all_of_its_users_out(directory: Directory) -> None:
    directory.person("ann")
    sync()
    Project.objects.filter(name="ldap").update(enabled=False)
    directory.stop()  # and nobody is asked
    assert refusal(sign_in, "ann").code == "auth.failed"


def test_a_user_who_was_renamed_this_moment_signs_in_by_the_new_name(directory: Directory) -> None:
    ann = directory.person("ann")
    sync()
    before = User.objects.get(username="ann")
    directory.rename(ann, "uid=ann.smith", STAFF)
    directory.settings(ldap_user_base=f"{PEOPLE};{STAFF}")
    assert refusal(sign_in, "ann").code == "auth.failed"
    assert entered("ldap/ann.smith") == before
    assert users() == {"ann.smith": "in"}


def test_many_who_come_at_once_for_the_first_time_are_each_made_once(directory: Directory) -> None:
    names = [f"user{number}" for number in range(4)]
    sync()
    directory.group("engineers", *(directory.person(name) for name in names))
    home = Project.objects.get(name="ldap").pk
    calls: list[Any] = [partial(entered, name, domain_id=home) for name in names * 3]
    results = together([*calls, partial(directory_service.sync), partial(directory_service.sync)])
    assert unexpected(results, Conflict) == []
    assert {str(each) for each in results if isinstance(each, User)} == set(names)
    assert users() == dict.fromkeys(names, "in") and members("engineers") == set(names)


def test_the_name_of_one_who_is_gone_is_free_for_the_next(directory: Directory) -> None:
    directory.delete(directory.person("ann"))
    directory.person("bob")
    sync()
    before = User.objects.get(username="bob")
    directory.delete(f"uid=bob,{PEOPLE}")
    directory.person("bob")
    after = entered("ldap/bob")
    assert after is not None and after != before and after.username == "bob"


def test_a_directory_that_is_away_is_said_to_its_users_and_hinders_nobody_else(
    directory: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    project = make_project("p")
    make_user("bob", project)
    directory.group("engineers", directory.person("ann"))
    sync()
    let_group("engineers", "member", project)
    issued = sign_in("ann")
    directory.stop()
    error = refusal(sign_in, "ann")
    assert (error.kind, error.code) == ("unavailable", "directory.unavailable")
    assert error.facts["retry_after_s"] >= 1 and str(directory.url) not in error.message
    tokens.check(secret=issued.secret)
    signin.login(username="bob", password=DATABASE_PASSWORD)
    assert refusal(signin.login, username="nobody", password="x").code == "auth.failed"
    assert users() == {"ann": "in"}


def test_after_a_failure_nobody_waits_for_the_directory_until_it_is_tried_again(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.person("ann")
    sync()
    directory.settings(ldap_timeout_s=0.4)
    monkeypatch.setattr(breaker, "PAUSE_S", 600.0)
    directory.freeze()
    try:
        started = time.monotonic()
        assert refusal(sign_in, "ann").code == "directory.unavailable"
        assert 0.3 < time.monotonic() - started < 20
        monkeypatch.setattr(settings, "ENV", dataclasses.replace(settings.ENV, ldap_timeout_s=20.0))
        started = time.monotonic()
        for _ in range(5):
            assert refusal(sign_in, "ann").code == "directory.unavailable"
        assert time.monotonic() - started < 20
    finally:
        directory.thaw()
    assert refusal(sign_in, "ann").code == "directory.unavailable"
    now = time.monotonic()
    monkeypatch.setattr(breaker, "_until", now - 1)
    assert entered("ldap/ann") is not None
    assert breaker._until == 0.0


def test_while_one_tries_again_the_others_are_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    breaker.failed()
    assert refusal(breaker.check).code == "directory.unavailable"
    monkeypatch.setattr(breaker, "_until", time.monotonic() - 1)
    breaker.check()
    assert refusal(breaker.check).code == "directory.unavailable"
    breaker.answered()
    breaker.check()
    breaker.check()


@pytest.mark.parametrize(
    "broken", [{"ldap_bind_password": "wrong"}, {"ldap_user_base": f"ou=none,{SUFFIX}"}, {"ldap_group_base": f"ou=none,{SUFFIX}"}, {"ldap_user_filter": "(&(uid=*)"}],
)
def test_wrong_settings_are_not_taken_for_wrong_passwords(directory: Directory, broken: dict[str, str]) -> None:
    directory.person("ann")
    sync()
    directory.settings(**broken)
    assert refusal(sign_in, "ann").code == "directory.unavailable"


def test_without_the_extra_only_users_of_the_directory_are_refused(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    make_user("bob", make_project("p"))
    directory.person("ann")
    sync()
    monkeypatch.setattr(config, "is_installed", lambda: False)
    assert refusal(sign_in, "ann").code == "directory.unavailable"
    assert refusal(sync).code == "directory.extra"
    signin.login(username="bob", password=DATABASE_PASSWORD)


@pytest.mark.parametrize("scheme", ["ldaps", "start_tls"])
def test_encrypted_and_only_with_a_certificate_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transactional_db: None, scheme: str
) -> None:
    ours, others = make_tls(tmp_path), make_tls(tmp_path, "other")
    try:
        made = Directory(monkeypatch, tls=ours)
    except SlapdMissing as missing:
        pytest.skip(str(missing))
    with made as directory:
        url = directory.ldaps if scheme == "ldaps" else directory.url
        directory.settings(ldap_url=url, ldap_start_tls=scheme == "start_tls", ldap_ca_file=ours.ca)
        directory.person("ann")
        sync()
        assert entered("ldap/ann") is not None
        directory.settings(ldap_ca_file=others.ca)
        assert refusal(sign_in, "ann").code == "directory.unavailable"
        assert refusal(sync).code == "directory.tls"
        for odd in (tmp_path / "none.pem", ours.key):
            directory.settings(ldap_ca_file=odd)
            assert "is no CA that can be read" in refusal(sync).message
        directory.settings(ldap_ca_file=ours.ca, ldap_timeout_s=0.4)
        directory.freeze()
        try:
            started = time.monotonic()
            assert refusal(sign_in, "ann").code == "directory.unavailable"
            assert time.monotonic() - started < 20
        finally:
            directory.thaw()


def test_of_several_servers_the_first_that_answers_is_asked(directory: Directory) -> None:
    directory.settings(ldap_url=f"ldap://127.0.0.1:1 {directory.url}")
    directory.person("ann")
    sync()
    assert entered("ldap/ann") is not None


def test_active_directory_as_far_as_it_can_be_had_here(directory: Directory) -> None:
    directory.settings(
        ldap_name_attribute="sAMAccountName", ldap_id_attribute="objectGUID", ldap_group_type="activeDirectory",
        ldap_group_filter="(objectClass=groupOfNames)",
    )
    first, second = uuid.uuid4(), uuid.UUID("41424344-4546-4748-494a-4b4c4d4e4f50")  # the second one is text as well
    also: Any = {"objectClass": ["inetOrgPerson", "extensibleObject"]}
    ann = directory.person("ann", sAMAccountName="ANN1", objectGUID=first.bytes_le, userAccountControl="512", accountExpires="0", **also)
    bob = directory.person("bob", sAMAccountName="bob", objectGUID=second.bytes_le, userAccountControl="514", **also)
    group = directory.group("inner", ann, bob)
    outer = directory.group("outer", group)
    for dn in (group, outer):
        directory.set(dn, objectClass=["groupOfNames", "extensibleObject"], objectGUID=uuid.uuid4().bytes_le)
    sync()
    assert users() == {"ANN1": "in"} and User.objects.get(username="ANN1").external_id == str(first)
    assert entered("ldap/ann1") is not None
    directory.set(bob, userAccountControl="512")
    assert entered("ldap/bob").external_id == str(second)
    assert sync() == {"users_found": 2, "groups_found": 2}
    assert members("outer") == {"ANN1", "bob"}
    directory.set(ann, userAccountControl="514")
    directory.set(bob, accountExpires="132000000000000000")
    sync()
    assert users() == {"ANN1": "disabled", "bob": "expired"}
