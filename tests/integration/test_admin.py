"""The operators' admin: every page opens, for operators only; buttons call services; lists cost the same at any length."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.common.admin.buttons import Button
from apps.common.admin.lists import BoundedPaginator, ReadOnlyAdmin
from apps.common.admin.pages import RecordAdmin
from apps.common.context import SYSTEM
from apps.common.errors import Unavailable
from apps.compute.admin import BUTTONS
from apps.compute.models import Flavor, Instance, KeyPair
from apps.compute.services import catalog, console
from apps.hosts.models import Host
from apps.identity.models import Project, Token, User
from apps.identity.roles import Role
from apps.identity.services import projects, tokens
from apps.images.models import Image
from apps.network.models import Network
from apps.network.services import networks
from apps.operations.models import Lease, Operation, OperationEvent
from apps.operations.services import intake, leases
from apps.placement.models import Inventory
from apps.scheduler.models import Decision
from contracts.compute.v1 import ConsoleOutput
from tests.support.cloud import Cloud, make_actor, make_flavor, make_image, make_project, operation_of

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ test"
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
RECORDS = [model for model in MODELS if isinstance(admin.site._registry[model], RecordAdmin)]


def label(model: type[Model]) -> str:
    return model._meta.label_lower


def address(row: Model | type[Model], page: str = "changelist", *more: str) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}"
    return reverse(name, args=[row.pk, *more] if isinstance(row, Model) else [])


def user(name: str, **flags: bool) -> User:
    made = projects.ensure_user(actor=SYSTEM, username=name, password="correct horse battery")[0]
    for flag, value in flags.items():
        setattr(made, flag, value)
    made.save()
    return made


def signed_in(who: User) -> Client:
    client = Client()
    client.force_login(who)
    return client


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


def populate(cloud: Cloud, name: str, count: int) -> None:
    """So many rows of each model."""
    for number in range(count):
        word = f"{name}-{number}"
        cloud.host(word, VCPU=64, MEMORY_MB=65536)
        project = make_project(word)
        someone = user(word)
        projects.set_role(actor=SYSTEM, user_id=someone.pk, project_id=project.pk, role=Role.MEMBER)
        tokens.issue(user=someone, project=project)
        actor = make_actor(project, user=someone)
        catalog.create_key_pair(actor=actor, name=word, public_key=KEY)
        networks.create(actor=actor, name=word)
        make_image(project, name=word)
        make_flavor(name=word)
        intake.reject("report.forged", word, "not signed by its key")
        leases.acquire(name=word, holder="here:1", seconds=10)
        cloud.create(client_token=word, name=word)
        cloud.run()


# Pages


@pytest.mark.parametrize("model", MODELS, ids=label)
def test_every_page_of_every_model_opens_for_an_operator(full: Cloud, operator: Client, model: type[Model]) -> None:
    for query in ("", "?q=a-0", f"?q={full.project.pk}", "?p=1"):
        assert operator.get(address(model) + query).status_code == 200, query
    rows = list(model._default_manager.all()[:20])
    assert rows, f"no {label(model)} to look at"
    for row in rows:
        assert operator.get(address(row, "change")).status_code == 200
        assert operator.get(address(row, "history")).status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=label)
def test_every_page_of_every_model_is_closed_to_others(full: Cloud, model: type[Model]) -> None:
    row = model._default_manager.all()[0]
    for client in (Client(), signed_in(user("tenant"))):
        for page in (address(model), address(row, "change"), reverse("admin:index")):
            answer = client.get(page)
            assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/admin/login/")
    assert signed_in(user("clerk", is_staff=True)).get(address(model)).status_code == 403


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
    for text in ("Instances", "ERROR 1", "Hosts", "Capacity", "Open operations", "Failures in 24 h", "scheduler.no_host"):
        assert text in page


def test_the_start_page_opens_on_an_empty_site(operator: Client) -> None:
    assert "Nothing is under way." in operator.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize("page", ["admin:password_change", "admin:identity_user_add", "admin:compute_flavor_add"])
def test_forms_open(operator: Client, page: str) -> None:
    assert operator.get(reverse(page)).status_code == 200


def test_a_page_of_something_that_is_gone_leads_to_the_list(operator: Client) -> None:
    gone = reverse("admin:compute_instance_change", args=["01a1fa7e-1071-7621-b06c-7d1856a48c9e"])
    answer = operator.get(gone, follow=True)
    assert answer.redirect_chain == [("/admin/compute/instance/", 302)]
    assert "There is no instance" in answer.content.decode()
    assert operator.get(reverse("admin:compute_instance_change", args=["nonsense"])).status_code == 302


# What services own is not changed here


@pytest.mark.parametrize("model", [m for m in MODELS if isinstance(admin.site._registry[m], ReadOnlyAdmin)], ids=label)
def test_what_services_own_cannot_be_changed_by_forms(full: Cloud, operator: Client, model: type[Model]) -> None:
    row = model._default_manager.all()[0]
    before = list(model._default_manager.order_by("pk").values())
    assert operator.post(address(row, "change"), {"name": "x", "state": "ACTIVE"}).status_code in (403, 405)
    assert operator.post(address(row, "delete"), {"post": "yes"}).status_code == 403
    operator.post(address(model), {"action": "delete_selected", "_selected_action": str(row.pk), "post": "yes"})
    if model is not Flavor:
        assert operator.get(address(model, "add")).status_code == 403
    assert list(model._default_manager.order_by("pk").values()) == before


def test_secrets_are_on_no_page(full: Cloud, operator: Client) -> None:
    secret = "c2VjcmV0LXVzZXItZGF0YQ=="
    instance = full.boot(name="with-secret", user_data=secret)
    full.schedule()
    issued = tokens.issue(user=User.objects.get(username="a-0"), project=Project.objects.get(name="a-0"))
    operation = operation_of(instance)
    assert operation.message
    pages = [address(instance, "change"), address(operation, "change"), address(issued.token, "change"), address(Token)]
    text = "".join(operator.get(page).content.decode() for page in pages)
    for hidden in (secret, operation.message, issued.secret, issued.token.digest):
        assert hidden not in text


# Buttons


@pytest.fixture
def press(operator: Client) -> Callable[..., str]:
    """`press(row, "stop")`: confirm the button; the text of the page that follows."""

    def pressed(row: Model, button: str, **values: Any) -> str:
        answer = operator.post(address(row, "do", button), {"confirmed": "1", **values}, follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    return pressed


Press = Callable[..., str]


@pytest.mark.parametrize(("button", "before"), [("stop", None), ("reboot_soft", None), ("reboot_hard", None), ("start", "stop")])
def test_power_buttons_start_an_operation_as_the_operator(cloud: Cloud, press: Press, button: str, before: str | None) -> None:
    cloud.host()
    instance, host = cloud.active()
    if before:
        cloud.power(instance, before)
        host.work()
    page = press(instance, button)
    operation = operation_of(instance)
    assert (operation.kind, operation.user_name) == (f"instance.{button}", "root")
    assert len(host.commands()) == 1
    assert 'data-every-ms="2000"' in page, "the page follows the operation"


def test_deleting_an_instance(cloud: Cloud, press: Press) -> None:
    cloud.host()
    instance, host = cloud.active()
    assert "being deleted" in press(instance, "delete")
    host.work()
    instance.refresh_from_db()
    assert instance.state == "DELETED"


@pytest.mark.parametrize("button", BUTTONS, ids=lambda button: button.name)
def test_a_refusal_is_a_message_and_no_error_page(cloud: Cloud, press: Press, button: Button) -> None:
    instance = cloud.boot()
    Instance.objects.update(state="DELETED")
    assert "(instance.not_found)" in press(instance, button.name)


def test_a_second_action_is_told_what_is_under_way(cloud: Cloud, press: Press) -> None:
    cloud.host()
    instance, _ = cloud.active()
    press(instance, "stop")
    assert "Another operation is under way: instance.stop" in press(instance, "reboot_hard")


def test_only_operators_press_buttons(cloud: Cloud) -> None:
    from django.contrib.auth.models import Permission

    cloud.host()
    instance, host = cloud.active()
    clerk = user("clerk", is_staff=True)
    clerk.user_permissions.add(*Permission.objects.filter(codename__in=["view_instance", "change_instance", "delete_instance"]))
    client = signed_in(clerk)
    assert client.get(address(instance, "change")).status_code == 200
    assert client.post(address(instance, "do", "stop")).status_code == 403
    client.post(address(Instance), {"action": "do_stop", "_selected_action": str(instance.pk), "confirmed": "1"})
    client.post(reverse("admin:compute_instance_console", args=[instance.pk]))
    assert host.commands() == []


def test_many_at_once_are_asked_about_once_and_each_says_how_it_went(cloud: Cloud, operator: Client) -> None:
    cloud.host()
    running = [cloud.active(name=f"web-{number}")[0] for number in range(3)]
    waiting = cloud.boot(name="waiting")
    chosen = {"action": "do_stop", "_selected_action": [str(row.pk) for row in [*running, waiting]]}
    asked = operator.post(address(Instance), chosen)
    assert asked.status_code == 200
    assert "Stop 4 instances?" in asked.content.decode()
    assert Operation.objects.filter(kind="instance.stop").count() == 0
    page = operator.post(address(Instance), {**chosen, "confirmed": "1"}, follow=True).content.decode()
    assert Operation.objects.filter(kind="instance.stop").count() == 3
    assert "this one is BUILD. (instance.state)" in page


def test_disabling_a_host_needs_a_reason_and_enabling_forgets_it(cloud: Cloud, press: Press) -> None:
    host = Host.objects.get(pk=cloud.host("node-1").id)
    assert "This field is required." in press(host, "disable")
    press(host, "disable", reason="memory is being replaced")
    host.refresh_from_db()
    assert (host.enabled, host.disabled_reason) == (False, "memory is being replaced")
    assert "takes new instances" in press(host, "enable")
    host.refresh_from_db()
    assert (host.enabled, host.disabled_reason) == (True, "")


def test_revoking_a_token(cloud: Cloud, press: Press) -> None:
    issued = tokens.issue(user=user("ann"), project=cloud.project)
    assert "is void from now on" in press(issued.token, "revoke")
    issued.token.refresh_from_db()
    assert issued.token.revoked_at is not None
    assert "(token.not_found)" in press(issued.token, "revoke")


def test_deleting_a_tenants_private_image(cloud: Cloud, press: Press) -> None:
    image = make_image(cloud.project, visibility="private")
    press(image, "delete")
    image.refresh_from_db()
    assert image.state == "deleted"


def test_deleting_a_network_that_is_used_is_refused(cloud: Cloud, press: Press) -> None:
    cloud.host()
    cloud.active()
    network = Network.objects.get(ports__isnull=False)
    assert "(network.in_use)" in press(network, "delete")
    cloud.delete(Instance.objects.get())
    cloud.run()
    press(network, "delete")
    assert not Network.objects.filter(pk=network.pk).exists()


def test_adjusting_an_inventory(cloud: Cloud, press: Press) -> None:
    cloud.host(VCPU=16)
    inventory = Inventory.objects.get(resource_class="VCPU")
    press(inventory, "adjust", allocation_ratio="2", reserved="4")
    inventory.refresh_from_db()
    assert (inventory.capacity, inventory.reserved) == (24, 4)
    assert "(inventory.reserved)" in press(inventory, "adjust", allocation_ratio="2", reserved="17")
    assert "greater than or equal to 0.01" in press(inventory, "adjust", allocation_ratio="0", reserved="0")


def test_making_and_deleting_a_flavor(operator: Client, press: Press) -> None:
    wanted = {"name": "small", "vcpus": "1", "memory_mb": "512", "disk_gb": "5"}
    operator.post(reverse("admin:compute_flavor_add"), wanted)
    flavor = Flavor.objects.get(name="small")
    again = operator.post(reverse("admin:compute_flavor_add"), wanted).content.decode()
    assert "There is a flavor named" in again
    assert "greater than or equal to 1" in operator.post(reverse("admin:compute_flavor_add"), {**wanted, "vcpus": "0"}).content.decode()
    press(flavor, "delete")
    assert not Flavor.objects.exists()


def test_a_user_is_made_given_a_role_and_a_new_password(cloud: Cloud, operator: Client) -> None:
    password = "a long enough one"
    operator.post(reverse("admin:identity_user_add"), {
        "username": "ann", "usable_password": "true", "password1": password, "password2": password,
    })
    ann = User.objects.get(username="ann")
    operator.post(address(ann, "change"), {
        "username": "ann", "is_active": "on", "memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "0",
        "memberships-0-project": str(cloud.project.pk), "memberships-0-role": "reader", "memberships-0-user": str(ann.pk),
    })
    assert list(ann.memberships.values_list("project_id", "role")) == [(cloud.project.pk, "reader")]
    operator.post(reverse("admin:auth_user_password_change", args=[ann.pk]), {
        "password1": "quite another one", "password2": "quite another one", "usable_password": "true",
    })
    ann.refresh_from_db()
    assert ann.check_password("quite another one")
    assert operator.post(address(ann, "delete"), {"post": "yes"}).status_code == 403


# The instance's page


def test_the_instance_page_shows_its_timeline_and_the_verdict(cloud: Cloud, operator: Client) -> None:
    cloud.host("node-1")
    cloud.host("node-2", VCPU=0)
    instance, _ = cloud.active()
    page = operator.get(address(instance, "change")).content.decode()
    for text in ("request accepted", "host chosen", "addresses claimed", "cs-timeline", "node-1 was chosen", "too few vCPUs free"):
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
    for row in (Instance.objects.all()[0], Operation.objects.all()[0], Host.objects.all()[0], Decision.objects.all()[0]):
        fragment = operator.get(address(row, "change") + "?fragment=1").content.decode()
        assert "style=" not in fragment
        assert "<script" not in fragment
        assert " on" + "click" not in fragment


def test_what_tenants_write_is_escaped(cloud: Cloud, operator: Client) -> None:
    evil = "<script>alert(1)</script>"
    cloud.host()
    instance, _ = cloud.active(name=evil, metadata={evil: evil})
    OperationEvent.objects.update(detail=evil)
    for page in (address(instance, "change"), address(Instance), address(operation_of(instance), "change"), address(OperationEvent)):
        assert evil not in operator.get(page).content.decode()


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a guest's console says instead of a host; empty: the host is silent."""
    said: list[str] = []

    def read(*, actor: Any, instance_id: Any, max_bytes: int = 65536) -> ConsoleOutput:
        if not said:
            raise Unavailable("host.silent", "The host did not answer in time; the instance itself may be well.")
        return ConsoleOutput(instance_id=str(instance_id), text=said[0])

    monkeypatch.setattr(console, "read", read)
    yield said


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


def test_the_host_page_takes_as_many_queries_for_many_instances_as_for_few(cloud: Cloud, queries: Callable[[str], int]) -> None:
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
