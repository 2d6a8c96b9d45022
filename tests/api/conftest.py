"""Who speaks to the API in these tests. Pytest loads this before Django is set up, so what needs it is imported late."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from apps.identity.models import Project
    from tests.api.kit import Http
    from tests.support.cloud import Cloud

MakeUser = Callable[..., "Http"]


@pytest.fixture
def sign_in(transactional_db: None) -> MakeUser:
    """`sign_in("ann", project, role=…, operator=…)`: a user with a token; `project` is made if there is none."""

    from tests.api.kit import Http
    from tests.support.cloud import make_project
    from tests.support.identity import make_user

    def make(name: str, project: "Project | None" = None, *, role: str = "member", operator: bool = False) -> "Http":
        project = project or make_project()
        user = make_user(name, None if operator else project, role, operator=operator)
        return Http(user, project)

    return make


@pytest.fixture
def ann(cloud: "Cloud", sign_in: MakeUser) -> "Http":
    """A member of the cloud's project."""
    return sign_in("ann", cloud.project)


@pytest.fixture
def mallory(cloud: "Cloud", sign_in: MakeUser) -> "Http":
    """A member of another project."""
    return sign_in("mallory")


@pytest.fixture
def operator(cloud: "Cloud", sign_in: MakeUser) -> "Http":
    """An operator, working in the cloud's project."""
    return sign_in("root", cloud.project, operator=True)


@pytest.fixture
def anybody(transactional_db: None) -> "Http":
    """Nobody that we know."""
    from tests.api.kit import Http

    return Http()
