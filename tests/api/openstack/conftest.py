"""Who asks in these tests. Pytest loads this before Django is set up, so what needs it is imported late."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from apps.identity.models import Project, User
    from tests.api.openstack.kit import Keystone

SYSTEM = {"system": {"all": True}}


@pytest.fixture
def red(transactional_db: None) -> "Project":
    """A project of the default domain."""
    from tests.support.cloud import make_project

    return make_project("red")


@pytest.fixture
def blue(transactional_db: None) -> "Project":
    """A second domain."""
    from tests.support.identity import make_domain

    return make_domain("blue")


@pytest.fixture
def root(transactional_db: None) -> "Keystone":
    """Admin on the system."""
    from tests.api.openstack.kit import signed_in
    from tests.support.identity import make_user

    return signed_in(make_user("root", operator=True), SYSTEM)


@pytest.fixture
def auditor(transactional_db: None) -> "Keystone":
    """Reader on the system."""
    from tests.api.openstack.kit import signed_in
    from tests.support.identity import give, make_user

    user = make_user("auditor")
    give(user, "reader")
    return signed_in(user, SYSTEM)


@pytest.fixture
def ann(red: "Project") -> "User":
    """A member of the project red."""
    from tests.support.identity import make_user

    return make_user("ann", red)


@pytest.fixture
def member(ann: "User", red: "Project") -> "Keystone":
    """Ann, who works in red."""
    from tests.api.openstack.kit import of, signed_in

    return signed_in(ann, of(red))


@pytest.fixture
def ruler(blue: "Project") -> "Keystone":
    """The admin of the second domain, who lives in it and works in it."""
    from tests.api.openstack.kit import signed_in
    from tests.support.identity import give, make_user

    user = make_user("ruler", domain=blue)
    give(user, "admin", blue)
    return signed_in(user, {"domain": {"id": str(blue.pk)}})
