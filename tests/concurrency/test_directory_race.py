"""People who change the directory at the same moment: it stays whole, and who was later is told."""

from functools import partial
from typing import Any

import pytest

from apps.common.context import SYSTEM
from apps.common.errors import CloudError
from apps.identity import policy
from apps.identity.models import Assignment, ImpliedRole, Project, ProjectAncestor, ProjectTag, Role, User
from apps.identity.services import assignments, groups, projects, roles, tags, users
from tests.support.cloud import Cloud, make_project
from tests.support.identity import actor_in, given, make_user
from tests.support.postgres import Deadlocks
from tests.support.threads import errors, together, unexpected

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = range(5)


def codes(results: list[Any]) -> list[str]:
    assert unexpected(results, CloudError) == []
    return sorted(error.code for error in errors(results) if isinstance(error, CloudError))


@pytest.mark.parametrize("round_", ROUNDS)
def test_two_administrators_who_remove_each_other_do_not_both_succeed(round_: int, deadlocks: Deadlocks) -> None:
    one, two = make_user("one", operator=True), make_user("two", operator=True)
    results = together([
        lambda: users.delete_user(actor=actor_in(one), user_id=two.pk),
        lambda: users.update_user(actor=actor_in(two), user_id=one.pk, enabled=False),
    ])
    # The one who was first may have put the other out before it was even known.
    assert len(codes(results)) == 1 and set(codes(results)) <= {"identity.last_admin", "auth.disabled", "policy.forbidden"}
    assert Assignment.objects.filter(system=True, user__is_active=True).count() == 1
    assert deadlocks() == 0, deadlocks.details()


@pytest.mark.parametrize("round_", ROUNDS)
def test_of_many_ways_out_one_administrator_stays(round_: int, deadlocks: Deadlocks) -> None:
    people = [make_user(f"u{number}", operator=True) for number in range(6)]
    calls = []
    for number, user in enumerate(people):
        calls.append((
            partial(users.delete_user, actor=SYSTEM, user_id=user.pk),
            partial(users.update_user, actor=SYSTEM, user_id=user.pk, enabled=False),
            partial(assignments.take, actor=SYSTEM, given=given(user, "admin")),
        )[number % 3])
    assert codes(together(calls)) == ["identity.last_admin"]
    assert Assignment.objects.filter(system=True, user__is_active=True).count() == 1
    assert deadlocks() == 0, deadlocks.details()


@pytest.mark.parametrize("round_", ROUNDS)
def test_two_halves_of_a_circle_of_roles_do_not_close_it(round_: int) -> None:
    a, b = (roles.create_role(actor=SYSTEM, name=name) for name in "ab")
    results = together([
        lambda: roles.imply(actor=SYSTEM, prior_id=a.pk, implied_id=b.pk),
        lambda: roles.imply(actor=SYSTEM, prior_id=b.pk, implied_id=a.pk),
    ])
    assert codes(results) == ["role.circle"]
    assert ImpliedRole.objects.filter(prior__in=[a, b]).count() == 1


@pytest.mark.parametrize("round_", ROUNDS)
def test_changes_of_roles_at_once_go_one_after_the_other(round_: int) -> None:
    before = policy.version()
    results = together([partial(roles.create_role, actor=SYSTEM, name=f"r{n % 4}") for n in range(8)])
    assert codes(results) == ["role.exists"] * 4
    assert policy.version() != before and Role.objects.filter(builtin=False).count() == 4


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_project_is_not_deleted_from_under_a_new_child(round_: int, deadlocks: Deadlocks) -> None:
    top = make_project("top")
    results = together([
        lambda: projects.delete_project(actor=SYSTEM, project_id=top.pk),
        lambda: projects.create_project(actor=SYSTEM, name="child", parent_id=top.pk),
    ])
    assert codes(results) in (["project.has_children"], ["project.not_found"])
    assert Project.objects.filter(parent=top).count() == Project.objects.filter(pk=top.pk).count()
    assert not ProjectAncestor.objects.exclude(ancestor__in=Project.objects.all()).exists()
    assert deadlocks() == 0, deadlocks.details()


@pytest.mark.parametrize("round_", ROUNDS)
def test_nothing_enabled_is_made_below_what_is_disabled_at_that_moment(round_: int) -> None:
    top = make_project("top")
    results = together([
        lambda: projects.update_project(actor=SYSTEM, project_id=top.pk, enabled=False),
        lambda: projects.create_project(actor=SYSTEM, name="child", parent_id=top.pk),
    ])
    assert codes(results) in (["project.children_enabled"], ["project.parent_disabled"])


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_role_is_not_given_to_whom_is_deleted_at_that_moment(round_: int) -> None:
    project, user = make_project(), make_user()
    group = groups.create_group(actor=SYSTEM, name=f"g{round_}")
    results = together([
        lambda: users.delete_user(actor=SYSTEM, user_id=user.pk),
        lambda: assignments.give(actor=SYSTEM, given=given(user, "member", project)),
        lambda: groups.add_member(actor=SYSTEM, group_id=group.pk, user_id=user.pk),
    ])
    assert set(codes(results)) <= {"assignment.vanished", "user.not_found"}
    assert not User.objects.filter(pk=user.pk).exists() and not Assignment.objects.exists()


def test_the_same_name_at_the_same_moment_is_had_once() -> None:
    results = together([lambda: projects.create_project(actor=SYSTEM, name="web") for _ in range(8)])
    assert codes(results) == ["project.exists"] * 7
    results = together([lambda: users.create_user(actor=SYSTEM, username="ann") for _ in range(8)])
    assert codes(results) == ["user.exists"] * 7


def test_tags_that_are_put_on_at_once_are_all_there() -> None:
    project = make_project()
    results = together([partial(tags.add_tag, actor=SYSTEM, project_id=project.pk, tag=f"t{n}") for n in range(10)])
    assert codes(results) == []
    assert ProjectTag.objects.filter(project=project).count() == 10


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_project_with_an_instance_on_its_way_is_not_deleted(cloud: Cloud, round_: int, deadlocks: Deadlocks) -> None:
    """Either the instance was first, then the project stays; or the project is gone, then nothing of it is there."""
    from apps.compute.models import Instance
    from apps.network.models import Network
    from tests.support.identity import make_actor

    project = make_project()
    cloud.actor = make_actor(project)
    results = together([
        lambda: projects.delete_project(actor=SYSTEM, project_id=project.pk),
        lambda: cloud.create(actor=cloud.actor),
    ])
    there = Project.objects.filter(pk=project.pk).exists()
    left = Instance.objects.filter(project_id=project.pk).exists() or Network.objects.filter(project_id=project.pk).exists()
    assert there or not left, results
    assert deadlocks() == 0, deadlocks.details()
