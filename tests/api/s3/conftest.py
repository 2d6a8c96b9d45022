"""Who speaks S3 in these tests. Pytest loads this before Django is set up, so what needs it is imported late."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from apps.identity.models import Project
    from tests.api.s3.kit import Key, Server


@pytest.fixture
def server(transactional_db: None, tmp_path: Path, settings: Any) -> "Server":
    """The application with a store of its own."""
    from tests.api.s3.kit import Server

    settings.OBJECTS_ROOT = tmp_path / "objects"
    return Server()


@pytest.fixture
def project(transactional_db: None) -> "Project":
    """Ann's project, without limits."""
    from tests.support.cloud import make_project, unlimited

    unlimited()
    return make_project()


@pytest.fixture
def ann_key(project: "Project") -> "Key":
    from tests.api.s3.kit import make_key

    return make_key("ann", project)


@pytest.fixture
def ann(server: "Server", ann_key: "Key") -> Any:
    """A member of the project."""
    return server.client(ann_key)


@pytest.fixture
def mallory(server: "Server", project: "Project") -> Any:
    """A member of another project."""
    from tests.api.s3.kit import make_key
    from tests.support.cloud import make_project

    return server.client(make_key("mallory", make_project()))


@pytest.fixture
def anybody(server: "Server") -> Any:
    """Nobody in particular."""
    return server.client(None)


@pytest.fixture
def bucket(ann: Any) -> str:
    """A bucket of Ann's."""
    ann.create_bucket(Bucket="annes-bucket")
    return "annes-bucket"
