"""Filters and pages of OpenStack lists, on rows."""

import uuid

import pytest

from apis.openstack.common.paging import Filter, Flag, Id, Own, Text, narrow
from apps.identity import builtin
from apps.identity.models import Project
from tests.support.cloud import make_project

pytestmark = pytest.mark.django_db
FILTERS: dict[str, Filter] = {
    "name": Text("name"), "domain_id": Id("domain_id"), "enabled": Flag("enabled"),
    "among": Own(lambda rows, value: rows.filter(name__in=value.split(","))),
}


@pytest.fixture(autouse=True)
def _projects() -> None:
    for name in ("Web", "web", "website", "my web", "größe", "100%", "a_b", "axb"):
        make_project(name)
    Project.objects.filter(name="axb").update(enabled=False)


def found(**query: str) -> set[str]:
    rows = Project.objects.filter(is_domain=False)
    return set(narrow(rows, query, FILTERS).values_list("name", flat=True))


ALL = {"Web", "web", "website", "my web", "größe", "100%", "a_b", "axb"}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"name": "web"}, {"web"}),
        ({"name__contains": "web"}, {"web", "website", "my web"}),
        ({"name__icontains": "WEB"}, {"Web", "web", "website", "my web"}),
        ({"name__startswith": "web"}, {"web", "website"}),
        ({"name__startswith": "W"}, {"Web"}),
        ({"name__istartswith": "w"}, {"Web", "web", "website"}),
        ({"name__endswith": "eb"}, {"Web", "web", "my web"}),
        ({"name__endswith": "EB"}, set()),
        ({"name__iendswith": "EB"}, {"Web", "web", "my web"}),
        ({"name__contains": "%"}, {"100%"}),
        ({"name__contains": "_"}, {"a_b"}),
        ({"name__icontains": "_"}, {"a_b"}),
        ({"name__contains": "öß"}, {"größe"}),
        ({"name__contains": ""}, ALL),
        ({"name__contains": "x" * 10_000}, set()),
        ({"name__startswith": "web", "name__endswith": "site"}, {"website"}),
        ({"name": ""}, set()),
    ],
)
def test_names_are_found_by_the_whole_and_by_parts(query: dict[str, str], names: set[str]) -> None:
    assert found(**query) == names


@pytest.mark.parametrize("query", [{"colour": "red"}, {"name__regex": "("}, {"name__": "x"}, {"enabled__contains": "x"}, {"pk__gt": "x"}, {"domain__name": "x"}])
def test_what_is_no_filter_is_not_looked_at(query: dict[str, str]) -> None:
    assert found(**query) == ALL


@pytest.mark.parametrize("value", ["0", "false", "False", "FALSE", "no", "off", "n", "f"])
def test_these_are_false(value: str) -> None:
    assert found(enabled=value) == {"axb"}


@pytest.mark.parametrize("value", ["1", "true", "True", "yes", "", "anything"])
def test_all_else_is_true(value: str) -> None:
    assert found(enabled=value) == ALL - {"axb"}


def test_ids_are_found_in_every_form_and_what_is_none_finds_nothing() -> None:
    for text in ("default", str(builtin.DEFAULT_DOMAIN_ID), builtin.DEFAULT_DOMAIN_ID.hex):
        assert found(domain_id=text) == ALL
    for text in ("", "Default", "x", str(uuid.uuid4())):
        assert found(domain_id=text) == set()


def test_a_resource_can_have_filters_of_its_own() -> None:
    assert found(among="web,axb,nothing") == {"web", "axb"}
