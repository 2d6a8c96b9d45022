"""Server groups: made, joined, left and deleted; and what of a member its group knows."""

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.common.errors import Conflict
from apps.compute.models import Instance
from apps.compute.services import audit
from apps.identity.models import Project
from apps.identity.services import projects
from apps.quotas.models import Usage
from apps.quotas.services import limits
from apps.scheduler import selectors
from apps.scheduler.models import GroupMember, ServerGroup
from apps.scheduler.services import groups
from apps.scheduler.states import GroupPolicy
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, make_project, refusal
from tests.support.commands import as_json, run
from tests.support.identity import make_actor


def make(cloud: Cloud, policy: str = "anti-affinity", **fields: Any) -> ServerGroup:
    return groups.create(actor=cloud.actor, **{"name": "web", "policy": policy, **fields})


def counted(cloud: Cloud) -> tuple[int, int]:
    row = Usage.objects.get(pk=cloud.project.pk)
    return row.server_groups, row.server_group_members


def member(instance: Instance) -> tuple[uuid.UUID | None, int | None]:
    row = GroupMember.objects.get(pk=instance.pk)
    return row.host_id, row.seat


# Groups.


def test_a_group_is_made_counted_recorded_and_deleted(cloud: Cloud) -> None:
    made = make(cloud, max_per_host=2)
    assert (made.policy, made.max_per_host, made.project_id, made.user_id) == ("anti-affinity", 2, cloud.project.pk, cloud.actor.user_id)
    assert counted(cloud) == (1, 0)
    assert selectors.server_group_named(actor=cloud.actor, name="web") == made
    groups.delete(actor=cloud.actor, group_id=made.pk)
    assert counted(cloud) == (0, 0)
    actions = Record.objects.filter(resource_type="server_group").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["scheduler.server_group.create", "scheduler.server_group.delete"]
    assert refusal(groups.delete, actor=cloud.actor, group_id=made.pk).code == "server_group.not_found"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"policy": "together"}, "server_group.policy"), ({"name": " "}, "name.invalid"), ({"max_per_host": 0}, "server_group.max_per_host"),
        ({"policy": "affinity", "max_per_host": 2}, "server_group.max_per_host"),
    ],
    ids=["policy", "name", "none-per-host", "affinity-has-no-bound"],
)
def test_a_group_that_means_nothing_is_refused(cloud: Cloud, fields: dict[str, Any], code: str) -> None:
    assert refusal(make, cloud, **fields).code == code
    assert not ServerGroup.objects.exists()


def test_groups_and_members_are_limited_by_quotas(cloud: Cloud) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=cloud.project.pk, limits={"server_groups": 1, "server_group_members": 3})
    made = make(cloud)
    error = refusal(make, cloud)
    assert (error.code, error.facts["resource"]) == ("quota.exceeded", "server_groups")
    cloud.create(server_group_id=made.pk, count=2)
    error = refusal(cloud.create, server_group_id=made.pk, count=2)
    assert (error.code, error.facts["resource"]) == ("quota.exceeded", "server_group_members")
    assert GroupMember.objects.count() == 2 and Instance.objects.count() == 2
    assert_consistent()


def test_a_project_with_a_group_is_not_deleted(cloud: Cloud) -> None:
    project = make_project()
    made = groups.create(actor=make_actor(project), name="web", policy="affinity")
    error = refusal(projects.delete_project, actor=SYSTEM, project_id=project.pk)
    assert isinstance(error, Conflict) and error.facts["in_use"] == {"server_groups": 1}
    groups.delete(actor=SYSTEM, group_id=made.pk)
    projects.delete_project(actor=SYSTEM, project_id=project.pk)
    assert not Project.objects.filter(pk=project.pk).exists()


def test_groups_of_other_projects_are_not_there(cloud: Cloud) -> None:
    made, stranger = make(cloud), make_actor(make_project())
    assert not selectors.server_groups(actor=stranger).exists() and not selectors.server_groups(actor=stranger, all_projects=True).exists()
    for call in (groups.delete, selectors.server_group):
        assert refusal(call, actor=stranger, group_id=made.pk).code == "server_group.not_found"
    # An operator sees it, and still no instance of another project joins it.
    operator = make_actor(make_project(), operator=True)
    assert selectors.server_group(actor=operator, group_id=made.pk) == made
    assert refusal(cloud.create, actor=operator, server_group_id=made.pk, network_id=cloud.network.pk).code in (
        "server_group.not_found", "network.not_found",
    )
    assert not GroupMember.objects.exists()


def test_a_name_that_two_groups_have_names_none(cloud: Cloud) -> None:
    make(cloud), make(cloud)
    assert refusal(selectors.server_group_named, actor=cloud.actor, name="web").code == "server_group.ambiguous"
    assert refusal(selectors.server_group_named, actor=cloud.actor, name="db").code == "server_group.not_found"


# Members.


