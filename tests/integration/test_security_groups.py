"""Security groups: their rules, who is in them, and what keeps them from being deleted."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.audit.models import Record
from apps.common.context import SYSTEM, Actor
from apps.identity.models import Project
from apps.network import selectors
from apps.network.models import Change, Network, PortGroup, Rule, SecurityGroup, Subnet
from apps.network.services import groups
from apps.quotas.models import Usage
from apps.quotas.services import limits
from tests.support.cloud import make_project, refusal
from tests.support.identity import NOBODY, make_actor
from tests.support.routing import inside, plug

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def actor(project: Project) -> Actor:
    return make_actor(project)


@pytest.fixture
def web(actor: Actor) -> SecurityGroup:
    return groups.create(actor=actor, name="web")


@pytest.fixture
def lan(project: Project) -> tuple[Network, Subnet]:
    network, (subnet,) = inside(project, "10.5.0.0/24")
    return network, subnet


def told() -> list[tuple[str, uuid.UUID, list[str]]]:
    """What hosts are to be told of since this was asked last."""
    found = [(change.kind, change.ref, change.groups) for change in Change.objects.all()]
    Change.objects.all().delete()
    return found


def fingerprints(group: SecurityGroup) -> list[str]:
    return sorted(group.rules.values_list("fingerprint", flat=True))


def rule(actor: Actor, group: SecurityGroup, **given: Any) -> Rule:
    return groups.add_rule(actor=actor, group_id=group.pk, **{"direction": "ingress", "protocol": "tcp", "first": 22, **given})


# Groups.


def test_members_of_a_new_group_may_send_anything_and_are_sent_nothing(web: SecurityGroup) -> None:
    assert fingerprints(web) == ["egress 4 any any", "egress 6 any any"]


def test_members_of_the_default_group_are_also_sent_what_other_members_send(project: Project) -> None:
    group = groups.ensure_default(project.pk)
    assert fingerprints(group) == [
        "egress 4 any any", "egress 6 any any", f"ingress 4 any {group.pk}", f"ingress 6 any {group.pk}",
    ]
    assert group.is_default


def test_a_project_has_one_default_group_and_asking_again_costs_one_query(project: Project) -> None:
    first = groups.ensure_default(project.pk)
    with CaptureQueriesContext(connection) as asked:
        assert groups.ensure_default(project.pk).pk == first.pk
    assert len(asked) == 1


def test_a_name_is_used_once_in_a_project_and_freely_in_others(actor: Actor, web: SecurityGroup) -> None:
    error = refusal(groups.create, actor=actor, name="web")
    assert (error.kind, error.code, error.field) == ("conflict", "security_group.exists", "name")
    groups.create(actor=make_actor(make_project()), name="web")


def test_the_name_of_the_default_group_is_taken_before_there_is_one(actor: Actor, web: SecurityGroup) -> None:
    assert refusal(groups.create, actor=actor, name="default").code == "security_group.exists"
    assert refusal(groups.update, actor=actor, group_id=web.pk, name="default").code == "security_group.exists"
    assert groups.ensure_default(web.project_id).name == "default"


def test_a_group_is_renamed_and_described(actor: Actor, web: SecurityGroup) -> None:
    groups.create(actor=actor, name="db")
    assert refusal(groups.update, actor=actor, group_id=web.pk, name="db").code == "security_group.exists"
    groups.update(actor=actor, group_id=web.pk, name="www", description="what is on the front")
    web.refresh_from_db()
    assert (web.name, web.description) == ("www", "what is on the front")


@pytest.mark.parametrize("given", [{"name": ""}, {"name": "x" * 65}, {"name": "a\nb"}, {"description": "x" * 256}, {"description": "\x00"}])
def test_a_name_or_description_that_cannot_be_kept_is_refused(actor: Actor, web: SecurityGroup, given: dict[str, Any]) -> None:
    assert refusal(groups.update, actor=actor, group_id=web.pk, **given).field == next(iter(given))
    assert refusal(groups.create, actor=actor, **{"name": "other", **given}).kind == "invalid"


def test_the_default_group_is_neither_renamed_nor_deleted_but_its_rules_are_the_projects(actor: Actor, project: Project) -> None:
    group = groups.ensure_default(project.pk)
    assert refusal(groups.update, actor=actor, group_id=group.pk, name="mine").code == "security_group.default"
    assert refusal(groups.delete, actor=actor, group_id=group.pk).code == "security_group.default"
    assert groups.update(actor=actor, group_id=group.pk, name="default", description="ours").description == "ours"
    rule(actor, group)
    for each in list(group.rules.all()):
        groups.delete_rule(actor=actor, rule_id=each.pk)
    assert not group.rules.exists()


def test_groups_count_against_the_quota_and_the_default_one_does_not(actor: Actor, project: Project) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=project.pk, limits={"security_groups": 1})
    groups.ensure_default(project.pk)
    made = groups.create(actor=actor, name="one")
    error = refusal(groups.create, actor=actor, name="two")
    assert (error.code, error.facts["resource"]) == ("quota.exceeded", "security_groups")
    groups.delete(actor=actor, group_id=made.pk)
    assert Usage.objects.get(pk=project.pk).security_groups == 0
    groups.create(actor=actor, name="two")
    assert selectors.usage([project.pk])[project.pk]["security_groups"] == 1


def test_a_group_is_deleted_with_its_rules(actor: Actor, web: SecurityGroup) -> None:
    rule(actor, web, protocol="any", first=None, remote_group_id=web.pk)
    groups.delete(actor=actor, group_id=web.pk)
    assert not Rule.objects.filter(group_id=web.pk).exists()


def test_a_group_with_ports_in_it_is_not_deleted_and_they_are_named(
    actor: Actor, web: SecurityGroup, lan: tuple[Network, Subnet]
) -> None:
    ports = [plug(lan[0], name=f"eth{number}") for number in range(7)]
    for port in ports:
        groups.set_of_port(actor=actor, port_id=port.pk, group_ids=[web.pk])
    error = refusal(groups.delete, actor=actor, group_id=web.pk)
    assert (error.kind, error.code, error.facts["ports"]) == ("invalid_state", "security_group.in_use", 7)
    assert error.facts["in_the_way"]["ports"] == [f"{port.name} {port.pk}" for port in ports[:5]]


def test_a_group_that_other_groups_rules_name_is_not_deleted_and_these_are_named(actor: Actor, web: SecurityGroup) -> None:
    db = groups.create(actor=actor, name="db")
    rule(actor, db, remote_group_id=web.pk)
    rule(actor, db, remote_group_id=web.pk, first=5432)
    error = refusal(groups.delete, actor=actor, group_id=web.pk)
    assert (error.code, error.facts["security_groups"]) == ("security_group.in_use", 1)
    assert f"db {db.pk}" in error.message
    groups.delete(actor=actor, group_id=db.pk)
    groups.delete(actor=actor, group_id=web.pk)


def test_groups_of_other_projects_are_not_there(web: SecurityGroup) -> None:
    stranger = make_actor(make_project(), role="admin")
    calls: list[tuple[Any, dict[str, Any]]] = [
        (selectors.group, {}), (groups.update, {"name": "x"}), (groups.delete, {}), (groups.add_rule, {"direction": "egress"}),
    ]
    for call, given in calls:
        assert refusal(call, actor=stranger, group_id=web.pk, **given).code == "security_group.not_found"
    assert refusal(groups.delete_rule, actor=stranger, rule_id=web.rules.first().pk).code == "rule.not_found"
    assert refusal(selectors.group_named, actor=stranger, name="web").code == "security_group.not_found"
    assert not selectors.groups(actor=stranger).exists()
    assert not selectors.groups(actor=stranger, all_projects=True).exists()
    assert not selectors.rules(actor=stranger).exists()


def test_operators_see_and_change_groups_of_all_projects(web: SecurityGroup) -> None:
    operator = make_actor(make_project(), operator=True)
    assert not selectors.groups(actor=operator).exists()
    assert selectors.groups(actor=operator, all_projects=True).get() == web
    rule(operator, web)
    assert web.rules.count() == 3


def test_readers_read_and_change_nothing(project: Project, web: SecurityGroup) -> None:
    reader = make_actor(project, role="reader")
    assert selectors.groups(actor=reader).get() == web
    for call, given in [(groups.create, {"name": "x"}), (groups.delete, {"group_id": web.pk})]:
        assert refusal(call, actor=reader, **given).code == "policy.forbidden"  # type: ignore[arg-type]


# Rules.


def test_a_rule_is_stored_checked_and_hosts_are_told_of_its_group(actor: Actor, web: SecurityGroup) -> None:
    told()
    made = rule(actor, web, family=6, cidr="2001:DB8::/32", description="office")
    made.refresh_from_db()
    assert (made.direction, made.family, made.protocol, made.first, made.last) == ("ingress", 6, 6, 22, 22)
    assert (made.cidr, made.remote_group_id, made.description) == ("2001:db8::/32", None, "office")
    assert told() == [("group", web.pk, [])]
    groups.delete_rule(actor=actor, rule_id=made.pk)
    assert told() == [("group", web.pk, [])]
    assert refusal(groups.delete_rule, actor=actor, rule_id=made.pk).code == "rule.not_found"


def test_the_same_rule_twice_is_refused_naming_the_first(actor: Actor, web: SecurityGroup) -> None:
    first = rule(actor, web)
    error = refusal(rule, actor, web, protocol=6, last=22, cidr="0.0.0.0/0", description="other words")
    assert (error.kind, error.code, error.facts) == ("conflict", "rule.exists", {"rule_id": str(first.pk)})
    rule(actor, groups.create(actor=actor, name="other"))


def test_icmp_rules_are_kept_with_type_and_code(actor: Actor, web: SecurityGroup) -> None:
    for first, last in [(None, None), (8, None), (3, 4), (255, 0)]:
        made = rule(actor, web, protocol="icmp", first=first, last=last)
        made.refresh_from_db()
        assert (made.first, made.last) == (first, last)


def test_what_cannot_be_a_rule_leaves_nothing(actor: Actor, web: SecurityGroup) -> None:
    told()
    assert refusal(rule, actor, web, first=80, last=79).code == "rule.ports"
    assert refusal(rule, actor, web, description="x" * 256).field == "description"
    assert (web.rules.count(), told()) == (2, [])


def test_a_rule_names_groups_of_its_own_project_only(actor: Actor, web: SecurityGroup) -> None:
    foreign = groups.create(actor=make_actor(make_project()), name="theirs")
    for asked in (foreign.pk, NOBODY):
        error = refusal(rule, actor, web, remote_group_id=asked)
        assert (error.code, error.field) == ("security_group.not_found", "remote_group_id")
        assert str(asked) in error.message
    operator = make_actor(None, operator=True)
    assert refusal(rule, operator, web, remote_group_id=foreign.pk).code == "security_group.not_found"


def test_a_group_has_so_many_rules_and_no_more(actor: Actor, web: SecurityGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_RULES", 3)
    rule(actor, web)
    error = refusal(rule, actor, web, first=23)
    assert (error.code, error.facts) == ("rule.too_many", {"limit": 3})


# Members.


def test_a_port_is_in_exactly_the_groups_that_it_was_given_last(actor: Actor, web: SecurityGroup, lan: tuple[Network, Subnet]) -> None:
    db, port = groups.create(actor=actor, name="db"), plug(lan[0], host_id=uuid.uuid4())
    told()
    assert groups.set_of_port(actor=actor, port_id=port.pk, group_ids=[web.pk, web.pk]) == [web.pk]
    assert told() == [("port", port.pk, [])]
    groups.set_of_port(actor=actor, port_id=port.pk, group_ids=[db.pk])
    assert list(PortGroup.objects.values_list("port_id", "group_id")) == [(port.pk, db.pk)]
    assert told() == [("port", port.pk, [str(web.pk)])]
    groups.set_of_port(actor=actor, port_id=port.pk, group_ids=[])
    assert not PortGroup.objects.exists()


def test_the_groups_that_it_has_already_change_nothing(actor: Actor, web: SecurityGroup, lan: tuple[Network, Subnet]) -> None:
    port = plug(lan[0], host_id=uuid.uuid4())
    groups.set_of_port(actor=actor, port_id=port.pk, group_ids=[web.pk])
    told()
    records = Record.objects.count()
    groups.set_of_port(actor=actor, port_id=port.pk, group_ids=[web.pk])
    assert (told(), Record.objects.count()) == ([], records)


def test_a_port_without_port_security_is_in_no_group(actor: Actor, web: SecurityGroup, lan: tuple[Network, Subnet]) -> None:
    port = plug(lan[0], port_security=False)
    error = refusal(groups.set_of_port, actor=actor, port_id=port.pk, group_ids=[web.pk])
    assert (error.kind, error.code, error.field) == ("invalid_state", "port.no_port_security", "security_groups")
    groups.set_of_port(actor=actor, port_id=port.pk, group_ids=[])


def test_ports_and_groups_that_are_not_the_projects_are_not_there(
    actor: Actor, web: SecurityGroup, lan: tuple[Network, Subnet]
) -> None:
    stranger = make_actor(make_project())
    theirs, port = groups.create(actor=stranger, name="theirs"), plug(lan[0])
    assert refusal(groups.set_of_port, actor=stranger, port_id=port.pk, group_ids=[theirs.pk]).code == "port.not_found"
    for asked in (theirs.pk, NOBODY):
        error = refusal(groups.set_of_port, actor=actor, port_id=port.pk, group_ids=[web.pk, asked])
        assert (error.code, error.field) == ("security_group.not_found", "security_groups")
    operator = make_actor(None, operator=True)
    assert refusal(groups.set_of_port, actor=operator, port_id=port.pk, group_ids=[theirs.pk]).code == "security_group.not_found"
    assert groups.set_of_port(actor=operator, port_id=port.pk, group_ids=[web.pk]) == [web.pk]
    assert refusal(groups.set_of_port, actor=operator, port_id=NOBODY, group_ids=[]).code == "port.not_found"


def test_what_stands_for_a_floating_address_has_no_groups(actor: Actor, web: SecurityGroup, lan: tuple[Network, Subnet]) -> None:
    port = plug(lan[0], device_kind="floating_ip")
    assert refusal(groups.set_of_port, actor=actor, port_id=port.pk, group_ids=[web.pk]).code == "port.not_found"


def test_a_port_is_in_so_many_groups_and_no_more(actor: Actor, lan: tuple[Network, Subnet]) -> None:
    port = plug(lan[0])
    error = refusal(groups.set_of_port, actor=actor, port_id=port.pk, group_ids=[uuid.uuid4() for _ in range(17)])
    assert (error.code, error.field) == ("port.groups", "security_groups")


# The trail, and the end.


def test_every_change_is_in_the_trail(actor: Actor, web: SecurityGroup, lan: tuple[Network, Subnet]) -> None:
    seen = Record.objects.order_by("pk").last().pk
    port, made = plug(lan[0], name="eth0"), rule(actor, web)
    groups.set_of_port(actor=actor, port_id=port.pk, group_ids=[web.pk])
    groups.update(actor=actor, group_id=web.pk, name="www")
    groups.delete_rule(actor=actor, rule_id=made.pk)
    groups.set_of_port(actor=actor, port_id=port.pk, group_ids=[])
    groups.delete(actor=actor, group_id=web.pk)
    rows = Record.objects.order_by("pk").filter(pk__gt=seen, project_id=actor.project_id)
    group, plugged = ("security_group", str(web.pk)), ("port", str(port.pk))
    assert [((row.resource_type, row.resource_id), row.action.rsplit(".", 1)[1], row.changes) for row in rows] == [
        (group, "update", {"rule": [None, "ingress 4 6:22-22 any"]}),
        (plugged, "update", {"groups": [[], [str(web.pk)]]}),
        (group, "update", {"name": ["web", "www"]}),
        (group, "update", {"rule": ["ingress 4 6:22-22 any", None]}),
        (plugged, "update", {"groups": [[str(web.pk)], []]}),
        (group, "delete", {}),
    ]


def test_the_default_group_goes_with_its_project(project: Project) -> None:
    groups.ensure_default(project.pk)
    kept = groups.ensure_default(make_project().pk)
    groups.forget([project.pk])
    assert list(SecurityGroup.objects.all()) == [kept]
