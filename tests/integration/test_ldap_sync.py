"""What the directory has is here, and what it has no more is out."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.identity.models import Group, Project, User
from apps.identity.services import directory as directory_service
from apps.identity.services import groups, tokens
from apps.identity.services import users as user_services
from tests.support.cloud import make_project, refusal
from tests.support.directory import Directory, let_group, members, sign_in, sync, users
from tests.support.identity import make_user
from tests.support.slapd import GROUPS, PEOPLE, STAFF, SUFFIX


def test_users_and_groups_come_into_a_domain_of_their_own(directory: Directory) -> None:
    mine = make_user("ann")
    ann, bob = directory.person("ann"), directory.person("müller, hans", mail="hans@example.org")
    directory.group("engineers", ann, bob)
    directory.group("nobody")
    assert sync() == {"users_found": 2, "users_created": 2, "groups_found": 2, "groups_created": 2, "members_added": 2}
    domain = Project.objects.get(name="ldap", is_domain=True)
    assert users(domain=domain) == {"ann": "in", "müller, hans": "in"}
    assert members("engineers") == {"ann", "müller, hans"} and members("nobody") == set()
    made = User.objects.get(username="ann", domain=domain)
    assert (made.email, made.has_usable_password()) == ("ann@example.org", False)
    mine.refresh_from_db()
    assert mine.source == "database" and mine.pk != made.pk
    assert sync() == {"users_found": 2, "groups_found": 2}


def test_a_sync_that_finds_nothing_new_writes_nothing_but_its_own_row(directory: Directory) -> None:
    directory.group("engineers", directory.person("ann"))
    sync()
    before = Record.objects.count()
    with CaptureQueriesContext(connection) as captured:
        sync()
    writes = [each["sql"] for each in captured if each["sql"].startswith(("INSERT", "UPDATE", "DELETE", "WITH", "COPY"))]
    assert all("identity_directorysync" in sql for sql in writes), writes
    assert Record.objects.count() == before


@pytest.mark.parametrize(
    ("attribute", "value", "state"),
    [("pwdAccountLockedTime", "000001010000Z", "locked"), ("shadowExpire", "1", "expired"), ("shadowExpire", "99999", "in"), ("shadowExpire", "-1", "in")],
)
def test_who_is_locked_or_expired_in_the_directory_is_out(directory: Directory, attribute: str, value: str, state: str) -> None:
    ann = directory.person("ann", objectClass=["inetOrgPerson", "shadowAccount"])
    sync()
    directory.set(ann, **{attribute: value})
    sync()
    assert users() == {"ann": state}
    directory.set(ann, **{attribute: None})
    sync()
    assert users() == {"ann": "in"}


def test_a_disabled_users_tokens_are_void_at_once_and_stay_so(directory: Directory) -> None:
    ann = directory.person("ann")
    directory.group("engineers", ann)
    sync()
    let_group("engineers", "member", make_project("p"))
    issued = sign_in("ann")
    tokens.check(secret=issued.secret)
    directory.set(ann, pwdAccountLockedTime="000001010000Z")
    assert sync()["users_disabled"] == 1
    assert refusal(tokens.check, secret=issued.secret).kind == "unauthenticated"
    directory.set(ann, pwdAccountLockedTime=None)
    assert sync()["users_enabled"] == 1
    assert refusal(tokens.check, secret=issued.secret).code == "auth.token_revoked"
    tokens.check(secret=sign_in("ann").secret)


def test_who_was_disabled_here_is_not_let_in_by_the_directory(directory: Directory) -> None:
    ann = directory.person("ann")
    directory.person("bob")
    sync()
    row = User.objects.get(username="ann")
    user_services.update_user(actor=SYSTEM, user_id=row.pk, enabled=False)
    sync()
    assert users() == {"ann": "disabled here", "bob": "in"}
    # Disabled there as well, and enabled again: it is still the operator's word that counts.
    directory.set(ann, pwdAccountLockedTime="000001010000Z")
    sync()
    directory.set(ann, pwdAccountLockedTime=None)
    sync()
    assert users()["ann"] == "disabled here"
    user_services.update_user(actor=SYSTEM, user_id=row.pk, enabled=True)
    sync()
    assert users()["ann"] == "in"


def test_who_is_out_by_the_directory_is_enabled_there_only_and_can_be_disabled_here_too(directory: Directory) -> None:
    ann = directory.person("ann")
    directory.person("bob")
    sync()
    directory.set(ann, pwdAccountLockedTime="000001010000Z")
    sync()
    row = User.objects.get(username="ann")
    assert refusal(user_services.update_user, actor=SYSTEM, user_id=row.pk, enabled=True).code == "user.read_only"
    user_services.update_user(actor=SYSTEM, user_id=row.pk, enabled=False)
    directory.set(ann, pwdAccountLockedTime=None)
    sync()
    assert users()["ann"] == "disabled here"


def test_who_is_deleted_there_is_out_here_and_leaves_its_name_to_the_next(directory: Directory) -> None:
    ann, bob = directory.person("ann"), directory.person("bob")
    group = directory.group("engineers", ann, bob)
    sync()
    first = User.objects.get(username="ann")
    directory.delete(ann)
    assert sync() == {"users_found": 1, "users_disabled": 1, "groups_found": 1, "members_removed": 1}
    assert users() == {"ann": "gone", "bob": "in"}
    # Another person of the same name is another user, and has nothing of the first.
    directory.person("ann")
    directory.members(group, bob)
    sync()
    second = User.objects.get(username="ann")
    first.refresh_from_db()
    assert second.pk != first.pk and second.is_active
    assert not first.is_active and first.username.startswith("ann (")
    assert members("engineers") == {"bob"}


def test_who_is_never_let_in_is_not_even_made(directory: Directory) -> None:
    directory.person("ann", pwdAccountLockedTime="000001010000Z")
    directory.person("bob")
    sync()
    assert users() == {"bob": "in"}


def test_a_renamed_user_is_the_same_user(directory: Directory) -> None:
    ann = directory.person("ann")
    group = directory.group("engineers", ann)
    sync()
    before = User.objects.get(username="ann")
    moved = directory.rename(ann, "uid=ann.smith", STAFF)
    directory.set(moved, mail="smith@example.org")
    directory.members(group, moved)
    directory.settings(ldap_user_base=f"{PEOPLE}; {STAFF}")
    assert sync() == {"users_found": 1, "users_changed": 1, "groups_found": 1}
    after = User.objects.get(pk=before.pk)
    assert (after.username, after.email, after.is_active) == ("ann.smith", "smith@example.org", True)
    assert members("engineers") == {"ann.smith"}


def test_two_who_swap_their_names_keep_their_rows(directory: Directory) -> None:
    ann, bob = directory.person("ann"), directory.person("bob")
    sync()
    keys = {row.username: row.pk for row in User.objects.filter(source="ldap")}
    other = directory.rename(ann, "uid=x")
    directory.rename(bob, "uid=ann")
    directory.rename(other, "uid=bob")
    assert sync()["users_changed"] == 2
    assert {row.username: row.pk for row in User.objects.filter(source="ldap")} == {"ann": keys["bob"], "bob": keys["ann"]}


def test_without_ids_the_dn_is_the_id_however_it_is_written(directory: Directory) -> None:
    directory.settings(ldap_id_attribute="dn", ldap_group_base="")
    directory.person("ann")
    sync()
    directory.settings(ldap_user_base=PEOPLE.upper().replace(",", " , "))
    assert sync() == {"users_found": 1}


def test_groups_are_renamed_moved_and_emptied(directory: Directory) -> None:
    ann, bob = directory.person("ann"), directory.person("bob")
    below = directory.add(f"ou=below,{GROUPS}", objectClass="organizationalUnit", ou="below")
    group = directory.group("engineers", ann)
    directory.group("others", ann, bob)
    sync()
    row = Group.objects.get(name="engineers")
    let_group("engineers", "member", make_project("p"))
    directory.members(directory.rename(group, "cn=builders", below), bob)
    assert sync() == {"users_found": 2, "groups_found": 2, "groups_changed": 1, "members_added": 1, "members_removed": 1}
    row.refresh_from_db()
    assert row.name == "builders" and members("builders") == {"bob"}
    tokens.check(secret=sign_in("bob").secret)
    assert refusal(sign_in, "ann").code == "auth.no_project"


def test_a_deleted_group_goes_and_one_with_roles_stays_empty_and_is_reported(directory: Directory) -> None:
    ann = directory.person("ann")
    one, two = directory.group("one", ann), directory.group("two", ann)
    directory.group("three", ann)
    sync()
    project = make_project("p")
    let_group("one", "member", project)
    directory.delete(one)
    directory.delete(two)
    report = directory_service.sync()
    assert set(Group.objects.values_list("name", flat=True)) == {"one", "three"}
    assert members("one") == set() and refusal(sign_in, "ann").code == "auth.no_project"
    assert any("one is gone from the directory and has 1 roles here" in problem for problem in report.problems)
    # Another group of that name has nothing of the first.
    directory.group("one", ann)
    sync()
    assert refusal(sign_in, "ann").code == "auth.no_project"
    assert Group.objects.get(name="one").assignments.count() == 0


def test_groups_in_groups_count_also_in_circles(directory: Directory) -> None:
    ann, bob, eve = (directory.person(name) for name in ("ann", "bob", "eve"))
    inner = directory.group("inner", ann)
    middle = directory.group("middle", inner, bob)
    directory.group("outer", middle, f"cn=elsewhere,{SUFFIX}", eve)
    directory.members(inner, ann, middle)
    sync()
    assert members("inner") == members("middle") == {"ann", "bob"}
    assert members("outer") == {"ann", "bob", "eve"}
    directory.members(middle, bob)
    sync()
    assert (members("inner"), members("middle"), members("outer")) == ({"ann", "bob"}, {"bob"}, {"bob", "eve"})


def test_posix_groups_name_their_members_by_uid_and_by_number(directory: Directory) -> None:
    more: Any = {"objectClass": ["inetOrgPerson", "posixAccount"], "uidNumber": "1", "homeDirectory": "/"}
    directory.person("ann", gidNumber="7", **more)
    directory.person("bob", gidNumber="8", **more)
    directory.add(f"cn=engineers,{GROUPS}", objectClass="posixGroup", cn="engineers", gidNumber="7", memberUid=["bob", "nobody"])
    directory.settings(ldap_group_type="posixGroup")
    sync()
    assert members("engineers") == {"ann", "bob"}
    let_group("engineers", "member", make_project("p"))
    sign_in("ann")
    sign_in("bob")
    assert members("engineers") == {"ann", "bob"}


def test_groups_of_unique_names(directory: Directory) -> None:
    ann = directory.person("ann")
    directory.add(f"cn=engineers,{GROUPS}", objectClass="groupOfUniqueNames", cn="engineers", uniqueMember=[ann.upper()])
    directory.settings(ldap_group_type="groupOfUniqueNames")
    sync()
    assert members("engineers") == {"ann"}


def test_a_user_below_two_bases_is_one_and_two_of_one_name_are_told(directory: Directory) -> None:
    directory.person("ann")
    directory.settings(ldap_user_base=f"{SUFFIX};{PEOPLE}")
    assert sync()["users_found"] == 1
    directory.person("ann", base=STAFF)
    first = User.objects.get(username="ann")
    report = directory_service.sync()
    assert report.counts["users_found"] == 1 and "another user named ann" in report.problems[0]
    assert User.objects.get(username="ann", source="ldap") == first
    assert refusal(sign_in, "ann").code == "auth.failed"


def test_names_differ_by_more_than_capitals(directory: Directory) -> None:
    directory.person("ann")
    sync()
    directory.settings(ldap_user_base=f"{STAFF};{PEOPLE}")
    directory.person("ANN", base=STAFF)
    report = directory_service.sync()
    assert users() == {"ann": "in"} and "another user named ANN" in report.problems[0]


def test_a_name_that_the_database_has_in_that_domain_is_not_taken_over(directory: Directory) -> None:
    directory.settings(ldap_domain="Default")
    admin = make_user("admin")
    for name in ("admin", "ann"):
        directory.person(name)
    report = directory_service.sync()
    assert users() == {"ann": "in"} and "belongs to one in the database" in report.problems[0]
    assert refusal(sign_in, "admin", domain="").code == "auth.failed"
    admin.refresh_from_db()
    assert admin.source == "database"
    make_project("p")
    assert refusal(sign_in, "ann", domain="").code == "auth.no_project"


def test_entries_that_cannot_be_users_are_left_out_and_told(directory: Directory) -> None:
    directory.person("ann")
    directory.person("bob", cn="x" * 256)
    directory.group("g" * 65)
    directory.settings(ldap_name_attribute="cn")
    report = directory_service.sync()
    assert users() == {"Ann": "in"} and Group.objects.count() == 0
    assert len(report.problems) == 2 and all("expected 1 to" in problem for problem in report.problems)


def test_in_another_domain_they_are_others(directory: Directory) -> None:
    ann = directory.person("ann")
    directory.group("engineers", ann)
    sync()
    directory.settings(ldap_domain="corp")
    sync()
    assert (users(domain__name="ldap"), users(domain__name="corp")) == ({"ann": "gone"}, {"ann": "in"})
    assert Group.objects.get().domain.name == "corp"


def test_names_and_members_of_the_directory_are_not_changed_here(directory: Directory) -> None:
    directory.group("engineers", directory.person("ann"))
    sync()
    user, group = User.objects.get(username="ann"), Group.objects.get()
    for changes in ({"username": "x"}, {"email": "x@example.org"}):
        assert refusal(user_services.update_user, actor=SYSTEM, user_id=user.pk, **changes).code == "user.read_only"
    assert refusal(user_services.set_password, actor=SYSTEM, user_id=user.pk, password="something long").code == "user.read_only"
    assert refusal(groups.remove_member, actor=SYSTEM, group_id=group.pk, user_id=user.pk).code == "group.read_only"


def test_the_trail_tells_what_the_directory_did(directory: Directory) -> None:
    ann = directory.person("ann")
    directory.group("engineers", ann)
    directory.person("bob")
    sync()
    directory.delete(ann)
    sync()
    rows = Record.objects.filter(user_name="directory").values_list("action", "name")
    assert {
        ("identity.domain.create", "ldap"), ("identity.user.create", "ann"), ("identity.group.create", "engineers"),
        ("identity.group.members", "engineers"), ("identity.user.update", "ann"),
    } <= set(rows)
    last = Record.objects.filter(action="identity.user.update").get()
    assert last.changes["enabled"] == [True, False] and last.changes["directory_state"] == ["", "gone"]
