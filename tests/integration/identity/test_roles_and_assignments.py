"""Roles of one's own, what implies what, and who has which role where."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.identity import builtin, policy, selectors
from apps.identity.models import Assignment, ImpliedRole, PolicyVersion, Project, Role
from apps.identity.selectors import Effective, Wanted
from apps.identity.services import assignments, groups, projects, roles, tokens
from apps.identity.services.assignments import Given
from tests.support.cloud import make_project, refusal
from tests.support.identity import actor_in, give, given, granted, make_actor, make_domain, make_token, make_user

pytestmark = pytest.mark.django_db(transaction=True)
IDS = {role.value: key for role, key in builtin.ROLE_IDS.items()}


def make_role(name: str = "auditor", *permissions: str, **more: Any) -> Role:
    return roles.create_role(actor=SYSTEM, name=name, permissions=permissions or ["audit.record.list"], **more)


# Roles


def test_a_role_of_ones_own_gives_what_it_lists() -> None:
    project = make_project()
    ann = make_user()
    give(ann, str(make_role("runner", "compute.instance.*", "network.network.list").pk), project)
    actor = actor_in(ann, project)
    expected = {name for name in granted("project", "admin") if name.startswith("compute.instance.")}
    assert actor.grants == expected | {"network.network.list"}
    assert actor.roles == ("runner",)


def test_a_role_that_is_changed_counts_with_the_next_request() -> None:
    project = make_project()
    role = make_role("runner", "compute.instance.list")
    ann = make_user()
    give(ann, str(role.pk), project)
    issued = make_token(ann, project)
    assert tokens.check(secret=issued.secret).actor.grants == {"compute.instance.list"}
    roles.update_role(actor=SYSTEM, role_id=role.pk, permissions=["compute.instance.get"])
    assert tokens.check(secret=issued.secret).actor.grants == {"compute.instance.get"}
    roles.imply(actor=SYSTEM, prior_id=role.pk, implied_id=IDS["reader"])
    assert tokens.check(secret=issued.secret).actor.roles == ("reader", "runner")
    roles.unimply(actor=SYSTEM, prior_id=role.pk, implied_id=IDS["reader"])
    assert tokens.check(secret=issued.secret).actor.roles == ("runner",)
    roles.delete_role(actor=SYSTEM, role_id=role.pk)
    assert refusal(tokens.check, secret=issued.secret).code == "auth.no_role"


def test_another_process_sees_a_change_by_the_version_that_it_reads_with_the_token() -> None:
    """A process keeps roles by version. What another one has kept is put back here after the change was made."""
    project = make_project()
    role = make_role("runner", "compute.instance.list")
    ann = make_user()
    give(ann, str(role.pk), project)
    issued = make_token(ann, project)
    tokens.check(secret=issued.secret)
    old = policy.version()
    kept = policy.definitions(old)
    roles.update_role(actor=SYSTEM, role_id=role.pk, permissions=["compute.instance.get"])
    assert policy.version() != old
    assert policy.definitions(old) is kept and kept[role.pk].patterns == {"compute.instance.list"}
    # The other process: it has what it read at the old version, and nothing of the new one.
    assert tokens.check(secret=issued.secret).actor.grants == {"compute.instance.get"}
    with CaptureQueriesContext(connection) as captured:
        tokens.check(secret=issued.secret)
    assert len(captured) == 1, "roles are read once per version"


def test_a_change_that_fails_is_no_new_version() -> None:
    before = policy.version()
    make_role("runner")
    assert refusal(make_role, "runner").code == "role.exists"
    assert refusal(roles.update_role, actor=SYSTEM, role_id=IDS["reader"], name="x").code == "role.builtin"
    assert policy.version() != before


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"name": ""}, "name.invalid", "name"), ({"name": "x" * 256}, "name.invalid", "name"),
        ({"description": "\x00"}, "text.invalid", "description"), ({"permissions": ["compute.nothing"]}, "role.permission", "permissions"),
        ({"permissions": ["nothing.*"]}, "role.permission", "permissions"), ({"permissions": [""]}, "role.permission", "permissions"),
        ({"permissions": ["*"] * 201}, "role.permission", "permissions"), ({"options": {"x": 1}}, "options.unknown", "options"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], code: str, field: str) -> None:
    error = refusal(roles.create_role, actor=SYSTEM, **{"name": "x", **fields})
    assert (error.kind, error.code, error.field) == ("invalid", code, field)
    role = make_role()
    error = refusal(roles.update_role, actor=SYSTEM, role_id=role.pk, **fields)
    assert (error.kind, error.code, error.field) == ("invalid", code, field)


@pytest.mark.parametrize("name", builtin.Role)
def test_built_in_roles_stay_what_they_are(name: builtin.Role) -> None:
    key = builtin.ROLE_IDS[name]
    assert refusal(roles.update_role, actor=SYSTEM, role_id=key, permissions=[]).code == "role.builtin"
    assert refusal(roles.delete_role, actor=SYSTEM, role_id=key).code == "role.builtin"
    assert refusal(roles.create_role, actor=SYSTEM, name=name.value).code == "role.exists"


def test_an_immutable_role_is_left_alone() -> None:
    role = make_role(options={"immutable": True})
    assert refusal(roles.update_role, actor=SYSTEM, role_id=role.pk, name="x").code == "resource.immutable"
    assert refusal(roles.delete_role, actor=SYSTEM, role_id=role.pk).code == "resource.immutable"


@pytest.mark.parametrize(("prior", "implied"), builtin.IMPLIED)
def test_built_in_implications_stay(prior: builtin.Role, implied: builtin.Role) -> None:
    call = {"actor": SYSTEM, "prior_id": builtin.ROLE_IDS[prior], "implied_id": builtin.ROLE_IDS[implied]}
    assert refusal(roles.unimply, **call).code == "role.builtin"


def test_no_role_implies_itself_be_it_by_others() -> None:
    one, two, three = (make_role(name) for name in ("one", "two", "three"))
    roles.imply(actor=SYSTEM, prior_id=one.pk, implied_id=two.pk)
    roles.imply(actor=SYSTEM, prior_id=two.pk, implied_id=three.pk)
    assert roles.imply(actor=SYSTEM, prior_id=two.pk, implied_id=three.pk) == ImpliedRole.objects.get(prior=two)
    for prior, implied in ((three, one), (two, one), (one, one)):
        error = refusal(roles.imply, actor=SYSTEM, prior_id=prior.pk, implied_id=implied.pk)
        assert (error.kind, error.code) == ("invalid_state", "role.circle")
    assert refusal(roles.unimply, actor=SYSTEM, prior_id=one.pk, implied_id=three.pk).code == "role.not_implied"


def test_nothing_implies_the_admin() -> None:
    error = refusal(roles.imply, actor=SYSTEM, prior_id=make_role().pk, implied_id=IDS["admin"])
    assert error.code == "role.admin_implied"


def test_a_role_of_a_domain_counts_there_and_stands_for_what_it_implies() -> None:
    blue, green = make_domain("blue"), make_domain("green")
    own = make_role("boss", "compute.flavor.list", domain_id=blue.pk)
    make_role("boss", domain_id=green.pk)
    assert refusal(roles.imply, actor=SYSTEM, prior_id=IDS["reader"], implied_id=own.pk).code == "role.other_domain"
    roles.imply(actor=SYSTEM, prior_id=own.pk, implied_id=IDS["member"])
    inside = projects.create_project(actor=SYSTEM, name="inside", domain_id=blue.pk)
    ann = make_user()
    give(ann, str(own.pk), inside)
    assert actor_in(ann, inside).roles == ("member", "reader")
    assert refusal(give, ann, str(own.pk), make_project()).code == "role.other_domain"
    assert refusal(give, ann, str(own.pk)).code == "role.of_domain"
    found = selectors.effective(actor=SYSTEM, wanted=Wanted(user_id=ann.pk))
    assert [(each.role.name, each.why) for each in found] == [("member", "implied by boss"), ("reader", "implied by boss")]


def test_the_admin_of_a_domain_has_roles_of_its_own_and_no_more_in_them_than_itself() -> None:
    blue = make_domain("blue")
    adam = make_user("adam", domain=blue)
    give(adam, "admin", blue)
    actor = actor_in(adam, blue)
    own = roles.create_role(actor=actor, name="helper", permissions=["identity.user.*"])
    assert own.domain_id == blue.pk
    assert {row.name for row in selectors.roles(actor=actor)} == {"admin", "helper", "member", "operator", "reader", "service"}
    roles.update_role(actor=actor, role_id=own.pk, description="x")
    assert refusal(roles.create_role, actor=actor, name="x", domain_id=make_domain("green").pk).kind == "not_found"
    assert refusal(roles.update_role, actor=actor, role_id=make_role().pk, name="x").code == "policy.forbidden"
    assert refusal(roles.update_role, actor=actor, role_id=make_role("other", domain_id=make_domain().pk).pk, name="x").kind == "not_found"
    helper = make_user("helper", domain=blue)
    give(helper, str(own.pk), blue)
    restricted = replace(actor_in(helper, blue), grants=frozenset({"identity.role.create", "identity.role.update", "identity.role.get"}))
    assert refusal(roles.create_role, actor=restricted, name="more", permissions=["identity.*"]).code == "role.beyond_own"
    assert refusal(roles.update_role, actor=restricted, role_id=own.pk, permissions=["*"]).code == "role.beyond_own"


# Who has which role where


def test_a_role_is_given_taken_and_asked_for() -> None:
    project = make_project()
    ann = make_user()
    wanted = given(ann, "member", project)
    assert refusal(assignments.check_role, actor=SYSTEM, given=wanted).code == "assignment.not_found"
    made = assignments.give(actor=SYSTEM, given=wanted)
    assert assignments.check_role(actor=SYSTEM, given=wanted) == made
    assert refusal(assignments.check_role, actor=SYSTEM, given=replace(wanted, inherited=True)).code == "assignment.not_found"
    assert refusal(assignments.check_role, actor=SYSTEM, given=replace(wanted, role_id=IDS["reader"])).code == "assignment.not_found"
    assert assignments.check_role(actor=actor_in(ann, project), given=wanted) == made
    assignments.take(actor=SYSTEM, given=wanted)
    assert refusal(assignments.take, actor=SYSTEM, given=wanted).code == "assignment.not_found"
    told = Record.objects.filter(resource_type="assignment").order_by("pk")
    assert [(row.action, row.name, row.project_id) for row in told] == [
        ("identity.assignment.create", "member", project.pk), ("identity.assignment.delete", "member", project.pk),
    ]


@pytest.mark.parametrize("field", ["role_id", "user_id", "place_id"])
def test_what_is_not_there_is_not_found(field: str) -> None:
    other: Any = {field: uuid.uuid4()}
    wanted = replace(given(make_user(), "member", make_project()), **other)
    for call in (assignments.give, assignments.take, assignments.check_role):
        assert refusal(call, actor=SYSTEM, given=wanted).kind == "not_found"


def test_a_project_admin_gives_only_what_it_has_and_only_there() -> None:
    project, other = make_project(), make_project()
    below = projects.create_project(actor=SYSTEM, name="below", parent_id=project.pk)
    adam, ann = make_user("adam", project, "admin"), make_user()
    actor = actor_in(adam, project)
    assignments.give(actor=actor, given=given(ann, "admin", project))
    beyond = make_role("images", "images.image.publish", "quotas.default.set")
    give_it: Callable[..., object] = lambda *args, **more: assignments.give(actor=actor, given=given(ann, *args, **more))  # noqa: E731
    assert refusal(give_it, "member", other).kind == "not_found"
    assert refusal(give_it, "member", below).kind == "not_found"
    assert refusal(give_it, "member", Project(pk=uuid.uuid4())).kind == "not_found"
    assert refusal(give_it, "reader").code == "policy.forbidden"
    assert refusal(give_it, "reader", project, inherited=True).code == "assignment.inherited_beyond"
    give_it(str(beyond.pk), project)  # gives nothing in a project
    limited = replace(actor, grants=frozenset({"identity.assignment.create"}))
    error = refusal(assignments.give, actor=limited, given=given(ann, "member", project))
    assert (error.kind, error.code) == ("forbidden", "role.beyond_own")
    assert "compute.instance.create" in error.facts["beyond"]


def test_only_who_gives_roles_on_the_system_gives_the_role_of_services_itself_or_within_another_one() -> None:
    """Other clouds' services go by the name of this role in any token."""
    blue = make_domain("blue")
    inside = projects.create_project(actor=SYSTEM, name="inside", domain_id=blue.pk)
    around, ann = make_role("nova"), make_user()
    roles.imply(actor=SYSTEM, prior_id=around.pk, implied_id=IDS["service"])
    for place in (inside, blue):
        adam = make_user(f"adam-{place.name}", place, "admin")
        for role in ("service", str(around.pk)):
            error = refusal(assignments.give, actor=actor_in(adam, place), given=given(ann, role, inside))
            assert (error.code, error.field, error.facts["beyond"]) == ("role.beyond_own", "role_id", [])
    op = make_user("op", operator=True)
    for role in ("service", str(around.pk)):
        assignments.give(actor=actor_in(op), given=given(ann, role, inside))
    actor = actor_in(ann, inside)
    assert actor.roles == ("nova", "service")
    assert actor.grants == {"audit.record.list"} and not actor.system_grants


