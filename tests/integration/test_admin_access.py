"""Who sees what in the admin, and which buttons: what the policy says, and nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from apps.audit.models import Record
from apps.common.admin.lists import ReadOnlyAdmin
from apps.common.admin.pages import RecordAdmin
from apps.common.context import SYSTEM
from apps.compute.models import Instance
from apps.hosts.models import Host
from apps.identity import policy
from apps.identity.models import Project, Role, Token, User
from apps.identity.permissions import TABLE
from apps.identity.services import roles, tokens
from apps.images.models import Image
from tests.support.admin import address, populate, signed_in, user
from tests.support.cloud import Cloud
from tests.support.identity import give

PAGES = {model: page for model, page in admin.site._registry.items() if isinstance(page, ReadOnlyAdmin)}


def with_role(name: str, role: str) -> Client:
    """Somebody who has a role on the system."""
    who = user(name)
    give(who, role)
    return signed_in(who)


def labels(client: Client, row: Any) -> list[str]:
    """The buttons on the page of a row."""
    answer = client.get(address(row, "change"))
    assert answer.status_code == 200
    return [button.label for button, _ in answer.context["buttons"]]


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label_lower)
def test_every_page_and_button_names_a_permission_of_the_table(model: Any) -> None:
    page = PAGES[model]
    assert page.permission in TABLE
    if isinstance(page, RecordAdmin):
        assert {button.permission for button in page.buttons} <= set(TABLE)
        assert page.creation is None or page.creation.permission in TABLE
        names = [button.name for button in page.buttons]
        assert len(names) == len(set(names))


def test_a_reader_sees_all_that_the_table_says_and_no_button(cloud: Cloud) -> None:
    populate(cloud, "a", 1)
    client = with_role("rita", "reader")
    for model, page in PAGES.items():
        sees = "reader" in (TABLE[page.permission].system or ())
        assert client.get(address(model)).status_code == (200 if sees else 403), model
        if not sees:
            continue
        row = model._default_manager.first()
        if isinstance(page, RecordAdmin) and row is not None:
            assert labels(client, row) == []
            assert "/do/" not in client.get(address(row, "change")).content.decode(), "no buttons in its tables either"
            assert client.get(address(model, "add")).status_code == 403


def test_an_operator_runs_hosts_and_instances_and_only_looks_at_identity(cloud: Cloud) -> None:
    host = cloud.host("node-1")
    instance, _ = cloud.active()
    client = with_role("olga", "operator")
    assert labels(client, Host.objects.get(pk=host.id)) == ["Disable", "Change zone"]
    assert labels(client, instance) == ["Stop", "Soft reboot", "Hard reboot", "Snapshot"]
    for row in (User.objects.get(username="olga"), Project.objects.get(pk=cloud.project.pk), Role.objects.get(name="member")):
        assert labels(client, row) == []


def test_who_has_a_role_of_the_operators_own_sees_what_that_says(cloud: Cloud) -> None:
    cloud.host()
    cloud.active()
    roles.create_role(actor=SYSTEM, name="librarian", permissions=["images.*"])
    client = with_role("lisa", "librarian")
    assert labels(client, Image.objects.get()) == ["Change", "Convert", "Fetch on hosts", "Deactivate", "Delete"]
    for model in PAGES:
        assert client.get(address(model)).status_code == (200 if model is Image else 403), model
    start = client.get(reverse("admin:index"))
    assert [app["app_label"] for app in start.context["app_list"]] == ["images"]
    assert "Open operations" not in start.content.decode()


def test_a_section_of_another_context_needs_its_own_permission(cloud: Cloud) -> None:
    host = Host.objects.get(pk=cloud.host("node-1").id)
    instance, _ = cloud.active(name="secret-name")
    roles.create_role(actor=SYSTEM, name="janitor", permissions=["hosts.*"])
    page = with_role("joe", "janitor").get(address(host, "change")).content.decode()
    assert "node-1" in page
    assert "secret-name" not in page


def test_who_has_no_role_on_the_system_does_not_come_in(cloud: Cloud) -> None:
    ann = user("ann")
    give(ann, "admin", cloud.project)
    assert signed_in(ann).get(reverse("admin:index")).status_code == 302


def test_a_role_that_is_taken_away_is_gone_with_the_next_click(cloud: Cloud) -> None:
    olga = user("olga")
    given = give(olga, "operator")
    client = signed_in(olga)
    assert client.get(address(Instance)).status_code == 200
    given.delete()
    assert client.get(address(Instance)).status_code == 302


@pytest.fixture
def only_admins_list_users_and_switch_hosts() -> Iterator[None]:
    """What a policy file may say; roles are worked out anew before and after."""
    names = ("identity.user.list", "hosts.host.update")
    caches = (policy.grants, tokens._grants)
    with mock.patch.object(settings, "POLICY", {**TABLE, **{name: replace(TABLE[name], system=("admin",)) for name in names}}):
        for cached in caches:
            cached.cache_clear()
        yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("only_admins_list_users_and_switch_hosts")
def test_the_policy_file_counts_for_pages_and_buttons(cloud: Cloud) -> None:
    host = Host.objects.get(pk=cloud.host("node-1").id)
    client = with_role("olga", "operator")
    assert client.get(address(User)).status_code == 403
    assert labels(client, host) == []
    page = with_role("root", "admin").get(reverse("admin:identity_role_permissions")).content.decode()
    assert page.count('class="cs-overridden"') == 2
    assert "operator on the system: no; by default yes" in page


def test_a_forged_press_is_refused_and_in_the_audit_trail(cloud: Cloud) -> None:
    host = Host.objects.get(pk=cloud.host("node-1").id)
    answer = with_role("rita", "reader").post(address(host, "do", "disable"), {"reason": "because"})
    assert answer.status_code == 403
    host.refresh_from_db()
    assert host.enabled
    refused = Record.objects.get(decision="refused")
    assert (refused.user_name, refused.action) == ("rita", "hosts.host.update")


def test_a_list_offers_only_actions_that_would_be_taken(cloud: Cloud) -> None:
    populate(cloud, "a", 1)
    chosen = {"action": "do_revoke", "_selected_action": [str(row.pk) for row in Token.objects.all()], "confirmed": "1"}
    with_role("rita", "reader").post(address(Token), chosen)
    assert Token.objects.filter(revoked_at=None).exists()
    with_role("root", "admin").post(address(Token), chosen)
    assert not Token.objects.filter(revoked_at=None).exists()
