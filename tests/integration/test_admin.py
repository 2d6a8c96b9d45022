"""The operators' admin: every page opens, for operators only, and a list costs the same at any length."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.common.admin.lists import BoundedPaginator, ReadOnlyAdmin
from apps.common.admin.pages import RecordAdmin
from apps.common.context import SYSTEM
from apps.common.errors import Unavailable
from apps.compute.models import Instance, KeyPair
from apps.compute.services import catalog, console
from apps.hosts.models import Host
from apps.identity import builtin
from apps.identity.models import Project, Token, User
from apps.identity.services import domains, groups, projects
from apps.operations.models import Operation, OperationEvent
from apps.scheduler.models import Decision
from contracts.compute.v1 import ConsoleOutput
from tests.support.admin import KEY, address, populate, signed_in, user
from tests.support.cloud import Cloud, make_flavor, make_project, operation_of
from tests.support.identity import give, make_actor, make_token

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
RECORDS = [model for model in MODELS if isinstance(admin.site._registry[model], RecordAdmin)]


def label(model: type[Model]) -> str:
    return model._meta.label_lower


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return signed_in(user("root", is_superuser=True, is_staff=True))


@pytest.fixture
def full(cloud: Cloud) -> Cloud:
    """At least one row of every model, and instances in every stage."""
    populate(cloud, "a", 1)
    instance, host = cloud.active(name="failing")
    cloud.power(instance, "stop")
    host.failed(host.command())
    cloud.power(cloud.active(name="stopping")[0], "stop")
    cloud.boot(name="too-big", flavor_id=make_flavor(vcpus=1000).pk)
    cloud.schedule()
    cloud.delete(cloud.boot(name="deleted"))
    cloud.boot(name="waiting")
    return cloud


# Pages


def test_every_page_of_every_model_opens_for_an_operator(full: Cloud, operator: Client, subtests: pytest.Subtests) -> None:
    for model in MODELS:
        with subtests.test(label(model)):
            for query in ("", "?q=a-0", f"?q={full.project.pk}", "?p=1"):
                assert operator.get(address(model) + query).status_code == 200, query
            rows = list(model._default_manager.all()[:20])
            assert rows, f"no {label(model)} to look at"
            for row in rows:
                assert operator.get(address(row, "change")).status_code == 200


def test_every_page_of_every_model_is_closed_to_others(full: Cloud, subtests: pytest.Subtests) -> None:
    others = (Client(), signed_in(user("tenant")))
    for model in MODELS:
        row = model._default_manager.all()[0]
        with subtests.test(label(model)):
            for client, page in product(others, (address(model), address(row, "change"), reverse("admin:index"))):
                answer = client.get(page)
                assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/admin/login/")


def test_every_button_asks_first(full: Cloud, operator: Client) -> None:
    for model in RECORDS:
        before = Operation.objects.count()
        for button in admin.site._registry[model].buttons:  # type: ignore[attr-defined]
            row = model._default_manager.all()[0]
            answer = operator.get(address(row, "do", button.name))
            assert answer.status_code == 200
            assert button.warning in answer.content.decode().replace("&#x27;", "'")
        assert Operation.objects.count() == before


def test_the_start_page_shows_the_state_of_the_site(full: Cloud, operator: Client) -> None:
    page = operator.get(reverse("admin:index")).content.decode()
    for text in (
        "Instances",
        "ERROR 1",
        "Hosts",
        "Capacity",
        "Open operations",
        "Failures in 24 h",
        "scheduler.no_host",
    ):
        assert text in page


def test_the_start_page_opens_on_an_empty_site(operator: Client) -> None:
    assert "Nothing is under way." in operator.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize("page", ["admin:password_change", "admin:identity_user_add", "admin:compute_flavor_add"])
def test_forms_open(operator: Client, page: str) -> None:
    assert operator.get(reverse(page), follow=True).status_code == 200


def test_a_page_of_something_that_is_gone_leads_to_the_list(operator: Client) -> None:
    gone = reverse("admin:compute_instance_change", args=["01a1fa7e-1071-7621-b06c-7d1856a48c9e"])
    answer = operator.get(gone, follow=True)
    assert answer.redirect_chain == [("/admin/compute/instance/", 302)]
    assert "There is no instance" in answer.content.decode()
    assert operator.get(reverse("admin:compute_instance_change", args=["nonsense"])).status_code == 302


_NONSENSE = (
    "state=%00", "state=nonsense", "q=%00", "q=%27%22--", "host_id=x", "p=x", "p=-1", "e=1", "all=", "kind=x", "role=x", "role=%00", "place=x",
)


def test_nonsense_in_an_address_is_no_error_page(full: Cloud, operator: Client, subtests: pytest.Subtests) -> None:
    for model in MODELS:
        with subtests.test(label(model)):
            for query in _NONSENSE:
                assert operator.get(f"{address(model)}?{query}", follow=True).status_code == 200, query


# What services own is not changed here


def test_what_services_own_cannot_be_changed_by_forms(full: Cloud, operator: Client, subtests: pytest.Subtests) -> None:
    for model, shown in admin.site._registry.items():
        if isinstance(shown, ReadOnlyAdmin):
            with subtests.test(label(model)):
                _cannot_be_changed(operator, model)


def _cannot_be_changed(operator: Client, model: type[Model]) -> None:
    row = model._default_manager.all()[0]
    before = list(model._default_manager.order_by("pk").values())
    assert operator.post(address(row, "change"), {"name": "x", "state": "ACTIVE"}).status_code in (403, 405)
    assert operator.post(address(row, "delete"), {"post": "yes"}).status_code == 403
    operator.post(address(model), {"action": "delete_selected", "_selected_action": str(row.pk), "post": "yes"})
    if getattr(admin.site._registry[model], "creation", None) is None:
        assert operator.get(address(model, "add")).status_code == 403
    assert list(model._default_manager.order_by("pk").values()) == before


def test_secrets_are_on_no_page(full: Cloud, operator: Client) -> None:
    secret = "c2VjcmV0LXVzZXItZGF0YQ=="
    instance = full.boot(name="with-secret", user_data=secret)
    full.schedule()
    issued = make_token(User.objects.get(username="a-0"), Project.objects.get(name="a-0"))
    operation = operation_of(instance)
    assert operation.message
    pages = [address(instance, "change"), address(operation, "change"), address(issued.token, "change"), address(Token)]
    text = "".join(operator.get(page).content.decode() for page in pages)
    for hidden in (secret, operation.message, issued.secret, issued.token.digest):
        assert hidden not in text


# The instance's page


def test_the_instance_page_shows_its_timeline_and_the_verdict(cloud: Cloud, operator: Client) -> None:
    cloud.host("node-1")
    cloud.host("node-2", VCPU=0)
    instance, _ = cloud.active()
    page = operator.get(address(instance, "change")).content.decode()
    for text in (
        "request accepted",
        "host chosen",
        "addresses claimed",
        "cs-timeline",
        "node-1 was chosen",
        "too few vCPUs are free",
    ):
        assert text in page
    assert instance.addresses[0]["address"] in page


def test_the_reason_of_an_error_is_in_plain_words(cloud: Cloud, operator: Client) -> None:
    instance = cloud.boot()
    cloud.schedule()
    page = operator.get(address(instance, "change")).content.decode()
    for text in ("What went wrong", "No host is enrolled yet.", "No host could take it.", "scheduler.no_host"):
        assert text in page


def test_the_fragment_is_the_part_that_changes_and_nothing_else(cloud: Cloud, operator: Client) -> None:
    instance = cloud.boot()
    for page in (address(instance, "change"), reverse("admin:index")):
        fragment = operator.get(page + "?fragment=1").content.decode()
        assert 'id="live"' in fragment
        assert "<html" not in fragment


def test_pages_need_no_inline_scripts_or_styles(full: Cloud, operator: Client) -> None:
    for row in (
        Instance.objects.all()[0],
        Operation.objects.all()[0],
        Host.objects.all()[0],
        Decision.objects.all()[0],
    ):
        fragment = operator.get(address(row, "change") + "?fragment=1").content.decode()
        assert "style=" not in fragment
        assert "<script" not in fragment
        assert " on" + "click" not in fragment


def test_what_tenants_write_is_escaped(cloud: Cloud, operator: Client) -> None:
    evil = "<script>alert(1)</script>"
    cloud.host()
    instance, _ = cloud.active(name=evil, metadata={evil: evil})
    OperationEvent.objects.update(detail=evil)
    for page in (
        address(instance, "change"),
        address(Instance),
        address(operation_of(instance), "change"),
        address(OperationEvent),
    ):
        assert evil not in operator.get(page).content.decode()


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a guest's console says instead of a host; empty: the host is silent."""
    said: list[str] = []

    def read(*, actor: Any, instance_id: Any, max_bytes: int = 65536) -> ConsoleOutput:
        if not said:
            raise Unavailable("host.silent", "The host did not answer in time; the instance itself may be well.")
        return ConsoleOutput(instance_id=str(instance_id), text=said[0])

    monkeypatch.setattr(console, "read", read)
    return said


