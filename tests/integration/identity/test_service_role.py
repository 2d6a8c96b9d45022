"""Installations that are older than the built-in role `service` get it, also those with a role of that name of their own."""

import importlib

import pytest
from django.apps import apps

from apps.common.context import SYSTEM
from apps.identity import builtin, policy
from apps.identity.models import ImpliedRole, Role
from apps.identity.permissions import TABLE
from apps.identity.services import roles
from tests.support.cloud import make_project
from tests.support.identity import actor_in, give, make_domain, make_user

pytestmark = pytest.mark.django_db
KEY = builtin.ROLE_IDS[builtin.Role.SERVICE]
PLACEMENT = {name for name in TABLE if name.startswith("placement.")}


@pytest.fixture
def older() -> None:
    """Before the upgrade: nothing has this name."""
    Role.objects.filter(pk=KEY).delete()


def upgrade() -> None:
    importlib.import_module("apps.identity.migrations.0007_service_role").add(apps, None)


def own(name: str, *permissions: str) -> Role:
    return roles.create_role(actor=SYSTEM, name=name, description="Ours.", permissions=permissions)


@pytest.mark.usefixtures("older")
def test_an_older_installation_gets_the_role_and_running_processes_know_it() -> None:
    before = policy.version()
    upgrade()
    made = Role.objects.get(name="service")
    assert (made.pk, made.builtin, made.domain, made.permissions) == (KEY, True, None, []) and policy.version() != before
    nova = make_user("nova")
    give(nova, "service")
    assert actor_in(nova).system_grants == PLACEMENT


@pytest.mark.usefixtures("older")
def test_who_has_a_role_of_that_name_of_the_operators_own_keeps_what_it_gives_and_is_a_service() -> None:
    mine = own("service", "images.image.list")
    nova, project = make_user("nova"), make_project()
    give(nova, str(mine.pk))
    give(nova, str(mine.pk), project)
    upgrade()
    mine.refresh_from_db()
    assert (mine.name, mine.builtin, mine.permissions) == ("service-own", False, ["images.image.list"])
    assert mine.description == "Ours. Was named service, which is built in now and implied by this one."
    assert ImpliedRole.objects.filter(prior=mine, implied_id=KEY).exists()
    actor = actor_in(nova, project)
    assert actor.system_grants == {"images.image.list", *PLACEMENT} and actor.grants == {"images.image.list"}
    assert {"service", "service-own"} <= set(actor.roles)


@pytest.mark.usefixtures("older")
def test_a_role_of_a_domains_own_keeps_the_name_and_gets_nothing() -> None:
    theirs = roles.create_role(actor=SYSTEM, name="service", domain_id=make_domain().pk)
    upgrade()
    theirs.refresh_from_db()
    assert theirs.name == "service" and not theirs.implies.exists()


@pytest.mark.usefixtures("older")
def test_the_new_name_is_one_that_is_free() -> None:
    mine = own("service")
    own("service-own"), own("service-own-2")
    upgrade()
    mine.refresh_from_db()
    assert mine.name == "service-own-3"


def test_twice_is_once() -> None:
    upgrade()
    assert Role.objects.filter(name__startswith="service").count() == 1
