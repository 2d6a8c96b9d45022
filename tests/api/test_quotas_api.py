"""Quotas over HTTP: seen by those of a project, set by those who rule over it."""

from typing import Any

import pytest

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.identity.models import Project
from apps.identity.services.proofs import Proof
from apps.identity.services.signin import Scope, issue
from apps.quotas.resources import MOST, RESOURCES
from apps.quotas.services import limits
from tests.api.conftest import MakeUser
from tests.api.kit import Http
from tests.support.cloud import Cloud, make_project
from tests.support.identity import give, make_user


def quota(answer: Any, name: str) -> Any:
    (found,) = [each for each in answer["quotas"] if each["resource"] == name]
    return found


def by_id(cloud: Cloud) -> dict[str, Any]:
    return {"name": "web", "flavor_id": str(cloud.flavor.pk), "image_id": str(cloud.image.pk)}


@pytest.fixture
def ruler(cloud: Cloud) -> Http:
    """An administrator of the cloud's domain, working in it."""
    user = make_user("ruler")
    give(user, "admin", cloud.project.domain)
    http = Http()
    http.secret = issue(proofs=[Proof(user=user, method="shell")], scope=Scope(domain_id=cloud.project.domain_id)).secret
    return http


def test_a_project_sees_its_limits_and_what_it_uses(cloud: Cloud, ann: Http) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=cloud.project.pk, limits={"instances": 3})
    ann.post("instances", by_id(cloud)).ok(202)
    answer = ann.get("quotas").ok()
    assert (answer["project_id"], answer["domain_id"]) == (str(cloud.project.pk), None)
    assert [each["resource"] for each in answer["quotas"]] == list(RESOURCES)
    assert quota(answer, "instances") == {
        "resource": "instances", "unit": "", "limit": 3, "source": "project", "used": 1, "domain_limit": None, "domain_used": None,
        "left": 2, "bounded_by": "project",
    }
    assert quota(answer, "memory_mb")["left"] is None
    assert ann.get(f"quotas?project_id={cloud.project.pk}").ok() == answer


def test_a_refusal_says_limit_used_and_asked(cloud: Cloud, ann: Http) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=cloud.project.pk, limits={"instances": 1})
    problem = ann.post("instances", {**by_id(cloud), "count": 2}).problem(413, "quota.exceeded")
    assert {name: problem[name] for name in ("resource", "limit", "used", "asked", "scope")} == {
        "resource": "instances", "limit": 1, "used": 0, "asked": 2, "scope": "project",
    }
    assert len(problem["exceeded"]) == 1
    assert problem["detail"].startswith("instances: 0 of 1 are used, 2 asked.")
    assert Record.objects.filter(code="quota.exceeded", decision="refused").count() == 1


def test_quotas_of_other_projects_are_nobodys_business(cloud: Cloud, ann: Http, mallory: Http, sign_in: MakeUser) -> None:
    for who in (mallory, sign_in("rita", role="admin")):
        who.get(f"quotas?project_id={cloud.project.pk}").problem(404, "project.not_found", "project_id")
        who.put(f"quotas/{cloud.project.pk}", {"instances": 1}).problem(404, "project.not_found", "project_id")
    for who in (ann, sign_in("rob", cloud.project, role="admin")):
        who.get(f"quotas?domain_id={cloud.project.domain_id}").problem(403, "policy.forbidden")
        who.put(f"quotas/{cloud.project.pk}", {"instances": 1}).problem(403, "policy.forbidden")
        who.put(f"quotas/{cloud.project.domain_id}", {"instances": 1}).problem(403, "policy.forbidden")
        who.put("quotas/defaults", {"instances": 1}).problem(403, "policy.forbidden")


