"""Commands for domains, projects, users, groups and roles, and those that explain who may do what."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.common.context import SYSTEM
from apps.compute.models import KeyPair
from apps.identity import permissions
from apps.identity.models import Assignment, Group, Project, User
from apps.identity.services import groups, projects
from tests.support.cloud import make_project
from tests.support.commands import as_json, run
from tests.support.identity import PASSWORD, give, make_domain, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_domain_with_project_user_and_role_is_made_at_the_shell(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\nmore")
    assert run("domain_create", "acme", "--description", "x")[0] == 0
    assert run("project_create", "shop", "--domain", "acme", "--tag", "b", "--tag", "a")[0] == 0
    stage = as_json("project_create", "stage", "--parent", "acme/shop")
    code, text = run("user_create", "ann", "--domain", "acme", "--password-file", str(tmp_path / "password"), "--default-project", stage["id"])
    assert code == 0 and PASSWORD not in text
    ann = User.objects.get(username="ann")
    assert ann.check_password(PASSWORD) and str(ann.default_project_id) == stage["id"]
    assert run("role_assign", "member", "--user", "acme/ann", "--project", "acme/shop")[0] == 0
    assert run("role_assign", "reader", "--user", "acme/ann", "--domain", "acme", "--inherited")[0] == 0
    assert {each["name"]: each["domain"] for each in as_json("project_list", "--domain", "acme")} == {"shop": "acme", "stage": "acme"}
    assert [each["name"] for each in as_json("project_list", "--user", "acme/ann")] == ["shop", "stage"]
    assert [each["tags"] for each in as_json("project_list", "--tag", "a")] == [["a", "b"]]
    code, text = run("user_show", "acme/ann")
    assert code == 0 and "implied by member" in text and "inherited from domain acme" in text
    (acme,) = (each for each in as_json("domain_list") if each["name"] == "acme")
    assert (acme["users"], acme["projects"]) == (1, 2)


def test_users_are_listed_disabled_enabled_and_deleted() -> None:
    ann, bob = make_user("ann"), make_user("bob", domain=make_domain("acme"))
    KeyPair.objects.create(user_id=ann.pk, name="k", public_key="x", fingerprint="x")
    assert run("user_disable", "ann", "acme/bob")[1] == "ann is out.\nbob is out.\n"
    assert {each["name"] for each in as_json("user_list", "--disabled")} == {"ann", "bob"}
    assert [each["name"] for each in as_json("user_list", "--domain", "acme")] == ["bob"]
    assert run("user_enable", "ann")[0] == 0 and User.objects.get(pk=ann.pk).is_active
    assert run("user_delete", "ann", "nobody")[0] == 3
    assert User.objects.filter(pk=ann.pk).exists()  # a typing error deletes nothing
    assert as_json("user_delete", "ann", str(bob.pk)) == [str(ann.pk), str(bob.pk)]
    assert not User.objects.exists() and not KeyPair.objects.exists()
    assert "There is no user" in run("user_list")[1]


def test_a_password_comes_by_file_by_standard_input_or_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    ann = make_user()
    monkeypatch.setattr(sys, "stdin", io.StringIO("a horse with batteries\n"))
    assert run("user_set_password", "ann", "--password-file", "-")[0] == 0
    assert User.objects.get(pk=ann.pk).check_password("a horse with batteries")
    made = as_json("user_set_password", "ann", "--generate-password")["generated_password"]
    assert User.objects.get(pk=ann.pk).check_password(made)
    assert run("user_set_password", "ann", "--no-password")[0] == 0
    assert not User.objects.get(pk=ann.pk).has_usable_password()
    code, text = run("user_set_password", "ann")
    assert code == 2 and "--password-file" in text
    assert run("user_set_password", "ann", "--password-file", "/nowhere")[0] == 2


def test_the_last_administrator_is_neither_disabled_nor_deleted() -> None:
    make_user("root", operator=True)
    for command in (("user_disable", "root"), ("user_delete", "root"), ("role_unassign", "admin", "--user", "root", "--system")):
        code, text = run(*command)
        assert code == 4 and "identity.last_admin" in text


def test_groups_and_who_is_in_them() -> None:
    make_user("ann"), make_user("bob")
    assert run("group_create", "ops", "--description", "on call")[0] == 0
    assert "Nobody is in ops" in run("group_members", "ops")[1]
    assert [each["name"] for each in as_json("group_members", "ops", "--add", "ann", "bob")] == ["ann", "bob"]
    assert [each["name"] for each in as_json("group_members", "ops", "--remove", "bob")] == ["ann"]
    assert run("group_members", "ops", "--remove", "bob")[0] == 3
    assert [(each["name"], each["members"]) for each in as_json("group_list", "--user", "ann")] == [("ops", 1)]
    assert run("role_assign", "reader", "--group", "ops", "--system")[0] == 0
    assert Assignment.objects.get().group == Group.objects.get()


def test_roles_and_who_has_them() -> None:
    project = make_project("demo")
    make_user("ann")
    assert run("role_create", "runner", "--permission", "compute.instance.*")[0] == 0
    assert run("role_create", "x", "--permission", "nonsense")[0] == 2
    listed = {each["name"]: each for each in as_json("role_list")}
    assert listed["runner"]["permissions"] == ["compute.instance.*"] and listed["admin"]["implies"] == ["member", "operator"]
    given = ("runner", "--user", "ann", "--project", "demo")
    assert run("role_assign", *given)[0] == 0
    assert as_json("role_list_assignments", "--user", "ann")[0]["where"] == "demo"
    assert run("role_assign", "admin", "--user", "ann", "--domain", "Default", "--inherited")[0] == 0
    code, text = run("role_list_assignments", "--project", "demo", "--effective")
    assert code == 0 and "inherited from domain Default" in text and "implied by admin" in text
    assert run("role_unassign", *given)[0] == 0 and run("role_unassign", *given)[0] == 3
    assert run("role_assign", "nonsense", "--user", "ann", "--system")[0] == 3
    assert project.assignments.count() == 0


def test_a_project_in_the_way_of_its_deletion_says_so() -> None:
    top = make_project("top")
    projects.create_project(actor=SYSTEM, name="below", parent_id=top.pk)
    code, text = run("project_delete", "top")
    assert code == 4 and "project.has_children" in text
    assert run("project_delete", "below", "top")[0] == 0
    assert not Project.objects.filter(is_domain=False).exists()


# What may be done, and why


def test_the_table_of_permissions_is_printed_and_marks_what_the_file_says() -> None:
    code, text = run("policy_list", "compute.instance.*")
    assert code == 0 and "compute.instance.create" in text and "network.network" not in text
    row = as_json("policy_list", "compute.instance.power")[0]
    assert (row["project"], row["domain"], row["system"], row["own"]) == (["member", "operator"], None, ["operator"], False)
    assert {each["name"] for each in as_json("policy_list", "--role", "operator", "--scope", "system")} >= {"hosts.host.enrol"}
    assert as_json("policy_list", "--overridden") == []


def test_an_overridden_permission_is_marked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('["compute.flavor.create"]\nsystem = []\n')
    monkeypatch.setattr(settings, "POLICY", permissions.load(tmp_path / "policy.toml"))
    (row,) = as_json("policy_list", "--overridden")
    assert (row["name"], row["system"]) == ("compute.flavor.create", [])
    assert "policy file" in run("policy_list", "--overridden")[1] and "nobody" in run("policy_list", "--overridden")[1]


def check(*arguments: str, code: int) -> dict[str, Any]:
    found: dict[str, Any] = as_json("policy_check", *arguments, code=code)
    assert found["allowed"] is (code == 0)
    return found


def test_yes_says_by_which_assignment() -> None:
    project = make_project("demo")
    ann, bob = make_user("ann", project), make_user("bob")
    group = groups.create_group(actor=SYSTEM, name="ops")
    groups.add_member(actor=SYSTEM, group_id=group.pk, user_id=bob.pk)
    give(group, "admin", Project.objects.get(is_domain=True), inherited=True)
    give(bob, "admin")
    asked = ("--project", "demo", "--permission", "compute.instance.create")
    assert check("--user", "ann", *asked, code=0)["because"] == ["the role member on the project demo"]
    assert check("--user", "bob", *asked, code=0)["because"] == [
        "the role admin on the project demo, via group ops, inherited from domain Default; admin implies member, which has it",
        "the role admin on the system",
    ]
    code, text = run("policy_check", "--user", "ann", *asked)
    assert (code, text) == (0, "yes\n  because: the role member on the project demo\n")
    assert check("--user", "bob", "--system", "--permission", "hosts.host.enrol", code=0)["because"] == [
        "the role admin on the system; admin implies operator, which has it"
    ]
    assert check("--user", "ann", "--system", "--permission", "identity.token.revoke", code=0)["because"][0].startswith("everybody")
    assert ann.assignments.count() == 1


def test_no_says_what_is_missing_and_who_could_give_it() -> None:
    project = make_project("demo")
    make_user("ann", project, "reader"), make_user("adam", project, "admin"), make_user("root", operator=True)
    found = check("--user", "ann", "--project", "demo", "--permission", "compute.instance.create", code=4)
    assert found["because"] == ["ann has the role reader here, and none of that gives it"]
    assert found["would_do"] == ["member on the project demo", "admin on the system"]
    assert found["givers"] == ["adam (admin on the project demo)", "root (admin on the system)"]
    make_user("eve")
    outside = check("--user", "eve", "--project", "demo", "--permission", "compute.instance.create", code=4)
    assert outside["because"] == ["eve has no role there"]
    User.objects.filter(username="ann").update(is_active=False)
    assert "disabled" in check("--user", "ann", "--project", "demo", "--permission", "compute.instance.get", code=4)["because"][0]
    own = check("--user", "adam", "--system", "--permission", "identity.application_credential.create", code=0)
    assert own["because"][0].startswith("everybody has it over oneself")


def test_a_question_about_nothing_is_refused() -> None:
    make_user("ann")
    assert run("policy_check", "--user", "ann", "--system", "--permission", "nonsense")[0] == 2
    assert run("policy_check", "--user", "nobody", "--system", "--permission", "hosts.host.list")[0] == 3
    assert run("policy_check", "--user", "ann", "--project", "nowhere", "--permission", "hosts.host.list")[0] == 3
