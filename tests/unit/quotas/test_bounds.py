"""Which limit goes, and what is said when it is met; the domain's exact sum is tested with the database."""

import pytest

from apps.identity import builtin
from apps.quotas.bounds import REGIONS, Account, Bound, DomainAccount, Fault, bounds, faults, refusal
from apps.quotas.resources import RESOURCES, UNLIMITED, known
from apps.quotas.selectors import Quota

HERE = builtin.REGION_ID


def bound(*rows: tuple[str, int, int | None, int | None]) -> Bound:
    """What goes for instances; rows: region, default, the project's own, the domain's."""
    return bounds([("instances", *row) for row in rows])["instances"]


def test_without_any_row_everything_is_built_in() -> None:
    assert {name: each.limit for name, each in bounds([]).items()} == {name: each.default for name, each in RESOURCES.items()}
    assert {each.source for each in bounds([]).values()} == {"default"}


@pytest.mark.parametrize(
    ("rows", "limit", "source"),
    [
        ([("", 5, None, None)], 5, "default"),
        ([("", 5, 7, None)], 7, "project"),
        ([("", 5, 0, None)], 0, "project"),
        ([("", 5, UNLIMITED, None)], UNLIMITED, "project"),
        ([(HERE, 6, None, None), ("", 5, None, None)], 6, "default"),
        ([("", 5, None, None), (HERE, 6, 8, None)], 8, "project"),
        ([("", 5, 7, None), (HERE, 6, 8, None)], 8, "project"),
        ([(HERE, 6, None, None), ("", 5, 7, None)], 7, "project"),
    ],
)
def test_a_limit_of_ones_own_goes_before_a_default_and_one_of_the_region_before_one_of_none(
    rows: list[tuple[str, int, int | None, int | None]], limit: int, source: str
) -> None:
    assert bound(*rows) == Bound(limit, source)  # type: ignore[arg-type]


def test_a_domain_without_limit_does_not_cap() -> None:
    assert not bound(("", 5, None, None)).capped
    assert not bound(("", 5, None, UNLIMITED)).capped
    assert bound(("", 5, None, 0)).capped
    assert bound(("", 5, None, 9), (HERE, 5, None, None)).domain_limit == 9


def account(**used: int) -> Account:
    return Account(None, used, bounds([("instances", "", 5, None, None), ("vcpus", "", UNLIMITED, None, None)]))


@pytest.mark.parametrize(("used", "asked", "fits"), [(0, 5, True), (0, 6, False), (4, 1, True), (5, 1, False), (9, 0, True), (9, 1, False)])
def test_as_much_as_the_limit_fits_and_not_more(used: int, asked: int, fits: bool) -> None:
    assert (faults({"instances": asked}, account(instances=used), None) == []) is fits


def test_what_is_unlimited_always_fits() -> None:
    assert faults({"vcpus": 10**12}, account(vcpus=10**15), None) == []


def test_a_project_that_is_full_is_told_so_before_its_domain_that_is_too() -> None:
    domain = DomainAccount({"instances": 9, "vcpus": 3}, {"instances": 9, "vcpus": 3})
    found = faults({"instances": 1, "vcpus": 1}, account(instances=5, vcpus=1), domain)
    assert [(fault.resource, fault.scope) for fault in found] == [("instances", "project"), ("vcpus", "domain")]


def test_a_refusal_says_all_of_it_in_words_and_facts() -> None:
    error = refusal([Fault("memory_mb", 1000, 900, 512, "project"), Fault("ports", 9, 9, 1, "domain")])
    assert error.message == (
        "memory_mb: 900 of 1000 MiB are used, 512 asked; ports: 9 of 9 are used by all projects of the domain, 1 asked. "
        "An administrator of the installation can raise this limit."
    )
    assert error.facts["resource"] == "memory_mb" and error.facts["exceeded"][1]["scope"] == "domain"
    assert error.as_dict()["code"] == "quota.exceeded"


def test_every_resource_belongs_to_a_service_and_has_a_sensible_default() -> None:
    assert {each.service for each in RESOURCES.values()} <= set(builtin.SERVICE_IDS)
    assert all(each.default > 0 and each.text for each in RESOURCES.values())
    assert REGIONS[0] == ""
    with pytest.raises(KeyError, match="not counted"):
        known("gold")


@pytest.mark.parametrize(
    ("quota", "left", "bounded_by"),
    [
        (Quota("ports", 10, "default", 4), 6, "default"),
        (Quota("ports", 10, "project", 12), 0, "project"),
        (Quota("ports", UNLIMITED, "project", 4), None, ""),
        (Quota("ports", 10, "default", 4, 20, 18), 2, "domain"),
        (Quota("ports", 10, "default", 9, 20, 18), 1, "default"),
        (Quota("ports", UNLIMITED, "project", 4, 20, 25), 0, "domain"),
    ],
)
def test_what_is_left_and_whose_limit_is_met_first(quota: Quota, left: int | None, bounded_by: str) -> None:
    assert (quota.left, quota.bounded_by) == (left, bounded_by)
