"""Who is asking, and what they may do."""

import uuid
from collections.abc import Callable

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from apps.common import clock
from apps.common.context import SYSTEM, Actor
from apps.compute.services import catalog, delete
from apps.hosts.services import admission, enrol
from apps.identity.models import Membership, Project, Token, User
from apps.identity.roles import Role
from apps.identity.services import projects, tokens
from apps.images.services import images
from apps.network.services import networks
from contracts.compute.v1 import DiskFormat
from tests.support.cloud import Cloud, make_actor, make_project, refusal
from tests.support.fixtures import Time

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct horse"


def make_user(name: str = "ann", project: Project | None = None, role: Role = Role.MEMBER, *, operator: bool = False) -> User:
    user, made = projects.ensure_user(actor=SYSTEM, username=name, password=PASSWORD, operator=operator)
    assert made
    if project is not None:
        projects.set_role(actor=SYSTEM, user_id=user.pk, project_id=project.pk, role=role)
    return user


def test_a_password_is_exchanged_for_a_token_that_works() -> None:
    project = make_project("p")
    user = make_user(project=project, role=Role.ADMIN)
    issued = tokens.login(username="ann", password=PASSWORD)
    found, actor, token = tokens.authenticate_token(secret=issued.secret)
    assert (found, token) == (user, issued.token)
    assert (actor.user_id, actor.project_id, actor.role, actor.is_admin) == (user.pk, project.pk, "admin", False)


def test_the_secret_is_stored_nowhere() -> None:
    issued = tokens.issue(user=make_user(), project=make_project())
    row = Token.objects.values().get()
    assert issued.secret not in str(row)
    assert row["prefix"] == issued.secret[:12]
    assert len(issued.secret) > 40


@pytest.mark.parametrize(("username", "password"), [("ann", "wrong"), ("bob", PASSWORD), ("ann", ""), ("", "")])
def test_a_wrong_password_and_an_unknown_user_are_not_told_apart(username: str, password: str) -> None:
    make_user(project=make_project())
    error = refusal(tokens.login, username=username, password=password)
    assert (error.kind, error.code, error.message) == ("unauthenticated", "auth.failed", "Unknown user or wrong password.")
    assert Token.objects.count() == 0


def expire(token: Token) -> None:
    Token.objects.filter(pk=token.pk).update(expires_at=clock.now())


def revoke(token: Token) -> None:
    tokens.revoke(actor=SYSTEM, token_id=token.pk)


def disable_user(token: Token) -> None:
    User.objects.filter(pk=token.user_id).update(is_active=False)


def disable_project(token: Token) -> None:
    Project.objects.filter(pk=token.project_id).update(enabled=False)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (expire, "auth.token_expired"), (revoke, "auth.token_revoked"), (disable_user, "auth.disabled"),
        (disable_project, "auth.disabled"),
    ],
)
def test_a_token_ends_at_once(end: Callable[[Token], None], code: str) -> None:
    project = make_project()
    issued = tokens.issue(user=make_user(project=project), project=project)
    end(issued.token)
    error = refusal(tokens.authenticate_token, secret=issued.secret)
    assert (error.kind, error.code) == ("unauthenticated", code)


def test_a_token_of_somebody_who_left_the_project_is_forbidden() -> None:
    project = make_project()
    issued = tokens.issue(user=make_user(project=project), project=project)
    Membership.objects.all().delete()
    assert refusal(tokens.authenticate_token, secret=issued.secret).code == "auth.not_member"


def test_a_disabled_user_gets_no_new_token() -> None:
    make_user(project=make_project())
    User.objects.update(is_active=False)
    assert refusal(tokens.login, username="ann", password=PASSWORD).code == "auth.failed"


@pytest.mark.parametrize("secret", ["", "cs1_", "nonsense", "x" * 10_000, "\x00", "\u00e4"])
def test_a_token_nobody_issued_is_unknown(secret: str) -> None:
    tokens.issue(user=make_user(), project=make_project())
    assert refusal(tokens.authenticate_token, secret=secret).code == "auth.token_unknown"


def test_a_token_runs_out_by_itself(time_machine: Time) -> None:
    project = make_project()
    issued = tokens.issue(user=make_user(project=project), project=project)
    time_machine.forward(settings.ENV.token_hours * 3600 - 1)
    tokens.authenticate_token(secret=issued.secret)
    time_machine.forward(2)
    assert refusal(tokens.authenticate_token, secret=issued.secret).code == "auth.token_expired"


