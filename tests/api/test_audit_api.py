"""The audit trail over HTTP: who sees which part, how it is searched and exported, and which refusals are in it."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import RequestFactory

from apps.audit import middleware
from apps.audit.models import Record
from apps.audit.services import record
from apps.common.context import SYSTEM, Actor
from apps.common.errors import CloudError, Forbidden, Invalid, NotFound, QuotaExceeded, Unauthenticated
from apps.identity.models import Project, Token
from apps.identity.services import signin
from apps.identity.services.signin import Proof, Scope
from tests.api.kit import Http
from tests.support.cloud import Cloud, make_project
from tests.support.identity import PASSWORD, give, make_actor, make_user

Found = list[dict[str, Any]]


def write(name: str, *, project: Project | None, actor: Actor = SYSTEM, action: str = "network.network.update") -> None:
    with transaction.atomic():
        record.write(actor, action, "network", name, project_id=project.pk if project else None, name=name)


def names(http: Http, query: str = "") -> list[str]:
    """Names of what was written by these tests, newest first."""
    return [each["name"] for each in http.get(f"audit-records?action=network.network.update{query}").ok()["items"]]


def refusals() -> list[Record]:
    return list(Record.objects.filter(decision="refused").order_by("pk"))


@pytest.fixture
def chief(cloud: Cloud, sign_in: Callable[..., Http]) -> Http:
    """An admin of the cloud's project."""
    return sign_in("chief", cloud.project, role="admin")


# Who sees what


def test_a_projects_admin_sees_the_projects_records_only(cloud: Cloud, chief: Http, sign_in: Callable[..., Http]) -> None:
    other = make_project()
    write("ours", project=cloud.project)
    write("theirs", project=other)
    write("the installation's", project=None)
    assert names(chief) == ["ours"]
    assert names(chief, f"&project_id={other.pk}") == []
    assert names(sign_in("boss", other, role="admin")) == ["theirs"]


@pytest.mark.parametrize("role", ["reader", "member", "operator"])
def test_others_of_the_project_see_nothing_and_that_is_recorded(cloud: Cloud, sign_in: Callable[..., Http], role: str) -> None:
    http = sign_in("ann", cloud.project, role=role)
    http.get("audit-records").problem(403, "policy.forbidden")
    http.get("audit-records?format=jsonl").problem(403, "policy.forbidden")
    first, second = refusals()
    assert (first.action, first.code, first.user_name, first.path) == (
        "audit.record.list", "policy.forbidden", "ann", "/api/v1/audit-records",
    )
    assert second.method == "GET"


def test_a_reader_on_the_system_sees_everything(cloud: Cloud) -> None:
    clerk = make_user("clerk", cloud.project, "reader")
    give(clerk, "reader")
    write("ours", project=cloud.project)
    write("theirs", project=make_project())
    write("the installation's", project=None)
    assert names(Http(clerk, cloud.project)) == ["the installation's", "theirs", "ours"]


def test_a_domains_admin_sees_the_records_of_its_projects(cloud: Cloud) -> None:
    domain = cloud.project.domain
    assert domain is not None
    elsewhere = Project.objects.create(name="elsewhere", is_domain=True)
    foreign = Project.objects.create(name="foreign", domain=elsewhere, parent=elsewhere)
    dora = make_user("dora")
    give(dora, "admin", domain)
    http = Http()
    http.secret = signin.issue(proofs=[Proof(user=dora, method="shell")], scope=Scope(domain_id=domain.pk)).secret
    for name, project in (("one", cloud.project), ("two", make_project()), ("domain", domain), ("foreign", foreign), ("none", None)):
        write(name, project=project)
    assert names(http) == ["domain", "two", "one"]


def test_a_domains_admin_sees_where_the_domains_own_came_from(cloud: Cloud, chief: Http) -> None:
    domain = cloud.project.domain
    assert domain is not None
    dora = make_user("dora")
    give(dora, "admin", domain)
    http = Http()
    issued = signin.issue(proofs=[Proof(user=dora, method="shell")], scope=Scope(domain_id=domain.pk))
    http.secret = issued.secret
    write("by dora", project=cloud.project, actor=dataclasses.replace(issued.actor, address="192.0.2.3"))
    write("by ann", project=cloud.project, actor=make_actor(cloud.project, user=make_user("ann"), address="192.0.2.2"))
    write("by root", project=cloud.project, actor=make_actor(make_project(), operator=True, address="192.0.2.1"))
    query = "audit-records?action=network.network.update"
    assert [each["address"] for each in http.get(query).ok()["items"]] == ["", "192.0.2.2", "192.0.2.3"]
    assert http.get(query).ok()["items"][2]["actor_project_id"] == str(domain.pk)
    assert [each["address"] for each in chief.get(query).ok()["items"]] == ["", "192.0.2.2", ""]


