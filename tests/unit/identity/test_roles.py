"""Roles: each includes the ones before it."""

import uuid

import pytest

from apps.common.context import SYSTEM, Actor
from apps.common.errors import Forbidden
from apps.identity.roles import RANK, Role, require, require_operator


def actor(role: str, *, is_admin: bool = False) -> Actor:
    return Actor(user_id=uuid.uuid4(), user_name="ann", project_id=uuid.uuid4(), role=role, is_admin=is_admin)


@pytest.mark.parametrize("held", Role)
@pytest.mark.parametrize("needed", Role)
def test_a_role_includes_those_before_it(held: Role, needed: Role) -> None:
    if RANK[held] >= RANK[needed]:
        require(actor(held), needed)
    else:
        with pytest.raises(Forbidden) as caught:
            require(actor(held), needed)
        assert needed.value in caught.value.message
        assert caught.value.facts == {"role_needed": needed.value, "role_held": held.value}


def test_an_operator_has_every_role_and_a_project_admin_is_no_operator() -> None:
    require(actor("reader", is_admin=True), Role.ADMIN)
    require_operator(SYSTEM)
    with pytest.raises(Forbidden):
        require_operator(actor("admin"))


def test_an_actor_reads_only_unless_told_otherwise() -> None:
    assert Actor(user_id=None, user_name="x", project_id=None).role == "reader"
