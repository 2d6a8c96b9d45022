"""Users and groups: made, changed, disabled, deleted; and that somebody always administers the installation."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings

from apps.audit.models import Record
from apps.common import clock
from apps.common.context import SYSTEM
from apps.identity import policy, selectors
from apps.identity.models import Assignment, Group, GroupMember, Project, Token, User
from apps.identity.services import assignments, domains, groups, holdings, tokens, users
from tests.support.cloud import make_project, refusal
from tests.support.fixtures import Time
from tests.support.identity import PASSWORD, actor_in, give, given, make_actor, make_domain, make_token, make_user

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "another horse battery"


def test_a_user_has_what_was_given_and_no_password_is_kept_in_the_clear() -> None:
    project = make_project()
    made = users.create_user(
        actor=SYSTEM, username="ann", password=PASSWORD, email="ann@example.org", description="x", enabled=False,
        default_project_id=project.pk, options={"lock_password": True, "ignore_password_expiry": None},
    )
    row = User.objects.get(pk=made.pk)
    assert (row.username, row.email, row.description, row.is_active) == ("ann", "ann@example.org", "x", False)
    assert (row.default_project_id, row.options) == (project.pk, {"lock_password": True})
    assert row.check_password(PASSWORD)
    assert PASSWORD not in str(User.objects.values()) + str(Record.objects.values())


def test_a_name_is_had_once_in_a_domain() -> None:
    blue = make_domain("blue")
    make_user("ann")
    make_user("ann", domain=blue)
    assert refusal(users.create_user, actor=SYSTEM, username="ann").code == "user.exists"
    bob = make_user("bob")
    error = refusal(users.update_user, actor=SYSTEM, user_id=bob.pk, username="ann")
    assert (error.kind, error.code, error.field) == ("conflict", "user.exists", "username")


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"username": ""}, "name.invalid", "username"), ({"username": "x" * 256}, "name.invalid", "username"),
        ({"email": "x" * 255}, "name.invalid", "email"), ({"email": "a\nb"}, "name.invalid", "email"),
        ({"description": "\x00"}, "text.invalid", "description"), ({"options": {"nice": True}}, "options.unknown", "options"),
        ({"options": {"lock_password": 1}}, "options.value", "options.lock_password"),
        ({"options": {"multi_factor_auth_rules": [["password"], ["password"]]}}, "options.value", "options.multi_factor_auth_rules"),
        ({"options": {"multi_factor_auth_rules": [[]]}}, "options.value", "options.multi_factor_auth_rules"),
        ({"options": {"multi_factor_auth_rules": "password"}}, "options.value", "options.multi_factor_auth_rules"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], code: str, field: str) -> None:
    error = refusal(users.create_user, actor=SYSTEM, **{"username": "x", **fields})
    assert (error.kind, error.code, error.field) == ("invalid", code, field)
    ann = make_user()
    error = refusal(users.update_user, actor=SYSTEM, user_id=ann.pk, **fields)
    assert (error.kind, error.code, error.field) == ("invalid", code, field)


def test_a_default_project_is_no_domain() -> None:
    error = refusal(users.create_user, actor=SYSTEM, username="x", default_project_id=make_domain().pk)
    assert (error.code, error.field) == ("user.default_project", "default_project_id")


@pytest.mark.parametrize("password", ["Xy1!", "password", "x" * 5000])
def test_a_bad_password_is_refused_and_not_repeated(password: str) -> None:
    ann = make_user()
    for call in (
        lambda: users.create_user(actor=SYSTEM, username="x", password=password),
        lambda: users.set_password(actor=SYSTEM, user_id=ann.pk, password=password),
        lambda: users.change_password(user_id=ann.pk, old=PASSWORD, new=password),
    ):
        error = refusal(call)
        assert (error.kind, error.code, error.field) == ("invalid", "user.password", "password")
        if password != "password":
            assert password not in error.message
    assert User.objects.get().check_password(PASSWORD)


def test_options_are_put_over_those_that_there_are() -> None:
    ann = make_user()
    call: Callable[..., User] = lambda **options: users.update_user(actor=SYSTEM, user_id=ann.pk, options=options)  # noqa: E731
    assert call(lock_password=True).options == {"lock_password": True}
    assert call(multi_factor_auth_rules=[["password", "totp"]]).options == {
        "lock_password": True, "multi_factor_auth_rules": [["password", "totp"]],
    }
    assert call(lock_password=None).options == {"multi_factor_auth_rules": [["password", "totp"]]}


def test_a_disabled_user_is_out_at_once_and_signs_in_anew_when_enabled() -> None:
    project = make_project()
    ann = make_user(project=project)
    issued = make_token(ann, project)
    users.update_user(actor=SYSTEM, user_id=ann.pk, enabled=False)
    assert refusal(tokens.check, secret=issued.secret).kind == "unauthenticated"
    users.update_user(actor=SYSTEM, user_id=ann.pk, enabled=True)
    assert refusal(tokens.check, secret=issued.secret).code == "auth.token_revoked"
    tokens.check(secret=make_token(ann, project).secret)


def test_a_password_set_by_an_admin_ends_all_tokens() -> None:
    project = make_project()
    ann = make_user(project=project)
    issued = make_token(ann, project)
    users.set_password(actor=SYSTEM, user_id=ann.pk, password=NEW)
    assert refusal(tokens.check, secret=issued.secret).code == "auth.token_revoked"
    row = User.objects.get(pk=ann.pk)
    assert row.check_password(NEW)
    users.set_password(actor=SYSTEM, user_id=ann.pk, password=None)
    assert not User.objects.get(pk=ann.pk).has_usable_password()
    assert [row.changes for row in Record.objects.filter(action="identity.user.set_password")] == [{}, {}]


def test_ones_own_password_takes_the_old_one_and_ends_all_other_tokens() -> None:
    project = make_project()
    ann = make_user(project=project)
    here, elsewhere = make_token(ann, project), make_token(ann, project)
    actor = tokens.check(secret=here.secret).actor
    assert refusal(users.change_password, actor=actor, user_id=ann.pk, old="wrong", new=NEW).code == "auth.failed"
    assert refusal(users.change_password, actor=actor, user_id=ann.pk, old=PASSWORD, new=PASSWORD).code == "user.password_same"
    users.change_password(actor=actor, user_id=ann.pk, old=PASSWORD, new=NEW)
    tokens.check(secret=here.secret)
    assert refusal(tokens.check, secret=elsewhere.secret).code == "auth.token_revoked"
    assert User.objects.get(pk=ann.pk).check_password(NEW)


def test_the_password_of_another_is_not_changed_not_even_by_who_knows_it() -> None:
    project = make_project()
    ann, bob = make_user(project=project), make_user("bob", project)
    error = refusal(users.change_password, actor=make_actor(project, user=bob), user_id=ann.pk, old=PASSWORD, new=NEW)
    assert error.code == "policy.forbidden"


@pytest.mark.parametrize("known", [True, False])
def test_without_a_token_the_old_password_is_the_proof(known: bool) -> None:
    key = make_user().pk if known else uuid.uuid4()
    assert refusal(users.change_password, user_id=key, old="wrong", new=NEW).code == "auth.failed"
    if known:
        users.change_password(user_id=key, old=PASSWORD, new=NEW)
        assert Record.objects.filter(action="identity.password.change").get().user_id == key


def test_a_locked_password_is_set_by_administrators_only() -> None:
    ann = make_user()
    users.update_user(actor=SYSTEM, user_id=ann.pk, options={"lock_password": True})
    assert refusal(users.change_password, user_id=ann.pk, old=PASSWORD, new=NEW).code == "user.password_locked"
    users.set_password(actor=SYSTEM, user_id=ann.pk, password=NEW)


def test_what_comes_from_the_directory_is_changed_there() -> None:
    ann = make_user()
    User.objects.filter(pk=ann.pk).update(source="ldap", external_id="uid=ann", email="ann@example.org")
    for field, value in (("username", "anna"), ("email", "")):
        error = refusal(users.update_user, actor=SYSTEM, user_id=ann.pk, **{field: value})
        assert (error.kind, error.code, error.field) == ("forbidden", "user.read_only", field)
    assert refusal(users.set_password, actor=SYSTEM, user_id=ann.pk, password=NEW).code == "user.read_only"
    assert users.update_user(actor=SYSTEM, user_id=ann.pk, username="ann", description="said here").description == "said here"
    group = groups.create_group(actor=SYSTEM, name="staff")
    Group.objects.update(source="ldap", external_id="cn=staff")
    assert refusal(groups.add_member, actor=SYSTEM, group_id=group.pk, user_id=ann.pk).code == "group.read_only"
    assert refusal(groups.update_group, actor=SYSTEM, group_id=group.pk, name="x").code == "group.read_only"


def test_a_deleted_user_leaves_what_it_made_and_nothing_else() -> None:
    project = make_project()
    ann, root = make_user(project=project), make_user("root", operator=True)
    make_token(ann, project)
    told: list[uuid.UUID] = []
    holdings.register_users(told.extend)
    try:
        users.delete_user(actor=actor_in(root), user_id=ann.pk)
    finally:
        holdings._users_gone.remove(told.extend)
    assert told == [ann.pk]
    assert not Token.objects.filter(user_id=ann.pk).exists() and not Assignment.objects.filter(user_id=ann.pk).exists()
    row = Record.objects.get(action="identity.user.delete")
    assert (row.resource_id, row.name, row.user_name) == (str(ann.pk), "ann", "root")


def test_nobody_deletes_oneself() -> None:
    root = make_user("root", operator=True)
    make_user("second", operator=True)
    assert refusal(users.delete_user, actor=actor_in(root), user_id=root.pk).code == "user.oneself"


# The last administrator


def make_last(by_group: bool) -> tuple[User, Group | None]:
    root = make_user("root", operator=not by_group)
    if not by_group:
        return root, None
    group = groups.create_group(actor=SYSTEM, name="admins")
    groups.add_member(actor=SYSTEM, group_id=group.pk, user_id=root.pk)
    give(group, "admin")
    return root, group


def ways_out(root: User, group: Group | None) -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {
        "delete": lambda: users.delete_user(actor=SYSTEM, user_id=root.pk),
        "disable": lambda: users.update_user(actor=SYSTEM, user_id=root.pk, enabled=False),
        "take the role": lambda: assignments.take(actor=SYSTEM, given=given(group or root, "admin")),
    }
    if group is not None:
        found["leave the group"] = lambda: groups.remove_member(actor=SYSTEM, group_id=group.pk, user_id=root.pk)
        found["delete the group"] = lambda: groups.delete_group(actor=SYSTEM, group_id=group.pk)
    return found


@pytest.mark.parametrize("by_group", [False, True])
def test_the_last_administrator_stays(by_group: bool) -> None:
    root, group = make_last(by_group)
    sleeping = make_user("sleeping", operator=True)
    User.objects.filter(pk=sleeping.pk).update(is_active=False)
    for name, call in ways_out(root, group).items():
        error = refusal(call)
        assert (error.kind, error.code) == ("invalid_state", "identity.last_admin"), name
        assert policy.everywhere(actor_in(root), "hosts.host.enrol"), name


@pytest.mark.parametrize("by_group", [False, True])
@pytest.mark.parametrize("way", ["delete", "disable", "take the role", "leave the group", "delete the group"])
def test_one_of_two_administrators_may_go(by_group: bool, way: str) -> None:
    root, group = make_last(by_group)
    make_user("second", operator=True)
    if (call := ways_out(root, group).get(way)) is not None:
        call()
        assert refusal(assignments.take, actor=SYSTEM, given=given(User.objects.get(username="second"), "admin")).code == "identity.last_admin"


def test_the_domain_of_the_last_administrator_is_not_disabled() -> None:
    blue = make_domain("blue")
    give(make_user("root", domain=blue), "admin")
    assert refusal(domains.update_domain, actor=SYSTEM, domain_id=blue.pk, enabled=False).code == "identity.last_admin"
    assert Project.objects.get(pk=blue.pk).enabled


# Groups


def test_who_is_in_a_group_has_its_roles_and_loses_them_with_it() -> None:
    project = make_project()
    ann = make_user()
    group = groups.create_group(actor=SYSTEM, name="ops", description="x")
    give(group, "member", project)
    assert refusal(actor_in, ann, project).code == "auth.not_member"
    groups.add_member(actor=SYSTEM, group_id=group.pk, user_id=ann.pk)
    groups.add_member(actor=SYSTEM, group_id=group.pk, user_id=ann.pk)
    assert actor_in(ann, project).roles == ("member", "reader")
    assert list(selectors.members(actor=SYSTEM, group_id=group.pk)) == [ann]
    assert list(selectors.groups_of_user(actor=SYSTEM, user_id=ann.pk)) == [group]
    groups.remove_member(actor=SYSTEM, group_id=group.pk, user_id=ann.pk)
    assert refusal(actor_in, ann, project).code == "auth.not_member"
    assert refusal(groups.remove_member, actor=SYSTEM, group_id=group.pk, user_id=ann.pk).code == "group.no_member"
    members = [row.changes for row in Record.objects.filter(action="identity.group.members").order_by("pk")]
    assert members == [{"member": [None, "ann"]}, {"member": ["ann", None]}]


def test_a_group_is_changed_and_deleted_with_its_roles() -> None:
    project = make_project()
    ann = make_user()
    group = groups.create_group(actor=SYSTEM, name="ops")
    other = groups.create_group(actor=SYSTEM, name="other")
    give(group, "member", project)
    groups.add_member(actor=SYSTEM, group_id=group.pk, user_id=ann.pk)
    assert refusal(groups.create_group, actor=SYSTEM, name="ops").code == "group.exists"
    assert refusal(groups.update_group, actor=SYSTEM, group_id=other.pk, name="ops").code == "group.exists"
    assert groups.update_group(actor=SYSTEM, group_id=group.pk, name="new", description="y").name == "new"
    assert refusal(groups.update_group, actor=SYSTEM, group_id=group.pk, name="").code == "name.invalid"
    groups.delete_group(actor=SYSTEM, group_id=group.pk)
    assert not GroupMember.objects.exists() and not Assignment.objects.exists()
    assert refusal(groups.delete_group, actor=SYSTEM, group_id=group.pk).code == "group.not_found"


# Who may


def test_the_admin_of_a_domain_rules_over_its_people_and_sees_no_others() -> None:
    blue, green = make_domain("blue"), make_domain("green")
    adam = make_user("adam", domain=blue)
    give(adam, "admin", blue)
    actor = actor_in(adam, blue)
    stranger = make_user("stranger", domain=green)
    other = groups.create_group(actor=SYSTEM, name="other", domain_id=green.pk)
    mine = users.create_user(actor=actor, username="mine", password=PASSWORD)
    group = groups.create_group(actor=actor, name="mine")
    assert (mine.domain_id, group.domain_id) == (blue.pk, blue.pk)
    groups.add_member(actor=actor, group_id=group.pk, user_id=stranger.pk)
    users.set_password(actor=actor, user_id=mine.pk, password=NEW)
    assert {row.username for row in selectors.users(actor=actor)} == {"adam", "mine"}
    assert list(selectors.groups(actor=actor)) == [group]
    for call in (
        lambda: users.create_user(actor=actor, username="x", domain_id=green.pk),
        lambda: users.create_user(actor=actor, username="x", domain_id=uuid.uuid4()),
        lambda: users.update_user(actor=actor, user_id=stranger.pk, username="x"),
        lambda: users.set_password(actor=actor, user_id=stranger.pk, password=NEW),
        lambda: users.delete_user(actor=actor, user_id=stranger.pk),
        lambda: selectors.user(actor=actor, user_id=stranger.pk),
        lambda: groups.create_group(actor=actor, name="x", domain_id=green.pk),
        lambda: groups.update_group(actor=actor, group_id=other.pk, name="x"),
        lambda: groups.add_member(actor=actor, group_id=other.pk, user_id=mine.pk),
        lambda: groups.delete_group(actor=actor, group_id=other.pk),
        lambda: selectors.members(actor=actor, group_id=other.pk),
    ):
        assert refusal(call).kind == "not_found"
    users.delete_user(actor=actor, user_id=mine.pk)


def test_the_admin_of_a_domain_does_not_become_an_operator_by_its_people() -> None:
    blue = make_domain("blue")
    adam, op = make_user("adam", domain=blue), make_user("op", domain=blue)
    give(adam, "admin", blue)
    give(op, "operator")
    group = groups.create_group(actor=SYSTEM, name="ops", domain_id=blue.pk)
    give(group, "reader")
    actor = actor_in(adam, blue)
    for call, code in (
        (lambda: users.set_password(actor=actor, user_id=op.pk, password=NEW), "user.on_system"),
        (lambda: users.update_user(actor=actor, user_id=op.pk, options={"multi_factor_auth_enabled": False}), "user.on_system"),
        (lambda: users.delete_user(actor=actor, user_id=op.pk), "user.on_system"),
        (lambda: groups.add_member(actor=actor, group_id=group.pk, user_id=adam.pk), "group.on_system"),
        (lambda: groups.delete_group(actor=actor, group_id=group.pk), "group.on_system"),
    ):
        error = refusal(call)
        assert (error.kind, error.code) == ("forbidden", code)
    assert not actor_in(adam).system_grants


@pytest.mark.parametrize("role", ["reader", "member", "admin"])
def test_no_role_in_a_project_shows_other_people(role: str) -> None:
    project = make_project()
    ann, bob = make_user(project=project), make_user("bob", project)
    actor = make_actor(project, user=ann, role=role)
    assert refusal(selectors.users, actor=actor).code == "policy.forbidden"
    for key in (bob.pk, uuid.uuid4()):
        assert refusal(selectors.user, actor=actor, user_id=key).code == "policy.forbidden"
    assert selectors.user(actor=actor, user_id=ann.pk) == ann
    assert list(selectors.groups_of_user(actor=actor, user_id=ann.pk)) == []


def test_a_new_password_lives_as_long_as_the_installation_says(monkeypatch: pytest.MonkeyPatch, time_machine: Time) -> None:
    ann = make_user()
    User.objects.update(password_expires_at=clock.now())
    users.change_password(user_id=ann.pk, old=PASSWORD, new=NEW)
    assert User.objects.get().password_expires_at is None
    monkeypatch.setattr(settings, "ENV", replace(settings.ENV, password_expires_days=90))
    users.set_password(actor=SYSTEM, user_id=ann.pk, password=PASSWORD)
    expires_at = User.objects.get().password_expires_at
    assert expires_at is not None and 89 <= (expires_at - clock.now()).days <= 90