def test_the_admin_of_a_domain_staffs_its_projects_and_nobody_on_the_system() -> None:
    blue, green = make_domain("blue"), make_domain("green")
    inside = projects.create_project(actor=SYSTEM, name="inside", domain_id=blue.pk)
    adam, ann = make_user("adam", domain=blue), make_user()
    give(adam, "admin", blue)
    actor = actor_in(adam, blue)
    for place, inherited in ((inside, False), (blue, False), (blue, True), (inside, True)):
        assignments.give(actor=actor, given=given(ann, "admin", place, inherited=inherited))
    assert refusal(assignments.give, actor=actor, given=given(ann, "reader", green)).kind == "not_found"
    assert refusal(assignments.give, actor=actor, given=given(ann, "reader")).code == "policy.forbidden"
    limited = replace(actor, grants=frozenset({"identity.assignment.create"}))
    assert refusal(assignments.give, actor=limited, given=given(ann, "admin", inside)).code == "role.beyond_own"


def test_who_may_only_give_roles_on_the_system_does_not_give_the_admin() -> None:
    role = make_role("giver", "identity.assignment.create", "identity.assignment.list")
    giver, ann = make_user("giver"), make_user()
    give(giver, str(role.pk))
    actor = actor_in(giver)
    assert refusal(assignments.give, actor=actor, given=given(giver, "admin")).code == "role.beyond_own"
    assert refusal(assignments.give, actor=actor, given=given(giver, "admin", make_project())).code == "role.beyond_own"
    assignments.give(actor=actor, given=given(ann, str(role.pk)))