def test_the_console_is_read_on_asking_only(cloud: Cloud, operator: Client, spoken: list[str]) -> None:
    cloud.host()
    instance, _ = cloud.active()
    page = reverse("admin:compute_instance_console", args=[instance.pk])
    assert "cs-terminal" not in operator.get(page).content.decode()
    assert "(host.silent)" in operator.post(page).content.decode()
    spoken.append("\x1b[32mlogin:\x1b[0m <b>\r\n")
    text = operator.post(page).content.decode()
    assert "login: &lt;b&gt;" in text
    assert "\x1b" not in text


# Cost


@pytest.fixture
def queries(operator: Client) -> Callable[[str], int]:
    def count(page: str) -> int:
        operator.get(page)  # content types and the like are kept from here on
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(page).status_code == 200
        return len(captured)

    return count


def test_lists_and_the_start_page_take_as_many_queries_for_fifty_rows_as_for_five(
    cloud: Cloud, queries: Callable[[str], int]
) -> None:
    pages = [address(model) for model in MODELS] + [reverse("admin:index")]
    populate(cloud, "few", 5)
    few = {page: queries(page) for page in pages}
    populate(cloud, "many", 45)
    assert {page: queries(page) for page in pages} == few
    assert max(few.values()) <= 15


def test_the_instance_page_takes_as_many_queries_for_many_operations_as_for_few(
    cloud: Cloud, queries: Callable[[str], int]
) -> None:
    cloud.host()
    instance, host = cloud.active()

    def restart(times: int) -> int:
        for _ in range(times):
            cloud.power(instance, "reboot_hard")
            host.work()
        return queries(address(instance, "change"))

    assert restart(1) == restart(10)


