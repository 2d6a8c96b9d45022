"""Which scopes a user may ask a token for, and what is in the catalog there."""

import pytest

from apps.identity import builtin
from apps.identity.models import Endpoint, Project, ProjectAncestor, Service
from tests.api.openstack.kit import Keystone, of, signed_in
from tests.support.cloud import make_project
from tests.support.identity import give, make_user

pytestmark = pytest.mark.django_db
BASE = "http://127.0.0.1:8600/identity/v3"


def names(client: Keystone, what: str) -> list[str]:
    content = client.get(f"auth/{what}").ok()
    assert content["links"] == {"self": f"{BASE}/auth/{what}", "next": None, "previous": None}
    return sorted(each["name"] for each in content[what])


def test_projects_are_those_with_a_role_that_are_not_disabled() -> None:
    red, green, grey = make_project("red"), make_project("green"), make_project("grey")
    make_project("foreign")
    ann = make_user("ann", red)
    for place in (green, grey):
        give(ann, "reader", place)
    Project.objects.filter(pk=grey.pk).update(enabled=False)
    for client in (signed_in(ann), signed_in(ann, of(red))):
        assert names(client, "projects") == ["green", "red"]
        assert names(client, "domains") == []
        assert client.get("auth/system").ok()["system"] == []


def test_a_project_is_shown_as_projects_are() -> None:
    red = make_project("red")
    [shown] = signed_in(make_user("ann", red)).get("auth/projects").ok()["projects"]
    domain = str(builtin.DEFAULT_DOMAIN_ID)
    assert shown == {
        "id": str(red.pk), "name": "red", "description": "", "enabled": True, "is_domain": False, "domain_id": domain,
        "parent_id": domain, "tags": [], "options": {}, "links": {"self": f"{BASE}/projects/{red.pk}"},
    }


def test_roles_that_are_inherited_count_in_the_projects_below_and_not_on_the_domain() -> None:
    red = make_project("red")
    ann = make_user("ann")
    give(ann, "reader", Project.objects.get(pk=builtin.DEFAULT_DOMAIN_ID), inherited=True)
    assert names(signed_in(ann), "projects") == ["red"]
    assert names(signed_in(ann), "domains") == []
    assert red.domain_id == builtin.DEFAULT_DOMAIN_ID


def test_domains_are_those_with_a_role() -> None:
    blue = Project.objects.create(name="blue", is_domain=True)
    ProjectAncestor.objects.create(project=blue, ancestor=blue, depth=0)
    ann = make_user("ann")
    give(ann, "reader", blue)
    assert names(signed_in(ann), "domains") == ["blue"]
    assert "parent_id" not in signed_in(ann).get("auth/domains").json["domains"][0]


def test_who_has_a_role_on_the_system_may_work_there() -> None:
    client = signed_in(make_user("root", operator=True))
    assert client.get("auth/system").ok() == {"system": [{"all": True}], "links": {"self": f"{BASE}/auth/system"}}


def test_lists_come_in_pages_where_pages_are_asked_for() -> None:
    ann = make_user("ann")
    for number in range(5):
        give(ann, "reader", make_project(f"p{number}"))
    client = signed_in(ann)
    seen: list[str] = []
    path = "auth/projects?limit=2"
    for expected in (2, 2, 1):
        content = client.get(path).ok()
        assert len(content["projects"]) == expected
        seen += [each["name"] for each in content["projects"]]
        assert content.get("truncated", False) is (content["links"]["next"] is not None)
        path = (content["links"]["next"] or "").removeprefix("http://127.0.0.1:8600")
    assert not path and sorted(seen) == [f"p{number}" for number in range(5)]
    last = content["projects"][-1]["id"]
    assert client.get(f"auth/projects?limit=2&marker={last}").ok()["projects"] == []


@pytest.mark.parametrize(("query", "status"), [("limit=x", 400), ("limit=-1", 400), ("limit=%00", 400), ("marker=x", 404), ("limit=0", 200)])
def test_a_page_that_cannot_be_is_refused(query: str, status: int) -> None:
    assert signed_in(make_user("ann")).get(f"auth/projects?{query}").status == status


def test_the_catalog_is_that_of_the_token() -> None:
    red = make_project("red")
    ann = make_user("ann", red)
    issued = Keystone().sign_in(ann, of(red))
    content = Keystone(issued.headers["X-Subject-Token"]).get("auth/catalog").ok()
    assert content["catalog"] == issued.json["token"]["catalog"]
    assert content["links"] == {"self": f"{BASE}/auth/catalog"}
    signed_in(ann).get("auth/catalog").refused(403)


def test_what_is_disabled_or_needs_a_project_is_not_in_the_catalog_of_others() -> None:
    red = make_project("red")
    root = make_user("root", red, operator=True)
    volumes = Service.objects.get(pk=builtin.SERVICE_IDS["block-storage"])
    Endpoint.objects.create(
        service=volumes, interface="public", region_id="RegionOne", url="%(public_url)s/volume/v3/$(project_id)s"
    )
    Endpoint.objects.create(service=volumes, interface="internal", region_id=None, url="http://inside.example/", enabled=False)

    def urls(client: Keystone) -> dict[str, list[str]]:
        found = client.get("auth/catalog").ok()["catalog"]
        return {service["type"]: [endpoint["url"] for endpoint in service["endpoints"]] for service in found}

    in_project, on_system = signed_in(root, of(red)), signed_in(root, {"system": {"all": True}})
    ours = {"identity": [BASE], "placement": ["http://127.0.0.1:8600/placement"]}
    assert urls(in_project) == {**ours, "block-storage": [f"http://127.0.0.1:8600/volume/v3/{red.pk}"]}
    assert urls(on_system) == ours
    Service.objects.filter(pk=volumes.pk).update(enabled=False)
    assert urls(in_project) == ours