def test_one_sees_the_assignments_of_the_place_one_rules_over_and_ones_own() -> None:
    blue = make_domain("blue")
    inside = projects.create_project(actor=SYSTEM, name="inside", domain_id=blue.pk)
    project, other = make_project("one"), make_project("two")
    ann, adam, op = make_user(project=project), make_user("adam", project, "admin"), make_user("op", operator=True)
    give(ann, "reader", other)
    give(make_user("bob"), "member", inside)
    give(adam, "reader", blue)

    def seen(actor: Any, **wanted: Any) -> set[str]:
        rows = selectors.assignments(actor=actor, wanted=Wanted(**wanted))
        return {f"{row.user.username} {row.role.name} {row.project.name if row.project else '*'}" for row in rows}

    everything = {"ann member one", "ann reader two", "adam admin one", "adam reader blue", "bob member inside", "op admin *"}
    assert seen(SYSTEM) == seen(actor_in(op)) == everything
    assert seen(actor_in(ann, project)) == {"ann member one", "ann reader two"}
    assert seen(actor_in(adam, project)) == {"ann member one", "adam admin one", "adam reader blue"}
    assert seen(actor_in(adam, blue)) == {"adam admin one", "adam reader blue", "bob member inside"}
    assert seen(SYSTEM, place_id=blue.pk) == {"adam reader blue"}
    assert seen(SYSTEM, place_id=blue.pk, include_subtree=True) == {"adam reader blue", "bob member inside"}
    assert seen(SYSTEM, system=True) == {"op admin *"}
    assert seen(SYSTEM, is_domain=True) == {"adam reader blue"}
    assert seen(SYSTEM, role_id=IDS["reader"]) == {"ann reader two", "adam reader blue"}
    assert seen(SYSTEM, user_id=uuid.uuid4()) == seen(SYSTEM, place_id=uuid.uuid4()) == set()