def test_nobody_sees_it_without_a_token(anybody: Http) -> None:
    anybody.get("audit-records").problem(401, "auth.required")


def test_of_somebody_from_outside_a_project_sees_the_name_only(cloud: Cloud, chief: Http, operator: Http) -> None:
    root = make_actor(make_project(), user=make_user("root", operator=True), operator=True, address="192.0.2.1")
    ann = make_actor(cloud.project, user=make_user("ann"), address="192.0.2.2")
    write("by root", project=cloud.project, actor=root)
    write("by ann", project=cloud.project, actor=ann)
    by_ann, by_root = chief.get("audit-records?action=network.network.update").ok()["items"]
    assert (by_root["user_name"], by_root["address"], by_root["actor_project_id"]) == ("root", "", None)
    assert (by_ann["user_name"], by_ann["address"], by_ann["actor_project_id"]) == ("ann", "192.0.2.2", str(cloud.project.pk))
    lines = chief.get("audit-records?format=jsonl&action=network.network.update").content.splitlines()
    assert [json.loads(line) for line in lines] == [by_root, by_ann]
    assert operator.get("audit-records?user=root&action=network.network.update").ok()["items"][0]["address"] == "192.0.2.1"


def test_it_can_only_be_read(cloud: Cloud, operator: Http) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        operator(method, "audit-records", {}).problem(405, "request.method")


# Searching


def test_a_change_over_http_is_found_by_what_is_known_of_it(cloud: Cloud, sign_in: Callable[..., Http], chief: Http) -> None:
    beth = sign_in("beth", cloud.project)
    made = beth.post("networks", {"name": "back"}, headers={"X-Request-Id": "r-1"}).ok(201)
    [row] = chief.get("audit-records?request_id=r-1").ok()["items"]
    assert row.pop("at") and row.pop("id")
    changes = row.pop("changes")
    assert (changes["kind"], changes["is_default"]) == ([None, "vxlan"], [None, False])
    assert row == {
        "decision": "allowed", "action": "network.network.create", "resource_type": "network", "resource_id": made["id"],
        "name": "back", "project_id": str(cloud.project.pk), "user_id": str(beth.user.pk if beth.user else ""), "user_name": "beth",
        "actor_project_id": str(cloud.project.pk), "address": "127.0.0.1", "request_id": "r-1", "method": "", "path": "", "code": "",
        "reason": "",
    }
    for query in (
        "user=beth&action=network.", f"user={row['user_id']}&action=network.network.create", f"resource_id={made['id']}",
        f"resource_type=network&project_id={cloud.project.pk}&user=beth&since=2026-01-01T00:00:00Z", "address=127.0.0.1&decision=allowed&action=network",
    ):
        assert [each["name"] for each in chief.get(f"audit-records?{query}").ok()["items"]] == ["back"], query
    for query in ("user=bob", "action=network.network.delete", "decision=refused", "until=2026-01-01T00:00:00Z", "resource_type=host"):
        assert chief.get(f"audit-records?{query}").ok()["items"] == [], query


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("decision=maybe", "request.invalid_choice", "decision"), ("since=yesterday", "request.invalid", "since"),
        ("project_id=x", "request.invalid", "project_id"), ("colour=red", "request.unknown_field", "colour"),
        ("after=x", "request.after", "after"), ("after=x&format=jsonl", "request.after", "after"), ("limit=0", "request.min_value", "limit"),
        ("user=%00", "request.null_characters_not_allowed", "user"),
    ],
)
def test_a_wrong_search_is_told(chief: Http, query: str, code: str, field: str) -> None:
    chief.get(f"audit-records?{query}").problem(400, code, field)


def test_pages_go_from_the_newest_to_the_oldest(cloud: Cloud, chief: Http) -> None:
    for number in range(5):
        write(f"n{number}", project=cloud.project)
    seen, address = [], "audit-records?action=network.network.update&limit=2"
    while address:
        page = chief.get(address.removeprefix("http://testserver")).ok()
        seen.append([each["name"] for each in page["items"]])
        address = page["next"]
    assert seen == [["n4", "n3"], ["n2", "n1"], ["n0"]]


# Exporting


@pytest.mark.parametrize(
    ("query", "headers"), [("&format=jsonl", {}), ("", {"Accept": "application/x-ndjson"})], ids=["by address", "by header"]
)
def test_an_export_is_json_lines_from_the_oldest_on(cloud: Cloud, chief: Http, query: str, headers: dict[str, str]) -> None:
    entries = [record.Entry(resource_id=number, name=f"n{number}", project_id=cloud.project.pk) for number in range(1200)]
    with transaction.atomic():
        record.write_many(SYSTEM, "network.network.update", "network", entries)
    answer = chief.get(f"audit-records?action=network.network.update{query}", headers=headers)
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/x-ndjson"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    rows = [json.loads(line) for line in answer.content.splitlines()]
    assert [row["name"] for row in rows] == [f"n{number}" for number in range(1200)]
    rest = chief.get(f"audit-records?action=network.network.update&after={rows[4]['id']}&limit=2{query}", headers=headers)
    assert [json.loads(line)["name"] for line in rest.content.splitlines()] == ["n5", "n6"]
    page = chief.get("audit-records?action=network.network.update&limit=1").ok()["items"]
    assert page == [rows[-1]], "a line is what a page shows"


