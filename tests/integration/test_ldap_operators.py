"""What operators see of the directory: commands, the doctor, `manage.py check`."""

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from apps.identity import checks
from apps.identity.directory import config
from apps.identity.models import Project, User
from apps.identity.services import directory_health
from tests.support.cloud import make_project
from tests.support.commands import as_json, run
from tests.support.directory import Directory, let_group, members, sync, users
from tests.support.fixtures import Time
from tests.support.identity import make_user
from tests.support.slapd import GROUPS, PEOPLE, STAFF, SUFFIX

ROOT = Path(__file__).resolve().parents[2]


def steps() -> list[tuple[str, str]]:
    return [(step.name, step.verdict) for step in directory_health.examine()]


def test_ldap_sync_tells_what_it_did_and_what_it_would(directory: Directory) -> None:
    directory.group("engineers", directory.person("ann"))
    directory.person("bob")
    code, text = run("ldap_sync", "--dry-run")
    assert code == 0 and "users created" in text and "ann" in text and "Would be:" in text and users() == {}
    code, text = run("ldap_sync")
    assert code == 0 and "2 users created" in text and "1 members added" in text
    assert as_json("ldap_sync") == {"users_found": 2, "groups_found": 1, "problems": [], "lines": []}
    directory.person("BOB", base=STAFF)
    directory.settings(ldap_user_base=SUFFIX)
    assert "another user named" in run("ldap_sync")[1]


@pytest.mark.parametrize(
    ("broken", "code", "words"),
    [
        ({"ldap_bind_password": "wrong"}, 5, "directory.bind"), ({"ldap_url": "ldap://127.0.0.1:1"}, 5, "directory.connect"),
        ({"ldap_user_filter": "(uid=nobody)"}, 4, "--force"), ({"ldap_url": ""}, 4, "directory.not_configured"),
    ],
)
def test_ldap_sync_that_fails_says_why_by_its_exit_code_too(directory: Directory, broken: dict[str, str], code: int, words: str) -> None:
    directory.person("ann")
    sync()
    directory.settings(**broken)
    ended, text = run("ldap_sync")
    assert ended == code and words in text
    if words == "--force":
        assert run("ldap_sync", "--force")[0] == 0 and users() == {"ann": "gone"}


def test_ldap_check_goes_step_by_step(directory: Directory) -> None:
    directory.group("engineers", directory.person("ann"))
    code, text = run("ldap_check")
    assert code == 0 and text.count("✔") == 3 and "1 users below" in text
    for broken, words in (
        ({"ldap_user_filter": "(uid=nobody)"}, "there are no users below"), ({"ldap_user_base": f"ou=none,{SUFFIX}"}, "refuses to search below ou=none"),
        ({"ldap_bind_password": "wrong"}, "CLOUDSITE_LDAP_BIND_DN"), ({"ldap_url": "ldaps://127.0.0.1:1"}, "does not answer"),
    ):
        directory.settings(**broken)
        code, text = run("ldap_check")
        assert code == 1 and words in text and "→" in text


def test_ldap_check_tells_what_becomes_of_a_user(directory: Directory) -> None:
    ann = directory.person("müller, hans")
    inner = directory.group("inner", ann)
    directory.group("outer", inner)
    found = as_json("ldap_check", "--user", "MÜLLER, hans")["user"]
    assert (found["name"], found["groups"], found["roles"], found["here"]) == ("müller, hans", ["inner", "outer"], [], "a new user")
    sync()
    let_group("outer", "member", make_project("p"))
    code, text = run("ldap_check", "--user", "müller, hans")
    assert code == 0 and "member in p by outer" in text and "enabled" in text
    directory.set(ann, pwdAccountLockedTime="000001010000Z")
    assert as_json("ldap_check", "--user", "müller, hans")["user"]["state"] == "locked"
    assert run("ldap_check", "--user", "nobody*")[0] == 3
    directory.person("müller, hans", base=STAFF)
    directory.settings(ldap_user_base=f"{PEOPLE};{STAFF}")
    assert "several users named" in run("ldap_check", "--user", "müller, hans")[1]


def test_ldap_check_knows_posix_groups_and_names_of_the_database(directory: Directory) -> None:
    directory.person("ann", objectClass=["inetOrgPerson", "posixAccount"], uidNumber="1", gidNumber="7", homeDirectory="/")
    directory.add(f"cn=one,{GROUPS}", objectClass="posixGroup", cn="one", gidNumber="7")
    directory.add(f"cn=two,{GROUPS}", objectClass="posixGroup", cn="two", gidNumber="8", memberUid="ann")
    directory.settings(ldap_group_type="posixGroup", ldap_domain="Default")
    make_user("ann")
    found = as_json("ldap_check", "--user", "ann")["user"]
    assert found["groups"] == ["one", "two"] and "a user of the database has that name" in found["here"]


