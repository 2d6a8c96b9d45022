"""Who may do what over Placement: what the reference's default policies say, by roles on the system."""

import pytest

from apps.identity.models import Project
from tests.api.openstack.kit import of, signed_in
from tests.api.openstack.placement.cases import EXAMPLES
from tests.api.openstack.placement.reference import OPERATIONS
from tests.api.openstack.placement.speaker import Speaker
from tests.api.openstack.placement.world import World, undone
from tests.support.cloud import make_project
from tests.support.identity import give, make_user

pytestmark = pytest.mark.django_db
SYSTEM_SCOPE = {"system": {"all": True}}
PUBLIC, OWN = "GET /", ("GET /usages", "GET /usages 1.9-1.37")
# Deeds that stay with admins and services; operators do the rest.
RULED = {
    "POST /allocations", "PUT /allocations/{consumer_uuid}", "PUT /allocations/{consumer_uuid} 1.0-1.11", "DELETE /allocations/{consumer_uuid}", "POST /reshaper",
}


@pytest.fixture
def project() -> Project:
    return make_project("red")


def speaker(role: str, project: Project | None = None) -> Speaker:
    """Somebody with that role on the system, or in the project only."""
    user = make_user(role)
    give(user, role, project)
    return Speaker(signed_in(user, of(project) if project else SYSTEM_SCOPE).token)


def refused(world: World, by: Speaker) -> set[str]:
    """The operations that this one is refused; all others work."""
    found = set()
    for title, operation in OPERATIONS.items():
        with undone():
            answer = world.ask(operation, EXAMPLES[title], operation.until, by=by)
            if answer.status == 403:
                found.add(title)
            else:
                assert answer.status < 300, (title, answer.content)
    return found


def test_admins_of_the_system_do_everything(placement: Speaker) -> None:
    assert refused(World(placement), speaker("admin")) == set()


def test_services_do_everything(placement: Speaker, project: Project) -> None:
    """As another cloud's services are set up: a token for a project, and the role on the system."""
    user = make_user("nova", project)
    give(user, "service")
    assert refused(World(placement), Speaker(signed_in(user, of(project)).token)) == set()


def test_operators_do_everything_but_claim(placement: Speaker) -> None:
    assert refused(World(placement), speaker("operator")) == RULED


def test_readers_of_the_system_look(placement: Speaker) -> None:
    assert refused(World(placement), speaker("reader")) == {title for title in OPERATIONS if not title.startswith("GET")}


@pytest.mark.parametrize("role", ["admin", "member", "operator", "reader"])
def test_roles_in_a_project_see_its_usages_and_nothing_else(placement: Speaker, project: Project, role: str) -> None:
    world, by = World(placement), speaker(role, project)
    assert refused(world, by) == set(OPERATIONS) - {PUBLIC}
    world.ids["red"] = str(project.pk)
    for title in OWN:
        assert world.ask(OPERATIONS[title], EXAMPLES[title], OPERATIONS[title].until, by=by).status == 200


def test_a_service_in_a_project_sees_nothing(placement: Speaker, project: Project) -> None:
    """Only on the system is the role more than a name."""
    assert refused(World(placement), speaker("service", project)) == set(OPERATIONS) - {PUBLIC}