def test_the_host_page_takes_as_many_queries_for_many_instances_as_for_few(
    cloud: Cloud, queries: Callable[[str], int]
) -> None:
    host = Host.objects.get(pk=cloud.host(VCPU=64, MEMORY_MB=65536).id)
    cloud.create(count=2)
    cloud.run()
    few = queries(address(host, "change"))
    cloud.create(count=30)
    cloud.run()
    assert queries(address(host, "change")) == few


def test_no_list_counts_a_whole_table(cloud: Cloud, operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedPaginator, "MOST", 3)
    monkeypatch.setattr(admin.site._registry[KeyPair], "list_per_page", 2)
    actor = make_actor(cloud.project)
    for number in range(5):
        catalog.create_key_pair(actor=actor, name=str(number), public_key=KEY)
    answer = operator.get(address(KeyPair))
    assert answer.context["cl"].result_count == 3
    assert "search or filter to find older ones" in answer.content.decode()


# Identity: finding, and cost


def test_projects_of_one_name_are_told_apart_where_one_is_chosen(operator: Client, cloud: Cloud) -> None:
    acme = domains.create_domain(actor=SYSTEM, name="acme")
    for domain_id in (acme.pk, builtin.DEFAULT_DOMAIN_ID):
        projects.create_project(actor=SYSTEM, name="web", domain_id=domain_id)
    query = {"term": "web", "app_label": "identity", "model_name": "assignment", "field_name": "project"}
    found = operator.get(reverse("admin:autocomplete"), query).json()["results"]
    assert sorted(each["text"] for each in found) == ["Default / web", "acme / web"]


def test_the_page_of_a_user_takes_as_many_queries_with_many_roles_as_with_few(operator: Client, cloud: Cloud) -> None:
    ann = user("ann")

    def cost(count: int) -> int:
        for number in range(count):
            project = make_project(f"{count}-{number}")
            give(ann, "member", project)
            make_token(ann, project)
            ops = groups.create_group(actor=SYSTEM, name=f"{count}-{number}")
            groups.add_member(actor=SYSTEM, group_id=ops.pk, user_id=ann.pk)
        pages = [address(ann, "change"), address(Project.objects.get(pk=builtin.DEFAULT_DOMAIN_ID), "change")]
        for page in pages:
            operator.get(page)
        with CaptureQueriesContext(connection) as captured:
            for page in pages:
                assert operator.get(page).status_code == 200
        return len(captured)

    assert cost(1) == cost(12)


def test_the_page_of_a_group_takes_as_many_queries_for_many_users_as_for_few(operator: Client) -> None:
    ops = groups.create_group(actor=SYSTEM, name="ops")

    def cost(names: list[str]) -> int:
        for name in names:
            groups.add_member(actor=SYSTEM, group_id=ops.pk, user_id=user(name).pk)
        operator.get(address(ops, "change"))
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(address(ops, "change")).status_code == 200
        return len(captured)

    assert cost(["ann"]) == cost([f"u{number}" for number in range(12)])