def test_an_administrator_of_a_domain_sets_limits_of_its_projects_and_not_its_own(cloud: Cloud, ruler: Http) -> None:
    answer = ruler.put(f"quotas/{cloud.project.pk}", {"instances": 7, "vcpus": -1}).ok()
    assert (quota(answer, "instances")["limit"], quota(answer, "vcpus")["limit"]) == (7, -1)
    foreign = Project.objects.create(name="elsewhere", is_domain=True)
    there = Project.objects.create(name="there", domain=foreign, parent=foreign)
    ruler.put(f"quotas/{there.pk}", {"instances": 7}).problem(404, "project.not_found", "project_id")
    ruler.put(f"quotas/{cloud.project.domain_id}", {"instances": 7}).problem(403, "policy.forbidden")
    ruler.put("quotas/defaults", {"instances": 7}).problem(403, "policy.forbidden")
    whole = ruler.get("quotas").ok()
    assert (whole["project_id"], whole["domain_id"]) == (None, str(cloud.project.domain_id))
    assert quota(whole, "networks")["used"] == 1
    assert quota(ruler.get(f"quotas?project_id={cloud.project.pk}").ok(), "instances")["limit"] == 7


def test_an_operator_sets_limits_of_projects_domains_and_by_default(cloud: Cloud, operator: Http, ann: Http) -> None:
    other = make_project()
    operator.put("quotas/defaults", {"instances": 4, "ports": None}).ok()
    shown = {each["resource"]: each for each in ann.get("quotas/defaults").ok()["defaults"]}
    assert (shown["instances"]["limit"], shown["instances"]["built_in"]) == (4, RESOURCES["instances"].default)
    assert shown["ports"]["limit"] == RESOURCES["ports"].default
    assert quota(operator.get(f"quotas?project_id={other.pk}").ok(), "instances")["source"] == "default"
    operator.put(f"quotas/{other.pk}", {"instances": 9}).ok()
    operator.put(f"quotas/{cloud.project.domain_id}", {"instances": 3}).ok()
    found = quota(ann.get("quotas").ok(), "instances")
    assert (found["limit"], found["domain_limit"], found["domain_used"], found["bounded_by"]) == (4, 3, 0, "domain")
    ann.post("instances", {**by_id(cloud), "count": 4}).problem(413, "quota.exceeded")
    assert quota(operator.put(f"quotas/{other.pk}", {"instances": None}).ok(), "instances")["limit"] == 4
    assert quota(operator.put(f"quotas/{cloud.project.domain_id}", {"instances": None}).ok(), "instances")["limit"] == -1
    ann.post("instances", {**by_id(cloud), "count": 4}).ok(202)


def test_what_was_set_is_in_the_audit_trail(cloud: Cloud, operator: Http) -> None:
    limits.set_limits(actor=SYSTEM, owner_id=cloud.project.pk, limits={"instances": 3})
    operator.put(f"quotas/{cloud.project.pk}", {"instances": 5, "ports": 8, "vcpus": None}).ok()
    record = Record.objects.filter(action="quotas.limit.set", user_name="root").get()
    assert (record.resource_type, record.resource_id, record.project_id) == ("project", str(cloud.project.pk), cloud.project.pk)
    assert record.changes == {"instances": [3, 5], "ports": [None, 8]}
    operator.put(f"quotas/{cloud.project.pk}", {"instances": 5}).ok()
    assert Record.objects.filter(action="quotas.limit.set", user_name="root").count() == 1


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"gold": 1}, "request.unknown_field", "gold"), ({"instances": -2}, "request.min_value", "instances"),
        ({"instances": MOST + 1}, "request.max_value", "instances"), ({"instances": "many"}, "request.type", "instances"),
        ({"instances": True}, "request.type", "instances"), ({"instances": 1.5}, "request.type", "instances"),
    ],
)
def test_limits_that_make_no_sense_are_refused(cloud: Cloud, operator: Http, body: Any, code: str, field: str) -> None:
    operator.put(f"quotas/{cloud.project.pk}", body).problem(400, code, field)
    operator.put("quotas/defaults", body).problem(400, code, field)


def test_whose_quotas_are_asked_for_must_be_clear(cloud: Cloud, ann: Http, operator: Http) -> None:
    both = f"quotas?project_id={cloud.project.pk}&domain_id={cloud.project.domain_id}"
    ann.get(both).problem(400, "request.ambiguous", "domain_id")
    ann.get("quotas?project_id=x").problem(400, "request.invalid", "project_id")
    operator.get(f"quotas?domain_id={cloud.project.pk}").problem(404, "domain.not_found", "domain_id")