# Effective roles


def told(found: list[Effective]) -> set[str]:
    return {
        f"{each.user.username} {each.role.name} {each.place.name if each.place else '*'}: {each.why}" for each in found
    }


def test_effective_roles_say_where_they_come_from() -> None:
    blue = make_domain("blue")
    one = projects.create_project(actor=SYSTEM, name="one", domain_id=blue.pk)
    two = projects.create_project(actor=SYSTEM, name="two", parent_id=one.pk)
    ann, bob = make_user(), make_user("bob")
    group = groups.create_group(actor=SYSTEM, name="ops")
    groups.add_member(actor=SYSTEM, group_id=group.pk, user_id=bob.pk)
    give(ann, "member", one)
    give(group, "reader", blue, inherited=True)
    give(ann, "reader", one, inherited=True)
    give(bob, "reader")
    everything = {
        "ann member one: given directly", "ann reader one: implied by member",
        "bob reader one: via group ops, inherited from domain blue", "bob reader two: via group ops, inherited from domain blue",
        "ann reader two: inherited from project one", "bob reader *: given directly",
    }

    def found(**wanted: Any) -> set[str]:
        return told(selectors.effective(actor=SYSTEM, wanted=Wanted(**wanted)))

    assert found() == everything
    assert found(user_id=bob.pk) == {line for line in everything if line.startswith("bob")}
    assert found(place_id=two.pk) == {line for line in everything if " two:" in line}
    assert found(place_id=blue.pk) == set()
    assert found(place_id=blue.pk, include_subtree=True) == everything - {"bob reader *: given directly"}
    assert found(role_id=IDS["member"]) == {"ann member one: given directly"}
    assert found(system=True) == {"bob reader *: given directly"}
    assert found(inherited=True) == {line for line in everything if "inherited" in line}
    assert refusal(selectors.effective, actor=SYSTEM, wanted=Wanted(group_id=group.pk)).code == "assignment.group"