def test_reading_with_a_token_writes_at_most_once_a_minute(time_machine: Time) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    project = make_project()
    issued = tokens.issue(user=make_user(project=project), project=project)
    tokens.authenticate_token(secret=issued.secret)
    with CaptureQueriesContext(connection) as captured:
        tokens.authenticate_token(secret=issued.secret)
    assert len(captured) == 1
    first = Token.objects.get().last_used_at
    time_machine.forward(61)
    tokens.authenticate_token(secret=issued.secret)
    assert Token.objects.get().last_used_at != first


def test_one_revokes_ones_own_tokens_and_nobody_elses() -> None:
    project = make_project()
    ann, bob = make_user("ann", project), make_user("bob", project)
    issued = tokens.issue(user=ann, project=project)
    assert refusal(tokens.revoke, actor=make_actor(project, user=bob), token_id=issued.token.pk).kind == "not_found"
    tokens.authenticate_token(secret=issued.secret)
    tokens.revoke(actor=make_actor(project, user=ann), token_id=issued.token.pk)
    assert refusal(tokens.revoke, actor=make_actor(project, user=ann), token_id=issued.token.pk).kind == "not_found"


def test_who_has_several_projects_names_one_by_id_or_name() -> None:
    one, two = make_project("one"), make_project("two")
    user = make_user(project=one)
    projects.set_role(actor=SYSTEM, user_id=user.pk, project_id=two.pk, role=Role.READER)
    assert refusal(tokens.login, username="ann", password=PASSWORD).code == "auth.project_needed"
    assert tokens.login(username="ann", password=PASSWORD, project="two").token.project == two
    assert tokens.login(username="ann", password=PASSWORD, project=str(one.pk)).token.project == one


@pytest.mark.parametrize("given", ["other", "nonsense", str(uuid.uuid4())])
def test_a_project_of_others_and_one_that_is_none_are_not_told_apart(given: str) -> None:
    make_project("other")
    make_user(project=make_project("mine"))
    assert refusal(tokens.login, username="ann", password=PASSWORD, project=given).code == "auth.not_member"


def test_a_user_without_any_project_is_told_so() -> None:
    make_user()
    assert refusal(tokens.login, username="ann", password=PASSWORD).code == "auth.no_project"


def test_an_operator_may_enter_any_project() -> None:
    project = make_project("other")
    make_user(operator=True)
    issued = tokens.login(username="ann", password=PASSWORD, project="other")
    _, actor, _ = tokens.authenticate_token(secret=issued.secret)
    assert (actor.is_admin, actor.project_id) == (True, project.pk)


def test_a_user_has_one_role_in_a_project() -> None:
    project = make_project()
    user = make_user(project=project, role=Role.READER)
    projects.set_role(actor=SYSTEM, user_id=user.pk, project_id=project.pk, role=Role.ADMIN)
    assert Membership.objects.get().role == "admin"
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.create(user=user, project=project, role="reader")
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.update(role="king")


def test_who_exists_already_keeps_the_password() -> None:
    make_user()
    _, made = projects.ensure_user(actor=SYSTEM, username="ann", password="another one")
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
    "make a user": lambda cloud, actor: projects.ensure_user(actor=actor, username="u", password="p"),
    "give a role": lambda cloud, actor: projects.set_role(actor=actor, user_id=uuid.uuid4(), project_id=uuid.uuid4(), role=Role.ADMIN),
    "publish an image": lambda cloud, actor: images.register(
        actor=actor, name="i", disk_format=DiskFormat.RAW, visibility="public"
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_reader_changes_nothing_and_is_told_which_role_is_missing(cloud: Cloud, name: str) -> None:
    error = refusal(CHANGES[name], cloud, make_actor(cloud.project, role="reader"))
    assert (error.kind, error.code) == ("forbidden", "auth.role")
    assert error.facts == {"role_needed": "member", "role_held": "reader"}


@pytest.mark.parametrize("role", ["reader", "member", "admin"])
@pytest.mark.parametrize("name", FOR_OPERATORS)
def test_no_role_in_a_project_makes_an_operator(cloud: Cloud, name: str, role: str) -> None:
    error = refusal(FOR_OPERATORS[name], cloud, make_actor(cloud.project, role=role))
    assert error.kind == "forbidden"
