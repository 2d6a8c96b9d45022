"""Projects and domains: a tree that stays one, and what goes with them."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.identity import builtin, selectors
from apps.identity.models import Assignment, Group, Project, ProjectAncestor, Role, Token, User
from apps.identity.services import domains, groups, holdings, projects, roles, tags, tokens, users
from tests.support.cloud import make_project, refusal
from tests.support.identity import actor_in, give, make_actor, make_domain, make_token, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def child(parent: Project, name: str = "child", **more: Any) -> Project:
    return projects.create_project(actor=SYSTEM, name=name, parent_id=parent.pk, **more)


def test_a_project_stands_below_its_parent_in_the_same_domain() -> None:
    domain = make_domain("blue")
    top = projects.create_project(actor=SYSTEM, name="top", domain_id=domain.pk)
    below = child(top)
    assert (below.domain, below.parent) == (domain, top)
    above = ProjectAncestor.objects.filter(project=below).order_by("depth")
    assert [(row.ancestor, row.depth) for row in above] == [(below, 0), (top, 1), (domain, 2)]
    assert [each.pk for each in selectors.parents(actor=SYSTEM, project_id=below.pk)] == [top.pk, domain.pk]
    assert set(selectors.subtree(actor=SYSTEM, project_id=domain.pk)) == {top, below}


def test_a_parent_of_another_domain_is_refused() -> None:
    error = refusal(
        projects.create_project, actor=SYSTEM, name="x", domain_id=make_domain("blue").pk, parent_id=make_project().pk
    )
    assert (error.kind, error.code, error.field) == ("invalid", "project.parent_domain", "parent_id")


def test_a_tree_has_five_levels_with_the_domain() -> None:
    parent = make_domain("deep")
    for level in range(projects.MOST_LEVELS - 1):
        parent = child(parent, f"level {level}")
    error = refusal(child, parent, "one too many")
    assert (error.kind, error.code) == ("invalid_state", "project.too_deep")


@pytest.mark.parametrize("field", ["domain_id", "parent_id"])
def test_what_is_not_there_is_no_parent(field: str) -> None:
    error = refusal(projects.create_project, actor=SYSTEM, name="x", **{field: uuid.uuid4()})
    assert (error.kind, error.field) == ("not_found", field)


def test_a_project_is_no_domain() -> None:
    assert refusal(projects.create_project, actor=SYSTEM, name="x", domain_id=make_project().pk).code == "domain.not_found"


def test_a_name_is_had_once_in_a_domain_and_again_in_another() -> None:
    make_project("web")
    error = refusal(projects.create_project, actor=SYSTEM, name="web")
    assert (error.kind, error.code, error.field) == ("conflict", "project.exists", "name")
    other = projects.create_project(actor=SYSTEM, name="web", domain_id=make_domain("blue").pk)
    free = make_project("free")
    assert refusal(projects.update_project, actor=SYSTEM, project_id=free.pk, name="web").code == "project.exists"
    assert projects.update_project(actor=SYSTEM, project_id=free.pk, name="web 2").name == "web 2"
    assert other.name == "web"


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"name": ""}, "name.invalid", "name"), ({"name": "x" * 65}, "name.invalid", "name"),
        ({"name": "a\x00"}, "name.invalid", "name"), ({"description": "x" * 5000}, "text.invalid", "description"),
        ({"description": "\x00"}, "text.invalid", "description"), ({"tags": ["a,b"]}, "tag.invalid", "tags"),
        ({"tags": ["a", "a"]}, "tag.twice", "tags"), ({"tags": [str(n) for n in range(81)]}, "tag.too_many", "tags"),
        ({"options": {"shiny": True}}, "options.unknown", "options"),
        ({"options": {"immutable": "yes"}}, "options.value", "options.immutable"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], code: str, field: str) -> None:
    error = refusal(projects.create_project, actor=SYSTEM, **{"name": "x", **fields})
    assert (error.kind, error.code, error.field) == ("invalid", code, field)
    project = make_project()
    error = refusal(projects.update_project, actor=SYSTEM, project_id=project.pk, **fields)
    assert (error.kind, error.code, error.field) == ("invalid", code, field)
    assert Project.objects.get(pk=project.pk).name == project.name


def test_a_project_is_disabled_from_below_and_enabled_from_above() -> None:
    top = make_project("top")
    below = child(top)
    error = refusal(projects.update_project, actor=SYSTEM, project_id=top.pk, enabled=False)
    assert (error.kind, error.code) == ("invalid_state", "project.children_enabled")
    projects.update_project(actor=SYSTEM, project_id=below.pk, enabled=False)
    projects.update_project(actor=SYSTEM, project_id=top.pk, enabled=False)
    assert refusal(projects.update_project, actor=SYSTEM, project_id=below.pk, enabled=True).code == "project.parent_disabled"
    assert refusal(child, top, "new").code == "project.parent_disabled"
    assert not child(top, "asleep", enabled=False).enabled


def test_a_disabled_project_voids_its_tokens_at_once_and_gives_them_back() -> None:
    project = make_project()
    issued = make_token(make_user(project=project), project)
    projects.update_project(actor=SYSTEM, project_id=project.pk, enabled=False)
    assert refusal(tokens.check, secret=issued.secret).code == "auth.disabled"
    projects.update_project(actor=SYSTEM, project_id=project.pk, enabled=True)
    tokens.check(secret=issued.secret)


def test_an_immutable_project_is_left_alone_until_that_is_taken_back() -> None:
    project = make_project()
    projects.update_project(actor=SYSTEM, project_id=project.pk, options={"immutable": True})
    for call in (
        lambda: projects.update_project(actor=SYSTEM, project_id=project.pk, name="new"),
        lambda: projects.delete_project(actor=SYSTEM, project_id=project.pk),
        lambda: tags.add_tag(actor=SYSTEM, project_id=project.pk, tag="a"),
    ):
        assert refusal(call).code == "resource.immutable"
    assert projects.update_project(actor=SYSTEM, project_id=project.pk, name="new", options={"immutable": None}).options == {}


def test_a_deleted_project_takes_roles_and_tokens_with_it() -> None:
    project, kept = make_project(), make_project()
    user = make_user(project=project)
    give(user, "member", kept)
    users.update_user(actor=SYSTEM, user_id=user.pk, default_project_id=project.pk)
    issued = make_token(user, project)
    projects.delete_project(actor=SYSTEM, project_id=project.pk)
    assert refusal(tokens.check, secret=issued.secret).code == "auth.token_unknown"
    assert [row.project for row in Assignment.objects.all()] == [kept]
    assert User.objects.get(pk=user.pk).default_project_id is None
    assert not Project.objects.filter(pk=project.pk).exists()


def test_a_project_with_projects_below_it_is_not_deleted() -> None:
    top = make_project()
    child(top)
    error = refusal(projects.delete_project, actor=SYSTEM, project_id=top.pk)
    assert (error.kind, error.code) == ("invalid_state", "project.has_children")


@pytest.fixture
def held() -> Iterator[dict[uuid.UUID, dict[str, int]]]:
    """What an upper context says that projects have; and the ids that it was told of."""
    found: dict[uuid.UUID, dict[str, int]] = {}

    def in_use(project_ids: Any) -> dict[uuid.UUID, dict[str, int]]:
        return {key: found[key] for key in project_ids if key in found}

    holdings.register(in_use)
    yield found
    holdings._in_use.remove(in_use)


def test_a_project_that_still_has_something_says_what(held: dict[uuid.UUID, dict[str, int]]) -> None:
    project = make_project()
    held[project.pk] = {"instances": 3, "floating_ips": 1, "images": 0}
    error = refusal(projects.delete_project, actor=SYSTEM, project_id=project.pk)
    assert (error.kind, error.code) == ("conflict", "project.in_use")
    assert error.message == "It still has floating ips (1), instances (3); delete these first."
    assert error.facts["in_use"] == {"instances": 3, "floating_ips": 1}
    held.clear()
    projects.delete_project(actor=SYSTEM, project_id=project.pk)


def test_tags_are_put_on_and_taken_off() -> None:
    project = make_project()
    call: dict[str, Any] = {"actor": SYSTEM, "project_id": project.pk}
    assert tags.set_tags(**call, tags=["b", "a"]) == ["a", "b"]
    assert tags.add_tag(**call, tag="c") == ["a", "b", "c"]
    assert tags.add_tag(**call, tag="c") == ["a", "b", "c"]
    assert tags.has_tag(**call, tag="c") and not tags.has_tag(**call, tag="d")
    assert tags.remove_tag(**call, tag="a") == ["b", "c"]
    assert refusal(tags.remove_tag, **call, tag="a").code == "tag.not_found"
    assert tags.set_tags(**call, tags=[]) == []
    told = Record.objects.filter(action="identity.project.update").order_by("pk")
    assert [row.changes["tags"] for row in told] == [[[], ["a", "b"]], [["a", "b"], ["a", "b", "c"]], [["a", "b", "c"], ["b", "c"]], [["b", "c"], []]]


def test_a_project_has_at_most_eighty_tags() -> None:
    project = make_project()
    tags.set_tags(actor=SYSTEM, project_id=project.pk, tags=[f"tag-{n}" for n in range(80)])
    assert refusal(tags.add_tag, actor=SYSTEM, project_id=project.pk, tag="x").code == "tag.too_many"


# Domains


def test_a_domain_is_had_once_under_its_name() -> None:
    made = make_domain("blue")
    assert (made.is_domain, made.domain_id, made.parent_id) == (True, None, None)
    assert refusal(make_domain, "blue").code == "domain.exists"
    key = uuid.uuid4()
    assert domains.create_domain(actor=SYSTEM, name="green", domain_id=key).pk == key
    assert refusal(domains.update_domain, actor=SYSTEM, domain_id=key, name="blue").code == "domain.exists"


def test_with_a_domain_all_its_users_and_projects_are_out_at_once() -> None:
    domain = make_domain("blue")
    inside = projects.create_project(actor=SYSTEM, name="inside", domain_id=domain.pk)
    outside = make_project()
    guest, native = make_user("guest", inside), make_user("native", outside, domain=domain)
    issued = [make_token(guest, inside), make_token(native, outside)]
    domains.update_domain(actor=SYSTEM, domain_id=domain.pk, enabled=False)
    assert [refusal(tokens.check, secret=each.secret).code for each in issued] == ["auth.disabled", "auth.disabled"]
    domains.update_domain(actor=SYSTEM, domain_id=domain.pk, enabled=True)
    for each in issued:
        tokens.check(secret=each.secret)


def test_a_domain_is_deleted_disabled_and_empty_of_resources(held: dict[uuid.UUID, dict[str, int]]) -> None:
    domain = make_domain("blue")
    top = projects.create_project(actor=SYSTEM, name="top", domain_id=domain.pk)
    child(child(top, "b"), "c")
    user = make_user("native", top, domain=domain)
    groups.create_group(actor=SYSTEM, name="g", domain_id=domain.pk)
    role = roles.create_role(actor=SYSTEM, name="own", domain_id=domain.pk)
    held[top.pk] = {"instances": 1}
    assert refusal(domains.delete_domain, actor=SYSTEM, domain_id=domain.pk).code == "domain.enabled"
    domains.update_domain(actor=SYSTEM, domain_id=domain.pk, enabled=False)
    assert refusal(domains.delete_domain, actor=SYSTEM, domain_id=domain.pk).code == "project.in_use"
    assert Project.objects.filter(domain=domain).count() == 3
    held.clear()
    domains.delete_domain(actor=SYSTEM, domain_id=domain.pk)
    assert not Project.objects.filter(pk__in=[domain.pk, top.pk]).exists()
    assert not User.objects.filter(pk=user.pk).exists() and not Group.objects.exists()
    assert not Role.objects.filter(pk=role.pk).exists() and not Token.objects.exists()
    deleted = Record.objects.filter(action__endswith=".delete").values_list("action", flat=True)
    assert sorted(deleted) == [
        "identity.domain.delete", "identity.group.delete", "identity.project.delete", "identity.project.delete",
        "identity.project.delete", "identity.user.delete",
    ]


def test_the_default_domain_stays() -> None:
    key = builtin.DEFAULT_DOMAIN_ID
    assert refusal(domains.delete_domain, actor=SYSTEM, domain_id=key).code == "domain.default"
    assert refusal(domains.update_domain, actor=SYSTEM, domain_id=key, enabled=False).code == "domain.default"


# Who may


def test_the_admin_of_a_domain_rules_over_its_projects_and_sees_no_others() -> None:
    blue, green = make_domain("blue"), make_domain("green")
    theirs = projects.create_project(actor=SYSTEM, name="theirs", domain_id=green.pk)
    admin = make_user("adam", domain=blue)
    give(admin, "admin", blue)
    actor = actor_in(admin, blue)
    made = projects.create_project(actor=actor, name="mine")
    assert made.domain == blue
    projects.update_project(actor=actor, project_id=made.pk, description="x")
    assert list(selectors.projects(actor=actor)) == [made]
    for call in (
        lambda: projects.create_project(actor=actor, name="x", domain_id=green.pk),
        lambda: projects.create_project(actor=actor, name="x", parent_id=theirs.pk),
        lambda: projects.update_project(actor=actor, project_id=theirs.pk, name="x"),
        lambda: projects.delete_project(actor=actor, project_id=theirs.pk),
        lambda: tags.set_tags(actor=actor, project_id=theirs.pk, tags=[]),
        lambda: selectors.project(actor=actor, project_id=theirs.pk),
        lambda: selectors.domain(actor=actor, domain_id=green.pk),
    ):
        assert refusal(call).kind == "not_found"
    assert refusal(domains.update_domain, actor=actor, domain_id=blue.pk, name="x").kind == "forbidden"
    projects.delete_project(actor=actor, project_id=made.pk)


@pytest.mark.parametrize("role", ["reader", "member", "admin"])
def test_no_role_in_a_project_changes_projects_and_nobody_learns_which_there_are(role: str) -> None:
    project, other = make_project(), make_project()
    actor = make_actor(project, role=role)
    for key in (project.pk, other.pk, uuid.uuid4()):
        error = refusal(projects.update_project, actor=actor, project_id=key, name="x")
        assert (error.kind, error.code) == ("forbidden", "policy.forbidden")
        assert refusal(projects.delete_project, actor=actor, project_id=key).kind == "forbidden"
    assert selectors.project(actor=actor, project_id=project.pk) == project
    assert refusal(selectors.project, actor=actor, project_id=other.pk).kind == "not_found"


def test_one_sees_the_projects_in_which_one_has_a_role_also_by_group_and_from_above() -> None:
    own, by_group, inherited, foreign = (make_project(name) for name in ("own", "by group", "inherited", "foreign"))
    below = child(inherited, "below")
    user = make_user(project=own)
    group = groups.create_group(actor=SYSTEM, name="g")
    groups.add_member(actor=SYSTEM, group_id=group.pk, user_id=user.pk)
    give(group, "reader", by_group)
    give(user, "reader", inherited, inherited=True)
    actor = actor_in(user, own)
    assert {row.name for row in selectors.projects(actor=actor)} == {"own", "by group", "below"}
    assert selectors.project(actor=actor, project_id=below.pk) == below
    assert refusal(selectors.project, actor=actor, project_id=foreign.pk).kind == "not_found"
    assert refusal(selectors.project, actor=actor, project_id=inherited.pk).kind == "not_found"