def test_effective_roles_are_what_tokens_have() -> None:
    """The list and the query behind tokens are two ways to say the same."""
    domains = [make_domain(f"d{n}") for n in range(2)]
    tree = []
    for domain in domains:
        top = projects.create_project(actor=SYSTEM, name="top", domain_id=domain.pk)
        tree += [domain, top, projects.create_project(actor=SYSTEM, name="below", parent_id=top.pk)]
    people = [make_user(f"u{n}") for n in range(3)]
    group = groups.create_group(actor=SYSTEM, name="g")
    groups.add_member(actor=SYSTEM, group_id=group.pk, user_id=people[0].pk)
    own = make_role("own", "compute.instance.list")
    for number, place in enumerate(tree):
        holder: Any = [group, *people][number % 4]
        give(holder, ["reader", "member", "admin", str(own.pk)][number % 4], place)
        give(holder, ["admin", "operator", "member"][number % 3], place, inherited=True)
    found = selectors.effective(actor=SYSTEM, wanted=Wanted())
    for user in people:
        for place in tree:
            names = {each.role.name for each in found if each.user == user and each.place == place}
            if names:
                assert names == set(actor_in(user, place).roles), (user.username, place)
            else:
                assert refusal(actor_in, user, place).code == "auth.not_member", (user.username, place)