def test_the_head_of_an_export_reads_no_records(cloud: Cloud, chief: Http) -> None:
    write("one", project=cloud.project)
    answer = chief("HEAD", "audit-records?format=jsonl")
    assert (answer.status, answer.content) == (200, b"")


# Refusals


def test_what_somebody_may_not_do_is_recorded_with_what_it_was_about(cloud: Cloud, ann: Http, chief: Http) -> None:
    ann.delete(f"flavors/{cloud.flavor.pk}", headers={"X-Request-Id": "r-2"}).problem(403, "policy.forbidden")
    [row] = refusals()
    assert (row.action, row.resource_type, row.resource_id) == ("compute.flavor.delete", "flavor", str(cloud.flavor.pk))
    assert (row.user_name, row.address, row.request_id) == ("ann", "127.0.0.1", "r-2")
    assert (row.method, row.path) == ("DELETE", f"/api/v1/flavors/{cloud.flavor.pk}")
    assert (row.project_id, row.actor_project_id) == (cloud.project.pk, cloud.project.pk)
    assert "operator" in row.reason and row.changes == {}
    [shown] = chief.get("audit-records?decision=refused").ok()["items"]
    assert (shown["code"], shown["path"]) == (row.code, row.path)


def test_a_failed_sign_in_is_recorded_and_a_wrong_token_is_not(cloud: Cloud, ann: Http, anybody: Http) -> None:
    wrong = anybody.post("tokens", {"username": "ann", "password": PASSWORD + "!"})
    assert (wrong.status, wrong.json["code"]) == (401, "auth.failed")
    [row] = refusals()
    assert (row.action, row.code, row.method, row.path) == ("identity.token.issue", "auth.failed", "POST", "/api/v1/tokens")
    assert (row.address, row.user_id, row.project_id) == ("127.0.0.1", None, None)
    for secret in ("", "cs1_" + "x" * 43, "nonsense"):
        assert anybody.get("whoami", headers={"Authorization": f"Bearer {secret}"}).status == 401
    Token.objects.update(expires_at="2020-01-01T00:00:00Z")
    assert ann.get("whoami").status == 401
    assert anybody.get("whoami").status == 401
    assert len(refusals()) == 1
    assert PASSWORD not in json.dumps(list(Record.objects.values()), default=str)


def test_what_is_not_there_or_not_right_is_no_refusal(cloud: Cloud, ann: Http) -> None:
    ann.get("instances/01900000-0000-7000-8000-000000000000").problem(404, "instance.not_found")
    ann.get("instances?limit=x").problem(400, "request.invalid", "limit")
    ann.post("instances", {"name": ""})
    assert refusals() == []


ACTOR = make_actor(None)
ATTEMPTS: list[tuple[CloudError, dict[str, Any], bool]] = [
    (Forbidden("policy.forbidden", "No."), {"cloudsite_actor": ACTOR}, True),
    (Forbidden("auth.not_member", "No."), {"cloudsite_login": "ann"}, True),
    (Forbidden("image.signature", "No."), {}, False),  # anybody may send these
    (QuotaExceeded("quota.exceeded", "Full."), {"cloudsite_actor": ACTOR}, True),
    (Unauthenticated("auth.failed", "No."), {}, True),
    (Unauthenticated("auth.locked", "No."), {"cloudsite_login": "ann"}, True),
    (Unauthenticated("auth.token_unknown", "No."), {}, False),
    (Unauthenticated("auth.token_expired", "No."), {"cloudsite_actor": ACTOR}, False),
    (NotFound("x.not_found", "No."), {"cloudsite_actor": ACTOR}, False),
    (Invalid("x.invalid", "No."), {"cloudsite_actor": ACTOR}, False),
]


@pytest.mark.parametrize(("error", "known", "recorded"), ATTEMPTS, ids=lambda each: getattr(each, "code", ""))
def test_which_refusals_are_recorded(transactional_db: None, error: CloudError, known: dict[str, Any], recorded: bool) -> None:
    request = RequestFactory().post("/somewhere?secret=1", REMOTE_ADDR="2001:db8::7")
    vars(request).update(known, cloudsite_refusal=error)
    answer = HttpResponse("said")
    assert middleware.AuditTrail(lambda _: answer)(request) is answer
    expected = [(error.code, "/somewhere", "2001:db8::7", "ann" if known else "")] if recorded else []
    assert [(row.code, row.path, row.address, row.user_name) for row in refusals()] == expected