def test_an_instance_is_a_member_from_its_request_until_it_is_gone(cloud: Cloud) -> None:
    cloud.host()
    made = make(cloud)
    instance = cloud.boot(server_group_id=made.pk)
    assert instance.server_group_id == made.pk
    assert member(instance) == (None, None) and counted(cloud) == (1, 1)
    cloud.run()
    assert member(instance) == (cloud.hosts[0].id, 1)
    assert_consistent()
    cloud.delete(instance)
    assert member(instance) == (cloud.hosts[0].id, 1), "until its host says that nothing is left"
    cloud.run()
    assert not GroupMember.objects.exists() and counted(cloud) == (1, 0)
    assert_nothing_is_claimed()
    assert_consistent()


def test_a_group_with_members_is_not_deleted_and_they_are_named(cloud: Cloud) -> None:
    made = make(cloud)
    instances = cloud.create(server_group_id=made.pk, count=7).instances
    error = refusal(groups.delete, actor=cloud.actor, group_id=made.pk)
    assert error.code == "server_group.in_use" and error.facts["count"] == 7
    assert error.facts["members"] == [str(each.pk) for each in instances[:5]]
    assert "7 members" in error.message and str(instances[0].pk) in error.message and "and 2 more" in error.message
    for each in instances:
        cloud.delete(each)
    groups.delete(actor=cloud.actor, group_id=made.pk)
    assert_consistent()


def test_nobody_joins_a_group_that_is_not_there(cloud: Cloud) -> None:
    error = refusal(cloud.create, server_group_id=uuid.uuid4())
    assert (error.code, error.field) == ("server_group.not_found", "server_group_id")
    assert not Instance.objects.exists()


def test_a_member_whose_build_failed_leaves_its_host_and_stays_a_member(cloud: Cloud) -> None:
    cloud.host()
    made = make(cloud)
    instance, first, command = cloud.placed(server_group_id=made.pk)
    assert member(instance) == (first.id, 1)
    first.failed(command)
    assert member(instance) == (None, None), "on the way to another host"
    assert_consistent()
    second = cloud.host()
    cloud.schedule()
    assert member(instance) == (second.id, 1)
    second.failed(second.command(), retryable=False)
    instance.refresh_from_db()
    assert instance.state == "ERROR" and member(instance) == (None, None)
    assert_consistent()


def test_a_member_that_may_still_be_on_its_host_keeps_its_place_until_that_is_known(cloud: Cloud) -> None:
    host = cloud.host()
    made = make(cloud)
    instance, _ = cloud.active(server_group_id=made.pk)
    host.domains.clear()
    host.observation()
    instance.refresh_from_db()
    assert instance.host_id == host.id and member(instance) == (host.id, 1)
    assert_consistent()
    cloud.delete(instance)
    cloud.run()
    assert not GroupMember.objects.exists()


def test_of_members_in_one_request_each_gets_a_host_of_its_own(cloud: Cloud) -> None:
    for _ in range(3):
        cloud.host()
    made = make(cloud)
    instances = cloud.create(server_group_id=made.pk, count=4).instances
    cloud.run()
    states = sorted(Instance.objects.filter(pk__in=[each.pk for each in instances]).values_list("state", flat=True))
    assert states == ["ACTIVE", "ACTIVE", "ACTIVE", "ERROR"]
    assert GroupMember.objects.filter(host_id__isnull=False).values("host_id").distinct().count() == 3
    assert_consistent()


# Places.


def test_the_database_takes_no_member_too_many_on_a_host(cloud: Cloud) -> None:
    host = cloud.host()
    made = make(cloud, max_per_host=2)
    a, b, c = cloud.create(server_group_id=made.pk, count=3).instances
    with transaction.atomic():
        held = groups.lock([made.pk])
        assert (held[made.pk].policy, held[made.pk].max_per_host, held[made.pk].hosts) == (GroupPolicy.ANTI_AFFINITY, 2, {})
        groups.seat(held, [(made.pk, each.pk, host.id) for each in (a, b)])
        assert groups.lock([made.pk])[made.pk].hosts == {host.id: 2}
    assert {member(a)[1], member(b)[1]} == {1, 2}
    with pytest.raises(IntegrityError), transaction.atomic():
        groups.seat(groups.lock([made.pk]), [(made.pk, c.pk, host.id)])
    with transaction.atomic():
        groups.unseat([a.pk])
        groups.seat(groups.lock([made.pk]), [(made.pk, c.pk, host.id)])
    assert member(a) == (None, None) and member(c) == (host.id, 1)


@pytest.mark.parametrize("policy", ["affinity", "soft-affinity", "soft-anti-affinity"])
def test_other_policies_have_no_seats(cloud: Cloud, policy: str) -> None:
    host = cloud.host()
    made = make(cloud, policy)
    instances = cloud.create(server_group_id=made.pk, count=3).instances
    with transaction.atomic():
        groups.seat(groups.lock([made.pk]), [(made.pk, each.pk, host.id) for each in instances])
    assert {member(each) for each in instances} == {(host.id, None)}
    assert groups.lock([]) == {}


# What is wrong is found and mended.