def test_one_sees_effective_roles_of_ones_own_and_those_where_one_rules() -> None:
    project, other = make_project("one"), make_project("two")
    ann, adam = make_user(project=project), make_user("adam", project, "admin")
    give(adam, "reader", other)
    give(ann, "reader")

    def found(actor: Any, **wanted: Any) -> set[str]:
        return {line.split(":")[0] for line in told(selectors.effective(actor=actor, wanted=Wanted(**wanted)))}

    mine = {"ann member one", "ann reader one", "ann reader *"}
    assert found(actor_in(ann, project), user_id=ann.pk) == mine
    assert found(make_actor(project, user=ann)) == mine
    assert found(make_actor(project, user=ann), user_id=adam.pk) == set()
    ruling = make_actor(project, user=adam, role="admin")
    assert {line.split()[2] for line in found(ruling)} == {"one"}
    assert "ann member one" in found(ruling) and found(ruling, place_id=other.pk) == set()
    assert found(ruling, system=True) == set()
    assert "adam reader two" in found(ruling, user_id=adam.pk)


def test_effective_roles_cost_the_same_however_many_there_are() -> None:
    project = make_project()
    for number in range(3):
        give(make_user(f"u{number}"), "admin", project)
    with CaptureQueriesContext(connection) as few:
        selectors.effective(actor=SYSTEM, wanted=Wanted(place_id=project.pk))
    for number in range(20):
        give(make_user(f"v{number}"), "admin", project)
    with CaptureQueriesContext(connection) as many:
        assert len(selectors.effective(actor=SYSTEM, wanted=Wanted(place_id=project.pk))) == 23 * 4
    assert len(few) == len(many) <= 4


def test_more_effective_roles_than_can_be_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.identity.selectors import effects

    monkeypatch.setattr(effects, "MOST", 3)
    project = make_project()
    give(make_user(), "admin", project)
    assert refusal(selectors.effective, actor=SYSTEM, wanted=Wanted()).code == "assignment.too_many"


def test_a_role_assigned_by_its_id_is_taken_away_by_it() -> None:
    project, other = make_project(), make_project()
    adam = make_user("adam", project, "admin")
    row = give(make_user(), "member", other)
    for key in (row.pk, uuid.uuid4()):
        assert refusal(assignments.take_by_id, actor=actor_in(adam, project), assignment_id=key).code == "assignment.not_found"
    assignments.take_by_id(actor=SYSTEM, assignment_id=row.pk)
    assert not Assignment.objects.filter(pk=row.pk).exists()
    assert PolicyVersion.objects.get().version == 1, "who has which role is read anew with each request"


def test_a_holder_is_a_user_or_a_group() -> None:
    project = make_project()
    ann = make_user()
    nobody: dict[str, Any] = {}
    for ids in (nobody, {"user_id": ann.pk, "group_id": uuid.uuid4()}):
        error = refusal(assignments.give, actor=SYSTEM, given=Given(role_id=IDS["reader"], place_id=project.pk, **ids))
        assert (error.code, error.field) == ("assignment.holder", "user_id")
