"""Quotas: what is taken, what is refused and why, what is given back; limits of projects, domains and by default."""

import uuid
from collections.abc import Mapping

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.common.context import SYSTEM
from apps.common.errors import Conflict, Invalid, InvalidState, NotFound, QuotaExceeded
from apps.identity import builtin
from apps.identity.models import Project, Region, Service
from apps.quotas import selectors
from apps.quotas.models import Limit, RegisteredLimit, Usage
from apps.quotas.resources import MOST, RESOURCES
from apps.quotas.services import limits, registered, reservations
from apps.quotas.services.registered import NewLimit, NewRegistered
from apps.quotas.services.reservations import Wish
from tests.support.cloud import make_project, refusal

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project() -> Project:
    return make_project()


def reserve(project: Project, room: Mapping[str, int] | None = None, **amounts: int) -> None:
    with transaction.atomic():
        reservations.reserve(project_id=project.pk, amounts=amounts, room=room)


def release(project: Project, **amounts: int) -> None:
    with transaction.atomic():
        reservations.release(project_id=project.pk, amounts=amounts)


def allow(owner: Project | None, **wanted: int | None) -> None:
    if owner is None:
        limits.set_defaults(actor=SYSTEM, limits=wanted)
    else:
        limits.set_limits(actor=SYSTEM, owner_id=owner.pk, limits=wanted)


def used(project: Project) -> dict[str, int]:
    """What is not nothing."""
    row = Usage.objects.filter(pk=project.pk).first()
    return {name: amount for name in RESOURCES if row and (amount := getattr(row, name))}


def refused(project: Project, **amounts: int) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as caught, transaction.atomic():
        reservations.reserve(project_id=project.pk, amounts=amounts)
    assert caught.value.code == "quota.exceeded"
    return caught.value


def sibling(project: Project) -> Project:
    made = make_project()
    assert made.domain_id == project.domain_id
    return made


# Taking and giving back.


def test_what_is_reserved_is_used_until_it_is_released(project: Project) -> None:
    reserve(project, instances=2, vcpus=8)
    reserve(project, instances=1, memory_mb=512)
    assert used(project) == {"instances": 3, "vcpus": 8, "memory_mb": 512}
    release(project, instances=2, vcpus=8)
    assert used(project) == {"instances": 1, "memory_mb": 512}


def test_a_reservation_ends_with_its_transaction(project: Project) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        reservations.reserve(project_id=project.pk, amounts={"instances": 1})
        raise ZeroDivisionError
    assert used(project) == {}


def test_the_last_of_a_limit_can_be_had_and_not_one_more(project: Project) -> None:
    allow(project, instances=3)
    reserve(project, instances=3)
    error = refused(project, instances=1)
    assert error.message.startswith("instances: 3 of 3 are used, 1 asked. An administrator of the domain or of the installation")
    facts = {"resource": "instances", "limit": 3, "used": 3, "asked": 1, "scope": "project"}
    assert error.facts == {**facts, "exceeded": [facts]}
    assert used(project) == {"instances": 3}


def test_a_refusal_lists_all_that_there_is_not_enough_of(project: Project) -> None:
    allow(project, instances=3, memory_mb=1000, ports=0)
    reserve(project, memory_mb=900)
    with pytest.raises(QuotaExceeded) as caught, transaction.atomic():
        reservations.reserve(project_id=project.pk, amounts={"instances": 1, "vcpus": 1, "memory_mb": 512}, room={"ports": 1})
    assert [each["resource"] for each in caught.value.facts["exceeded"]] == ["memory_mb", "ports"]
    assert "memory_mb: 900 of 1000 MiB are used, 512 asked; ports: 0 of 0 are used, 1 asked." in caught.value.message
    assert used(project) == {"memory_mb": 900}


def test_room_is_asked_for_and_not_taken(project: Project) -> None:
    allow(project, ports=2)
    reserve(project, room={"ports": 2}, instances=2)
    assert used(project) == {"instances": 2}


def test_whoever_is_refused_and_goes_on_has_taken_nothing(project: Project) -> None:
    allow(project, instances=1)
    with transaction.atomic():
        assert refusal(reservations.reserve, project_id=project.pk, amounts={"instances": 2, "vcpus": 4}).kind == "quota_exceeded"
        reservations.reserve(project_id=project.pk, amounts={"instances": 1})
    assert used(project) == {"instances": 1}


def test_nothing_asked_is_granted_even_beyond_the_limit(project: Project) -> None:
    reserve(project, instances=5)
    allow(project, instances=2)
    reserve(project, instances=0, vcpus=1)
    reserve(project)
    assert refused(project, instances=1).facts["used"] == 5