def test_roles_are_given_to_groups_before_anybody_signs_in(directory: Directory) -> None:
    directory.group("engineers")
    sync()
    make_project("p")
    domain = Project.objects.get(name="ldap")
    assert run("role_assign", "member", "--group", f"{domain.name}/engineers", "--project", "p")[0] == 0
    ann = directory.person("ann")
    directory.members(f"cn=engineers,{GROUPS}", ann)
    assert as_json("ldap_check", "--user", "ann")["user"]["roles"] == ["member in p by engineers"]


def test_the_doctor_names_each_illness_of_the_directory(directory: Directory, time_machine: Time) -> None:
    ann = directory.person("ann")
    directory.group("engineers", ann)
    assert steps()[-1] == ("sync", "fault")
    sync()
    assert steps() == [("bind", "ok"), ("users", "ok"), ("groups", "ok"), ("sync", "ok")]
    time_machine.forward(200)
    assert steps()[-1] == ("sync", "fault")
    directory.stop()
    with pytest.raises(Exception, match="does not answer"):
        sync()
    assert steps() == [("connect", "fault"), ("sync", "fault")]
    text = next(step.what for step in directory_health.examine() if step.name == "sync")
    assert "not synchronised since 20" in text and "does not answer" in text
    directory.settings(ldap_url="")
    assert steps() == [("settings", "warning")]
    User.objects.all().delete()
    assert steps() == []


def test_the_doctor_shows_it(directory: Directory) -> None:
    directory.person("ann")
    sync()
    with mock.patch("urllib.request.build_opener"):
        found = [each for each in as_json("doctor", code=1) if each["check"] == "directory"]
    assert [each["verdict"] for each in found] == ["ok", "ok", "warning", "ok"] and "there are no groups" in found[2]["what"]


def test_the_extra_that_is_missing_is_an_error_of_check_and_doctor(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.directory_settings() == []
    monkeypatch.setattr(config, "is_installed", lambda: False)
    (error,) = checks.directory_settings()
    assert error.id == "identity.E001" and "requirements-ldap.txt" in str(error.hint)
    assert steps()[0] == ("extra", "fault")
    directory.settings(ldap_url="")
    assert checks.directory_settings() == []


def test_check_warns_of_clear_text_and_with_deploy_asks_the_directory(directory: Directory) -> None:
    assert checks.directory_answers()[0].id == "identity.W002"  # nobody is there yet
    directory.group("engineers", directory.person("ann"))
    assert checks.directory_answers() == []
    directory.settings(ldap_url="ldap://ldap.example.org")
    assert [each.id for each in checks.directory_settings()] == ["identity.W001"]


def test_without_the_extra_everything_else_can_be_imported(tmp_path: Path) -> None:
    """As it is where only requirements.txt is installed."""
    program = (
        "import sys\n"
        "for name in ('ldap', '_ldap', 'django_auth_ldap'): sys.modules[name] = None\n"
        "import django; django.setup()\n"
        "from django.core.management import call_command\n"
        "import cloudsite.urls, cloudsite.doctor, apps.operations.services.ticker, apps.identity.ldap_backend\n"
        "import apps.identity.management.commands.ldap_sync, apps.identity.management.commands.ldap_check\n"
        "from django.contrib.auth import load_backend, get_backends\n"
        "get_backends()\n"
        "call_command('check')\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDSITE_")}
    environment |= {"CLOUDSITE_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "cloudsite.settings"}
    for given in ({}, {"CLOUDSITE_LDAP_URL": "ldaps://ldap.example.org", "CLOUDSITE_LDAP_USER_BASE": "dc=example"}):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment | given, capture_output=True, text=True, check=False
        )
        if given:
            assert "identity.E001" in done.stderr, done.stderr
        else:
            assert done.returncode == 0, done.stderr


def test_the_control_planes_requirements_are_without_ldap() -> None:
    names = {line.partition("=")[0].lower() for line in (ROOT / "requirements.txt").read_text().splitlines()}
    assert not names & {"python-ldap", "django-auth-ldap"}
    extra = {line.partition("=")[0].lower() for line in (ROOT / "requirements-ldap.txt").read_text().splitlines()}
    assert {"python-ldap", "django-auth-ldap"} <= extra


def test_who_is_disabled_by_the_directory_is_shown_as_such(directory: Directory) -> None:
    directory.group("engineers", directory.person("ann", description="x"))
    sync()
    assert as_json("user_show", "ldap/ann")["source"] == "ldap" and members("engineers") == {"ann"}
