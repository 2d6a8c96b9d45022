"""Quotas at the shell and in the admin."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Model
from django.test import Client

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.quotas.models import Limit, RegisteredLimit, Usage
from apps.quotas.resources import RESOURCES
from apps.quotas.services import audit, limits
from tests.support.admin import address, signed_in, user
from tests.support.cloud import Cloud
from tests.support.commands import as_json, run


def quota(shown: Any, name: str) -> Any:
    (found,) = [each for each in shown["quotas"] if each["resource"] == name]
    return found


# Commands.


def test_limits_of_a_project_are_set_and_shown(cloud: Cloud) -> None:
    cloud.boot()
    name = cloud.project.name
    code, text = run("quota_set", "--project", name, "instances=5", "vcpus=-1")
    assert (code, text) == (0, "Set: instances=5, vcpus=unlimited.\n")
    shown = as_json("quota_show", "--project", str(cloud.project.pk))
    assert (quota(shown, "instances")["limit"], quota(shown, "instances")["used"], quota(shown, "instances")["left"]) == (5, 1, 4)
    assert quota(as_json("quota_set", "--project", name, "instances=default"), "instances")["source"] == "default"
    text = run("quota_show", "--project", name)[1]
    assert "instances" in text and "unlimited" in text and "bounded by" in text
    assert Record.objects.filter(action="quotas.limit.set", user_name="shell").count() == 2


def test_limits_of_a_domain_and_defaults_are_set_and_shown(cloud: Cloud) -> None:
    assert run("quota_set", "--domain", "Default", "instances=9")[0] == 0
    assert quota(as_json("quota_show", "--domain", "Default"), "instances")["limit"] == 9
    assert quota(as_json("quota_show", "--project", cloud.project.name), "instances")["domain_limit"] == 9
    assert run("quota_set", "--default", "instances=3", "ports=default")[0] == 0
    shown = {each["resource"]: each["limit"] for each in as_json("quota_show", "--default")["defaults"]}
    assert (shown["instances"], shown["ports"]) == (3, RESOURCES["ports"].default)
    assert "networks" in run("quota_show", "--default")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--project", "nobody", "instances=1"], "project.not_found"), (["--domain", "nobody", "instances=1"], "domain.not_found"),
        (["--project", "x", "gold=1"], "there is no resource 'gold'"), (["--project", "x", "instances"], "expected instances=NUMBER"),
        (["--project", "x", "instances=many"], "expected instances=NUMBER"), (["instances=1"], "one of the arguments --project"),
        (["--default", "instances=-2"], "quota.limit"), (["--default", "--project", "x", "instances=1"], "not allowed with"),
    ],
)
def test_what_cannot_be_set_is_refused_with_a_sentence(cloud: Cloud, arguments: list[str], said: str) -> None:
    code, text = run("quota_set", *arguments)
    assert code and said in text
    assert not Limit.objects.exists()


def test_what_was_counted_wrongly_is_found_and_fixed(cloud: Cloud) -> None:
    cloud.boot()
    assert run("quota_audit") == (0, "Every project uses what it is said to use.\n")
    Usage.objects.filter(pk=cloud.project.pk).update(instances=7)
    code, text = run("quota_audit")
    assert code == 1 and "instances: 7 counted as used, 1 there" in text
    found = as_json("quota_audit", "--fix")
    assert [each["resource"] for each in found["findings"]] == ["instances"] and found["left"] == []
    assert run("quota_audit")[0] == 0
    record = Record.objects.get(action="quotas.usage.repair")
    assert record.changes == {"instances": [7, 1]}


# Admin.


@pytest.fixture
def press(transactional_db: None) -> Callable[..., str]:
    operator = signed_in(user("root", is_superuser=True))

    def pressed(row: Model, button: str, **values: Any) -> str:
        answer = operator.post(address(row, "do", button), {"confirmed": "1", **values}, follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    return pressed


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return signed_in(user("root", is_superuser=True))


def test_bars_show_what_is_used_of_what(cloud: Cloud, operator: Client) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=cloud.project.pk, limits={"instances": 4, "image_bytes": 2048})
    cloud.create(count=3)
    usage = Usage.objects.get()
    listed = operator.get(address(Usage)).content.decode()
    assert cloud.project.name in listed and "3 / 4" in listed and "cs-fill-warn" in listed
    page = operator.get(address(usage, "change")).content.decode()
    assert "1 KiB / 2 KiB" in page and "no limit" in page and "floating ips" in page
    limits.set_limits(actor=SYSTEM, owner_id=usage.domain_id, limits={"instances": 3})
    page = operator.get(address(usage, "change")).content.decode()
    assert "3; all of the domain 3 / 3" in page and "cs-fill-bad" in page


def test_limits_of_a_project_are_edited_on_its_page(cloud: Cloud, press: Callable[..., str], operator: Client) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=cloud.project.pk, limits={"instances": 4, "ports": 9})
    usage = Usage.objects.get()
    assert 'value="4"' in operator.get(address(usage, "do", "limits")).content.decode()
    press(usage, "limits", instances="6", ports="")
    assert {row.registered.resource_name: row.resource_limit for row in Limit.objects.all()} == {"instances": 6}
    assert "greater than or equal to -1" in press(usage, "limits", instances="-2")
    press(usage, "domain", instances="60")
    assert Limit.objects.get(domain_id=cloud.project.domain_id).resource_limit == 60
    assert Record.objects.filter(action="quotas.limit.set", user_name="root").count() == 1


def test_usage_is_counted_again_by_a_button(cloud: Cloud, press: Callable[..., str]) -> None:
    Usage.objects.update(networks=9)
    assert "9 counted as used, 1 there" in press(Usage.objects.get(), "recount")
    assert audit.drifts() == []


def test_defaults_and_single_limits_are_changed_and_deleted(cloud: Cloud, press: Callable[..., str], operator: Client) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=cloud.project.pk, limits={"instances": 4})
    row, own = RegisteredLimit.objects.get(resource_name="instances"), Limit.objects.get()
    press(row, "change", limit="12")
    row.refresh_from_db()
    assert row.default_limit == 12
    assert "registered_limit.in_use" in press(row, "delete")
    press(own, "change", limit="5")
    own.refresh_from_db()
    assert own.resource_limit == 5
    press(own, "delete")
    press(row, "delete")
    assert not RegisteredLimit.objects.filter(resource_name="instances").exists()
    answer = operator.post(address(RegisteredLimit, "add"), {"resource": "instances", "limit": "8", "confirmed": "1"}, follow=True)
    assert answer.status_code == 200
    assert RegisteredLimit.objects.get(resource_name="instances").default_limit == 8