def test_minus_one_is_without_limit(project: Project) -> None:
    allow(project, image_bytes=-1)
    reserve(project, image_bytes=MOST)
    reserve(project, image_bytes=MOST)
    assert used(project) == {"image_bytes": 2 * MOST}


@pytest.mark.parametrize("amount", [-1, MOST + 1, 2**70])
def test_amounts_that_nobody_can_mean_are_refused(project: Project, amount: int) -> None:
    with pytest.raises(Invalid), transaction.atomic():
        reservations.reserve(project_id=project.pk, amounts={"instances": amount})
    with pytest.raises(KeyError, match="not counted"):
        reservations.reserve(project_id=project.pk, amounts={"gold": 1})
    assert used(project) == {}


def test_giving_back_more_than_there_is_leaves_nothing_and_is_no_error(project: Project) -> None:
    reserve(project, instances=1, vcpus=5)
    release(project, instances=2, vcpus=1)
    assert used(project) == {"vcpus": 4}
    release(make_project(), instances=1)


def test_the_database_refuses_less_than_nothing(project: Project) -> None:
    reserve(project, instances=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Usage.objects.filter(pk=project.pk).update(instances=-1)


def test_a_check_refuses_as_a_reservation_does_and_takes_nothing(project: Project) -> None:
    allow(project, volumes=1)
    reservations.check(project_id=project.pk, amounts={"volumes": 1})
    reserve(project, volumes=1)
    error = refusal(reservations.check, project_id=project.pk, amounts={"volumes": 1})
    assert (error.code, error.facts["used"]) == ("quota.exceeded", 1)
    assert used(project) == {"volumes": 1}


def test_many_projects_are_served_at_once_first_come_first(project: Project) -> None:
    other = make_project()
    allow(project, ports=3)
    wishes = [Wish(project.pk, {"ports": 2}), Wish(other.pk, {"ports": 1}), Wish(project.pk, {"ports": 2}), Wish(project.pk, {"ports": 1})]
    with transaction.atomic():
        verdicts = reservations.reserve_each(wishes)
    assert [verdict is None for verdict in verdicts] == [True, True, False, True]
    assert verdicts[2].facts["used"] == 2
    assert (used(project), used(other)) == ({"ports": 3}, {"ports": 1})
    with transaction.atomic():
        reservations.release_many({project.pk: {"ports": 1}, other.pk: {"ports": 1}})
    assert (used(project), used(other)) == ({"ports": 2}, {})


def test_what_is_gathered_is_given_back_at_the_end_in_one_statement(project: Project) -> None:
    other = make_project()
    reserve(project, instances=2, ports=2)
    reserve(other, ports=1)
    with transaction.atomic(), CaptureQueriesContext(connection) as told, reservations.gathered():
        reservations.release(project_id=project.pk, amounts={"instances": 1})
        with reservations.gathered():
            reservations.release_many({project.pk: {"ports": 1}, other.pk: {"ports": 1}})
        reservations.release(project_id=project.pk, amounts={"instances": 1})
        assert len(told) == 0
    assert len(told) == 1
    assert (used(project), used(other)) == ({"ports": 1}, {})


def test_what_is_gathered_is_forgotten_with_its_transaction(project: Project) -> None:
    reserve(project, instances=2)
    with pytest.raises(ZeroDivisionError), transaction.atomic(), reservations.gathered():
        reservations.release(project_id=project.pk, amounts={"instances": 1})
        raise ZeroDivisionError
    release(project, instances=1)
    assert used(project) == {"instances": 1}


def test_a_reservation_costs_one_statement(project: Project) -> None:
    allow(project, instances=9)
    reserve(project, instances=1)
    with transaction.atomic(), CaptureQueriesContext(connection) as told:
        reservations.reserve(project_id=project.pk, amounts={"instances": 1, "vcpus": 2}, room={"ports": 1})
    assert len(told) == 1
    with transaction.atomic(), CaptureQueriesContext(connection) as told:
        reservations.reserve_each([Wish(project.pk, {"ports": 1}), Wish(project.pk, {"ports": 1})])
    assert len(told) == 1


# Which limit goes.


def test_a_limit_of_ones_own_goes_before_the_default_and_that_before_what_is_built_in(project: Project) -> None:
    def quota() -> tuple[int, str]:
        found = next(each for each in selectors.quotas_of_project(actor=SYSTEM, project_id=project.pk) if each.resource == "networks")
        return found.limit, found.source

    assert quota() == (RESOURCES["networks"].default, "default")
    allow(None, networks=5)
    assert quota() == (5, "default")
    allow(project, networks=7)
    assert quota() == (7, "project")
    assert refused(project, networks=8).facts["limit"] == 7
    allow(None, networks=2)
    assert quota() == (7, "project")
    allow(project, networks=None)
    assert quota() == (2, "default")
    assert refused(project, networks=3).facts["limit"] == 2
    allow(None, networks=None)
    assert quota() == (RESOURCES["networks"].default, "default")
    assert Limit.objects.count() == 0


@pytest.mark.parametrize("own", [None, 4])
def test_a_limit_of_a_domain_bounds_the_sum_of_its_projects(project: Project, own: int | None) -> None:
    other, domain = sibling(project), project.domain
    if own is not None:
        allow(project, instances=own)
    allow(domain, instances=5)
    reserve(project, instances=3)
    reserve(other, instances=2)
    error = refused(project, instances=1)
    assert error.facts == {"resource": "instances", "limit": 5, "used": 5, "asked": 1, "scope": "domain", "exceeded": [dict(error.facts["exceeded"][0])]}
    assert "5 of 5 are used by all projects of the domain, 1 asked" in error.message
    assert error.message.endswith("An administrator of the installation can raise this limit.")
    assert refusal(reservations.check, project_id=other.pk, amounts={"instances": 1}).facts["scope"] == "domain"
    reserve(other, vcpus=3)
    release(other, instances=1)
    reserve(project, instances=1)
    (quota,) = [q for q in selectors.quotas_of_project(actor=SYSTEM, project_id=project.pk) if q.resource == "instances"]
    assert (quota.used, quota.domain_limit, quota.domain_used, quota.left) == (4, 5, 5, 0)
    (whole,) = [q for q in selectors.quotas_of_domain(actor=SYSTEM, domain_id=domain.pk) if q.resource == "instances"]
    assert (whole.limit, whole.source, whole.used, whole.left) == (5, "domain", 5, 0)
    allow(domain, instances=-1)
    reserve(other, instances=5)


def test_what_bounds_a_project_is_the_limit_that_is_met_first(project: Project) -> None:
    def bounded() -> tuple[str, int | None]:
        (quota,) = [q for q in selectors.quotas_of_project(actor=SYSTEM, project_id=project.pk) if q.resource == "volumes"]
        return quota.bounded_by, quota.left

    allow(None, volumes=10)
    assert bounded() == ("default", 10)
    allow(project.domain, volumes=12)
    assert bounded() == ("default", 10)
    reserve(sibling(project), volumes=6)
    assert bounded() == ("domain", 6)
    allow(project, volumes=3)
    assert bounded() == ("project", 3)
    allow(project, volumes=-1)
    allow(project.domain, volumes=None)
    assert bounded() == ("", None)


def test_wishes_of_one_batch_share_what_is_left_of_their_domain(project: Project) -> None:
    other = sibling(project)
    allow(project.domain, ports=3)
    with transaction.atomic():
        verdicts = reservations.reserve_each([Wish(each.pk, {"ports": 1}) for each in (project, other, project, other)])
    assert [verdict is None for verdict in verdicts] == [True, True, True, False]
    assert (used(project), used(other)) == ({"ports": 2}, {"ports": 1})


def test_the_limit_of_one_domain_is_none_of_another(project: Project) -> None:
    foreign = Project.objects.create(name="elsewhere", is_domain=True)
    there = Project.objects.create(name="there", domain=foreign, parent=foreign)
    allow(project.domain, instances=0)
    reserve(there, instances=1)
    assert refused(project, instances=1).facts["scope"] == "domain"


# Setting limits.


@pytest.mark.parametrize(("name", "limit", "code"), [("gold", 1, "quota.resource"), ("instances", -2, "quota.limit"), ("instances", MOST + 1, "quota.limit")])
def test_limits_that_make_no_sense_are_refused(project: Project, name: str, limit: int, code: str) -> None:
    for call, more in ((limits.set_limits, {"owner_id": project.pk}), (limits.set_defaults, {})):
        error = refusal(call, actor=SYSTEM, limits={name: limit}, **more)
        assert (error.code, error.field) == (code, name)
    assert RegisteredLimit.objects.count() == 0


def test_limits_of_nobody_are_not_found() -> None:
    assert isinstance(refusal(limits.set_limits, actor=SYSTEM, owner_id=uuid.uuid4(), limits={"instances": 1}), NotFound)


# Limits as OpenStack's Identity API has them.

COMPUTE = builtin.SERVICE_IDS["compute"]


def register(name: str, default: int, *, service: uuid.UUID = COMPUTE, region: str = "") -> RegisteredLimit:
    new = NewRegistered(service_id=service, resource_name=name, default_limit=default, region_id=region)
    return registered.register(actor=SYSTEM, rows=[new])[0]


def limit(project: Project, name: str, value: int, *, service: uuid.UUID = COMPUTE, region: str = "") -> Limit:
    new = NewLimit(service_id=service, resource_name=name, resource_limit=value, project_id=project.pk, region_id=region)
    return registered.create_limits(actor=SYSTEM, rows=[new])[0]


def test_rows_of_the_limits_api_and_limits_by_name_are_the_same(project: Project) -> None:
    row = register("instances", 5)
    assert refused(project, instances=6).facts["limit"] == 5
    own = limit(project, "instances", 8)
    assert refused(project, instances=9).facts["limit"] == 8
    allow(project, instances=2)
    assert Limit.objects.get().pk == own.pk and Limit.objects.get().resource_limit == 2
    registered.change_limit(actor=SYSTEM, limit_id=own.pk, resource_limit=3)
    assert refused(project, instances=4).facts["limit"] == 3
    registered.delete_limit(actor=SYSTEM, limit_id=own.pk)
    registered.change_registered(actor=SYSTEM, registered_id=row.pk, default_limit=1)
    assert refused(project, instances=2).facts["limit"] == 1
    registered.unregister(actor=SYSTEM, registered_id=row.pk)
    reserve(project, instances=3)


def test_a_limit_of_our_region_goes_before_one_of_none(project: Project) -> None:
    register("instances", 5)
    register("instances", 6, region=builtin.REGION_ID)
    Region.objects.create(pk="elsewhere")
    register("instances", 7, region="elsewhere")
    assert refused(project, instances=8).facts["limit"] == 6
    limit(project, "instances", 3)
    assert refused(project, instances=8).facts["limit"] == 3
    limit(project, "instances", 4, region=builtin.REGION_ID)
    assert refused(project, instances=8).facts["limit"] == 4
    allow(project, instances=None)
    assert refused(project, instances=8).facts["limit"] == 6


def test_what_is_of_other_services_is_kept_and_has_no_effect(project: Project) -> None:
    foreign = Service.objects.create(type="orchestration").pk
    register("instances", 0, service=foreign)
    register("class:VCPU", 0)
    limit(project, "class:VCPU", 0)
    reserve(project, instances=1, vcpus=1)
    assert RegisteredLimit.objects.count() == 2


def test_a_registered_limit_that_is_referred_to_stays_as_it_is(project: Project) -> None:
    row = register("instances", 5)
    limit(project, "instances", 8)
    for call, more in (
        (registered.unregister, {}), (registered.change_registered, {"resource_name": "vcpus"}),
        (registered.change_registered, {"service_id": builtin.SERVICE_IDS["network"]}),
    ):
        error = refusal(call, actor=SYSTEM, registered_id=row.pk, **more)
        assert isinstance(error, InvalidState) and error.code == "registered_limit.in_use"
    assert registered.change_registered(actor=SYSTEM, registered_id=row.pk, resource_name="instances", description="x").description == "x"


def test_limits_are_made_all_or_none_and_once(project: Project) -> None:
    row = register("instances", 5)
    assert isinstance(refusal(register, "instances", 6), Conflict)
    limit(project, "instances", 8)
    assert isinstance(refusal(limit, project, "instances", 9), Conflict)
    news = [
        NewLimit(service_id=COMPUTE, resource_name=name, resource_limit=1, domain_id=project.domain_id)
        for name in ("instances", "vcpus")
    ]
    error = refusal(registered.create_limits, actor=SYSTEM, rows=news)
    assert error.code == "limit.unregistered"
    assert Limit.objects.count() == 1
    both = NewLimit(service_id=COMPUTE, resource_name="instances", resource_limit=1, domain_id=project.domain_id, project_id=project.pk)
    assert refusal(registered.create_limits, actor=SYSTEM, rows=[both]).code == "limit.owner"
    swapped = NewLimit(service_id=COMPUTE, resource_name="instances", resource_limit=1, domain_id=project.pk)
    assert isinstance(refusal(registered.create_limits, actor=SYSTEM, rows=[swapped]), NotFound)
    assert refusal(registered.change_registered, actor=SYSTEM, registered_id=row.pk, default_limit=-2).field == "default_limit"