def test_the_audit_finds_members_that_are_not_where_they_should_be(cloud: Cloud) -> None:
    def codes() -> list[str]:
        return [each.code for each in audit.run() if not each.code.startswith("image.")]

    made, other = make(cloud), make(cloud, name="db")
    for _ in range(3):
        cloud.host()
    moved, _ = cloud.active(server_group_id=made.pk)
    lost, _ = cloud.active(server_group_id=made.pk)
    strayed, _ = cloud.active(server_group_id=made.pk)
    assert codes() == []
    GroupMember.objects.filter(pk=moved.pk).update(host_id=uuid.uuid4())
    GroupMember.objects.filter(pk=lost.pk).delete()
    GroupMember.objects.filter(pk=strayed.pk).update(group=other)
    GroupMember.objects.create(instance_id=uuid.uuid4(), group=made, host_id=uuid.uuid4(), seat=1)
    assert codes() == ["member.mismatch"] * 4
    audit.repair(audit.run())
    assert codes() == []
    assert_consistent()


# Wishes.


def test_what_flavor_image_and_request_ask_of_a_host_stays_with_the_instance(cloud: Cloud) -> None:
    host, other = cloud.host("one"), cloud.host("two")
    type(cloud.flavor).objects.filter(pk=cloud.flavor.pk).update(required_traits=["CUSTOM_FAST"], host_metadata={"rack": "a"})
    type(cloud.image).objects.filter(pk=cloud.image.pk).update(properties={"trait:CUSTOM_OLD": "forbidden", "architecture": "x86_64"})
    operator = make_actor(cloud.project, operator=True)
    instance = cloud.boot(
        actor=operator, required_traits=["HW_CPU_X86_AVX2"], hosts=["one", str(other.id)], avoided_hosts=[str(other.id)]
    )
    instance.refresh_from_db()
    assert instance.needs == {
        "required_traits": ["CUSTOM_FAST", "HW_CPU_X86_AVX2"], "forbidden_traits": ["CUSTOM_OLD"], "host_metadata": {"rack": "a"},
        "image": {"architecture": "x86_64"}, "hosts": sorted([str(host.id), str(other.id)]), "avoided_hosts": [str(other.id)],
    }
    assert cloud.boot().needs.keys() == {"required_traits", "forbidden_traits", "host_metadata", "image"}


def test_an_operator_places_an_instance_on_a_host_or_keeps_it_away(cloud: Cloud) -> None:
    names = [cloud.host().name for _ in range(3)]
    operator = make_actor(cloud.project, operator=True)
    for name in names:
        instance = cloud.boot(actor=operator, hosts=[name])
        cloud.schedule()
        instance.refresh_from_db()
        assert instance.host_name == name
        instance = cloud.boot(actor=operator, avoided_hosts=[each for each in names if each != name])
        cloud.schedule()
        instance.refresh_from_db()
        assert instance.host_name == name


def test_hosts_that_are_not_there_cannot_be_asked_for(cloud: Cloud) -> None:
    name = cloud.host().name
    operator = make_actor(cloud.project, operator=True)
    error = refusal(cloud.create, actor=operator, hosts=[name, "nowhere"])
    assert (error.code, error.field) == ("host.not_found", "hosts")
    error = refusal(cloud.create, actor=operator, hosts=[name], avoided_hosts=[name])
    assert (error.code, error.field) == ("instance.hosts", "avoided_hosts")
    assert refusal(cloud.create, hosts=[name]).code == "policy.forbidden"


# Commands.


@pytest.fixture
def demo(cloud: Cloud) -> Cloud:
    """The cloud with its project named as the commands expect it."""
    Project.objects.filter(pk=cloud.project.pk).update(name="demo")
    return cloud


def test_commands_make_show_list_and_delete_groups(demo: Cloud) -> None:
    host = demo.host("hv-1")
    assert run("server_group_create", "web", "--policy", "anti-affinity", "--max-per-host", "2")[0] == 0
    made = as_json("server_group_create", "db", "--policy", "affinity")
    assert (made["name"], made["policy"], made["members"]) == ("db", "affinity", [])
    instance = as_json(
        "instance_create", "--name", "a", "--flavor", demo.flavor.name, "--image", "demo", "--server-group", "web", "--host", "hv-1",
        "--avoid-host", str(demo.host("hv-2").id),
    )["instances"][0]
    demo.run()
    shown = as_json("server_group_show", "web")
    assert shown["members"] == [{"instance_id": instance["id"], "placed": True, "host_id": str(host.id), "host_name": "hv-1"}]
    code, text = run("server_group_show", "web")
    assert code == 0 and "hv-1" in text and "anti-affinity" in text
    assert [each["name"] for each in as_json("server_group_list")] == ["db", "web"]
    code, text = run("server_group_list", "--all")
    assert code == 0 and "anti-affinity" in text
    code, text = run("server_group_delete", "web")
    assert code == 4 and instance["id"] in text
    assert run("server_group_delete", "db", "nothing")[0] == 3
    assert as_json("server_group_delete", "db")["deleted"] == [made["id"]]
    assert run("server_group_create", "x", "--policy", "affinity", "--max-per-host", "2")[0] == 2
