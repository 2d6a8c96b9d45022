"""Who asks Placement in these tests. Pytest loads this before Django is set up, so what needs it is imported late."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.api.openstack.kit import Keystone
    from tests.api.openstack.placement.speaker import Speaker


@pytest.fixture
def root(db: None) -> "Keystone":
    """Admin on the system; in a transaction that is undone, since nothing here looks at what others see."""
    from tests.api.openstack.kit import signed_in
    from tests.support.identity import make_user

    return signed_in(make_user("root", operator=True), {"system": {"all": True}})


@pytest.fixture
def placement(root: "Keystone") -> "Speaker":
    """Admin on the system, in the newest version."""
    from tests.api.openstack.placement.speaker import Speaker

    return Speaker(root.token)


@pytest.fixture
def nobody(db: None) -> "Speaker":
    """Without a token."""
    from tests.api.openstack.placement.speaker import Speaker

    return Speaker()
