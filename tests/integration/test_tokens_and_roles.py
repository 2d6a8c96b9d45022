"""Who is asking, and what they may do."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from apps.common import clock
from apps.common.context import SYSTEM, Actor
from apps.compute.services import catalog, delete
from apps.hosts.services import admission, enrol
from apps.identity import builtin, policy
from apps.identity.models import Assignment, Project, Token, User
from apps.identity.services import assignments, projects, signin, tokens, users
from apps.identity.services.assignments import Given
from apps.images.services import images
from apps.network.services import networks
from contracts.compute.v1 import DiskFormat
from tests.support.cloud import Cloud, make_project, refusal
from tests.support.fixtures import Time
from tests.support.identity import NOBODY, PASSWORD, give, make_actor, make_token, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_password_is_exchanged_for_a_token_that_works() -> None:
    project = make_project("p")
    user = make_user(project=project, role="admin")
    issued = signin.login(username="ann", password=PASSWORD)
    held = tokens.check(secret=issued.secret)
    assert held.bearer.id == issued.token.pk
    assert (held.actor.user_id, held.actor.project_id) == (user.pk, project.pk)
    assert held.actor.roles == ("admin", "member", "operator", "reader")
    assert held.actor == replace(issued.actor, token_id=issued.token.pk)
    assert not held.actor.system_grants


def test_the_secret_is_stored_nowhere() -> None:
    project = make_project()
    issued = make_token(make_user(project=project), project)
    row = Token.objects.values().get()
    assert issued.secret not in str(row)
    assert row["prefix"] == issued.secret[:12]
    assert len(issued.secret) > 40


@pytest.mark.parametrize(("username", "password"), [("ann", "wrong"), ("bob", PASSWORD), ("ann", ""), ("", "")])
def test_a_wrong_password_and_an_unknown_user_are_not_told_apart(username: str, password: str) -> None:
    make_user(project=make_project())
    error = refusal(signin.login, username=username, password=password)
    assert (error.kind, error.code, error.message) == ("unauthenticated", "auth.failed", "Unknown user or wrong password.")
    assert Token.objects.count() == 0


def expire(token: Token) -> None:
    Token.objects.filter(pk=token.pk).update(expires_at=clock.now())


def revoke(token: Token) -> None:
    tokens.revoke(actor=SYSTEM, token_id=token.pk)


def disable_user(token: Token) -> None:
    User.objects.filter(pk=token.user_id).update(is_active=False)


def disable_project(token: Token) -> None:
    Project.objects.filter(tokens=token).update(enabled=False)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (expire, "auth.token_expired"), (revoke, "auth.token_revoked"), (disable_user, "auth.disabled"),
        (disable_project, "auth.disabled"),
    ],
)
def test_a_token_ends_at_once(end: Callable[[Token], None], code: str) -> None:
    project = make_project()
    issued = make_token(make_user(project=project), project)
    end(issued.token)
    error = refusal(tokens.check, secret=issued.secret)
    assert (error.kind, error.code) == ("unauthenticated", code)


def test_a_token_of_somebody_who_left_the_project_is_void() -> None:
    project = make_project()
    issued = make_token(make_user(project=project), project)
    Assignment.objects.all().delete()
    assert refusal(tokens.check, secret=issued.secret).code == "auth.no_role"


def test_a_disabled_user_gets_no_new_token() -> None:
    make_user(project=make_project())
    User.objects.update(is_active=False)
    assert refusal(signin.login, username="ann", password=PASSWORD).code == "auth.failed"


@pytest.mark.parametrize("secret", ["", "cs1_", "nonsense", "x" * 10_000, "\x00", "\u00e4"])
def test_a_token_nobody_issued_is_unknown(secret: str) -> None:
    project = make_project()
    make_token(make_user(project=project), project)
    assert refusal(tokens.check, secret=secret).code == "auth.token_unknown"


def test_a_token_runs_out_by_itself(time_machine: Time) -> None:
    time_machine.stand()
    project = make_project()
    issued = make_token(make_user(project=project), project)
    time_machine.forward(settings.ENV.token_hours * 3600 - 1)
    tokens.check(secret=issued.secret)
    time_machine.forward(2)
    assert refusal(tokens.check, secret=issued.secret).code == "auth.token_expired"


def test_reading_with_a_token_writes_at_most_once_a_minute(time_machine: Time) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    project = make_project()
    issued = make_token(make_user(project=project), project)
    tokens.check(secret=issued.secret)
    with CaptureQueriesContext(connection) as captured:
        tokens.check(secret=issued.secret)
    assert len(captured) == 1
    first = Token.objects.get().last_used_at
    time_machine.forward(61)
    tokens.check(secret=issued.secret)
    assert Token.objects.get().last_used_at != first


def test_one_revokes_ones_own_tokens_and_nobody_elses() -> None:
    project = make_project()
    ann, bob = make_user("ann", project), make_user("bob", project)
    issued = make_token(ann, project)
    assert refusal(tokens.revoke, actor=make_actor(project, user=bob), token_id=issued.token.pk).kind == "not_found"
    tokens.check(secret=issued.secret)
    tokens.revoke(actor=make_actor(project, user=ann), token_id=issued.token.pk)
    assert refusal(tokens.revoke, actor=make_actor(project, user=ann), token_id=issued.token.pk).kind == "not_found"


def test_who_has_several_projects_names_one_by_id_or_name() -> None:
    one, two = make_project("one"), make_project("two")
    user = make_user(project=one)
    give(user, "reader", two)
    assert refusal(signin.login, username="ann", password=PASSWORD).code == "auth.project_needed"
    assert signin.login(username="ann", password=PASSWORD, project="two").token.project == two
    assert signin.login(username="ann", password=PASSWORD, project=str(one.pk)).token.project == one


@pytest.mark.parametrize("given", ["other", "nonsense", str(NOBODY)])
def test_a_project_of_others_and_one_that_is_none_are_not_told_apart(given: str) -> None:
    make_project("other")
    make_user(project=make_project("mine"))
    assert refusal(signin.login, username="ann", password=PASSWORD, project=given).code == "auth.not_member"


def test_a_user_without_any_project_is_told_so() -> None:
    make_user()
    assert refusal(signin.login, username="ann", password=PASSWORD).code == "auth.no_project"


def test_an_operator_may_enter_any_project() -> None:
    project = make_project("other")
    make_user(operator=True)
    issued = signin.login(username="ann", password=PASSWORD, project="other")
    actor = tokens.check(secret=issued.secret).actor
    assert actor.project_id == project.pk
    assert policy.everywhere(actor, "hosts.host.enrol")


def test_a_role_given_twice_is_had_once() -> None:
    project = make_project()
    user = make_user(project=project, role="reader")
    assert give(user, "reader", project) == Assignment.objects.get()
    give(user, "admin", project)
    assert Assignment.objects.count() == 2
    role = Assignment.objects.first()
    with pytest.raises(IntegrityError), transaction.atomic():
        Assignment.objects.create(user=user, project=project, role=role.role)


@pytest.mark.parametrize("fields", [{}, {"system": True, "inherited": True}])
def test_a_role_is_somewhere_and_not_inherited_from_everywhere(fields: dict[str, bool]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Assignment.objects.create(user=make_user(), role_id=builtin.ROLE_IDS[builtin.Role.READER], **fields)


def test_who_exists_already_keeps_the_password() -> None:
    make_user()
    _, made = users.ensure_user(actor=SYSTEM, username="ann", password="another one")
    assert not made
    assert User.objects.get().check_password(PASSWORD)


# What each role may do. Every service that changes something is here.

CHANGES: dict[str, Callable[[Cloud, Actor], object]] = {
    "create an instance": lambda cloud, actor: cloud.create(actor=actor),
    "delete an instance": lambda cloud, actor: delete.delete(actor=actor, instance_id=uuid.uuid4()),
    "create a key pair": lambda cloud, actor: catalog.create_key_pair(actor=actor, name="k", public_key="nonsense"),
    "create a network": lambda cloud, actor: networks.create(actor=actor, name="another"),
    "delete a network": lambda cloud, actor: networks.delete(actor=actor, network_id=cloud.network.pk),
    "register an image": lambda cloud, actor: images.register(actor=actor, name="i", disk_format=DiskFormat.RAW),
    "delete an image": lambda cloud, actor: images.delete(actor=actor, image_id=cloud.image.pk),
}
FOR_OPERATORS: dict[str, Callable[[Cloud, Actor], object]] = {
    "create a flavor": lambda cloud, actor: catalog.create_flavor(actor=actor, name="f", vcpus=1, memory_mb=1, disk_gb=1),
    "delete a flavor": lambda cloud, actor: catalog.delete_flavor(actor=actor, flavor_id=cloud.flavor.pk),
    "enrol a host": lambda cloud, actor: enrol.enrol(actor=actor, name="h"),
    "disable a host": lambda cloud, actor: admission.set_enabled(actor=actor, name="h", enabled=False),
    "make a project": lambda cloud, actor: projects.ensure_project(actor=actor, name="p"),
    "make a user": lambda cloud, actor: users.ensure_user(actor=actor, username="u", password="p"),
    "give a role": lambda cloud, actor: assignments.give(
        actor=actor, given=Given(role_id=builtin.ROLE_IDS[builtin.Role.ADMIN], user_id=actor.user_id)
    ),
    "publish an image": lambda cloud, actor: images.register(
        actor=actor, name="i", disk_format=DiskFormat.RAW, visibility="public"
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_reader_changes_nothing_and_is_told_which_role_is_missing(cloud: Cloud, name: str) -> None:
    error = refusal(CHANGES[name], cloud, make_actor(cloud.project, role="reader"))
    assert (error.kind, error.code) == ("forbidden", "policy.forbidden")
    assert (error.facts["roles_needed"], error.facts["roles_held"]) == (["member"], ["reader"])
    assert "the role member on the project" in error.message


@pytest.mark.parametrize("role", ["reader", "member", "admin"])
@pytest.mark.parametrize("name", FOR_OPERATORS)
def test_no_role_in_a_project_makes_an_operator(cloud: Cloud, name: str, role: str) -> None:
    error = refusal(FOR_OPERATORS[name], cloud, make_actor(cloud.project, role=role))
    assert error.kind == "forbidden"
