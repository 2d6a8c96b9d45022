"""Whatever comes in: a clear refusal with a stable code and the field at fault, never a 500, and nothing left behind."""

import base64
import json
import uuid
from typing import Any

import pytest

from apps.compute.models import Instance
from apps.operations.models import ClientToken, Operation
from tests.api.kit import Http
from tests.support.cloud import Cloud, make_image

NOBODY = "01900000-0000-7000-8000-000000000000"
BIG = base64.b64encode(b"x" * (64 * 1024 + 1)).decode()


def wanted(cloud: Cloud, **fields: Any) -> dict[str, Any]:
    return {"name": "web", "flavor_id": str(cloud.flavor.pk), "image_id": str(cloud.image.pk), **fields}


BAD_INSTANCES: list[tuple[dict[str, Any], int, str, str]] = [
    ({"name": "x" * 300}, 400, "request.max_length", "name"),
    ({"name": ""}, 400, "request.blank", "name"),
    ({"name": "   "}, 400, "request.blank", "name"),
    ({"name": "a\x00b"}, 400, "request.characters", "name"),
    ({"name": "a\nb"}, 400, "request.characters", "name"),
    ({"name": "a\u2028b"}, 400, "request.characters", "name"),
    ({"name": 5}, 400, "request.type", "name"),
    ({"name": None}, 400, "request.null", "name"),
    ({"name": ["web"]}, 400, "request.type", "name"),
    ({"name": {"a": 1}}, 400, "request.type", "name"),
    ({"name": "x" * 255, "count": 2}, 400, "instance.name", "name"),
    ({"flavor_id": NOBODY}, 404, "flavor.not_found", "flavor_id"),
    ({"flavor_id": "m1.small"}, 400, "request.invalid", "flavor_id"),
    ({"flavor_id": 5}, 400, "request.type", "flavor_id"),
    ({"flavor_id": {}}, 400, "request.type", "flavor_id"),
    ({"flavor": "m1.small"}, 400, "request.either", "flavor_id"),
    ({"flavor_id": "..", "flavor": "…"}, 400, "request.invalid", "flavor_id"),
    ({"image_id": NOBODY}, 404, "image.not_found", "image_id"),
    ({"image_id": "1" * 5000}, 400, "request.invalid", "image_id"),
    ({"image_id": None}, 400, "request.null", "image_id"),
    ({"network_id": NOBODY}, 404, "network.not_found", "network_id"),
    ({"network_id": "default"}, 400, "request.invalid", "network_id"),
    ({"key_name": "nobody's"}, 404, "key_pair.not_found", "key_name"),
    ({"key_name": 1}, 400, "request.type", "key_name"),
    ({"count": 0}, 400, "request.min_value", "count"),
    ({"count": -1}, 400, "request.min_value", "count"),
    ({"count": 1.5}, 400, "request.type", "count"),
    ({"count": "2"}, 400, "request.type", "count"),
    ({"count": True}, 400, "request.type", "count"),
    ({"count": 10**30}, 400, "request.type", "count"),
    ({"count": 501}, 400, "instance.count", "count"),
    ({"count": 2**62}, 400, "instance.count", "count"),
    ({"user_data": "not base64!"}, 400, "request.base64", "user_data"),
    ({"user_data": BIG}, 400, "request.too_large", "user_data"),
    ({"user_data": 7}, 400, "request.type", "user_data"),
    ({"metadata": []}, 400, "request.not_a_dict", "metadata"),
    ({"metadata": {"a": 1}}, 400, "request.type", "metadata.a"),
    ({"metadata": {"": "x"}}, 400, "request.name", "metadata"),
    ({"metadata": {"a": "x" * 256}}, 400, "request.max_length", "metadata.a"),
    ({"metadata": {str(n): "" for n in range(129)}}, 400, "request.too_many", "metadata"),
    ({"zone": "a\tb"}, 400, "request.characters", "zone"),
    ({"colour": "red"}, 400, "request.unknown_field", "colour"),
    ({"x" * 1000: 1}, 400, "request.unknown_field", "x" * 100),
    ({"project_id": NOBODY}, 400, "request.unknown_field", "project_id"),
    ({"host": "h1"}, 400, "request.unknown_field", "host"),
]


@pytest.mark.parametrize(("change", "status", "code", "field"), BAD_INSTANCES)
def test_a_bad_field_of_an_instance_is_named(
    cloud: Cloud, ann: Http, change: dict[str, Any], status: int, code: str, field: str
) -> None:
    answer = ann.post("instances", wanted(cloud, **change), headers={"Idempotency-Key": "k"})
    answer.problem(status, code, field)
    assert (Instance.objects.count(), Operation.objects.count(), ClientToken.objects.count()) == (0, 0, 0)
    assert cloud.bus.waiting == []


def test_all_faults_are_told_at_once(cloud: Cloud, ann: Http) -> None:
    problem = ann.post("instances", {"name": "", "count": "x"}).problem(400, "request.blank", "name")
    assert {(each["field"], each["code"]) for each in problem["errors"]} >= {("name", "request.blank"), ("count", "request.type")}


def test_what_an_image_needs_a_flavor_must_have(cloud: Cloud, ann: Http) -> None:
    hungry = make_image(cloud.project, min_memory_mb=1024)
    large = make_image(cloud.project, min_disk_gb=50)
    kernel = make_image(cloud.project, disk_format="kernel")
    queued = make_image(cloud.project, state="queued", sha256="", size_bytes=None)
    for image, code, field in (
        (hungry, "flavor.memory", "flavor_id"), (large, "flavor.disk", "flavor_id"), (kernel, "image.format", "image_id"),
        (queued, "image.state", "image_id"),
    ):
        ann.post("instances", wanted(cloud, image_id=str(image.pk))).problem(400, code, field)
    ann.post("instances", {"name": "x", "flavor": cloud.flavor.name, "image": "demo"}).problem(400, "image.ambiguous", "image")
    ann.post("instances", {"name": "x", "flavor": "no", "image": "demo"}).problem(404, "flavor.not_found", "flavor")


BODIES: list[tuple[bytes, str]] = [
    (b"{", "request.malformed"),
    (b"{'name': 1}", "request.malformed"),
    (b"[]", "request.malformed"),
    (b"null", "request.malformed"),
    (b'"text"', "request.malformed"),
    (b"\xff\xfe", "request.malformed"),
    (b'{"name": "\\ud800"}', "request.malformed"),
    (b"[" * 100_000, "request.malformed"),
    (b'{"name": NaN}', "request.malformed"),
    (b'{"a":' * 5000 + b"1" + b"}" * 5000, "request.malformed"),
]


@pytest.mark.parametrize(("body", "code"), BODIES)
def test_a_malformed_body_is_refused(cloud: Cloud, ann: Http, body: bytes, code: str) -> None:
    ann.post("instances", body).problem(400, code)


def test_an_empty_body_lacks_what_is_required(cloud: Cloud, ann: Http) -> None:
    ann.post("instances").problem(400, "request.required", "name")
    ann.post("instances", b"{}").problem(400, "request.required", "name")


def test_ten_megabytes_are_refused_before_they_are_read(cloud: Cloud, ann: Http) -> None:
    body = json.dumps(wanted(cloud, user_data="A" * 10_000_000)).encode()
    problem = ann.post("instances", body).problem(413, "request.too_large")
    assert problem["limit"] == 2 * 1024 * 1024


def test_a_body_that_grows_past_the_limit_is_refused(cloud: Cloud, ann: Http) -> None:
    """Its length is within what the middleware takes, so it is the parser that counts."""
    body = b'{"name": "' + b"x" * (2 * 1024 * 1024 - 11) + b'"'
    assert ann.post("instances", body).status == 400


def test_a_chunked_body_without_length_is_not_taken_for_an_empty_one(cloud: Cloud, ann: Http) -> None:
    ann.post("instances", headers={"Transfer-Encoding": "chunked"}).problem(411, "request.length")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"])
def test_other_media_types_are_refused(cloud: Cloud, ann: Http, kind: str) -> None:
    ann.post("instances", b"name=web", content_type=kind).problem(415, "request.media_type")


def test_an_answer_that_cannot_be_given_is_refused(cloud: Cloud, ann: Http) -> None:
    ann.get("instances", headers={"Accept": "image/png"}).problem(406, "request.not_acceptable")


METHODS = [
    ("DELETE", "instances"), ("PUT", "instances"), ("POST", f"instances/{NOBODY}"), ("GET", f"instances/{NOBODY}/actions"),
    ("POST", "operations"), ("PATCH", "flavors"), ("POST", "whoami"), ("TRACE", "instances"), ("GET", f"images/{NOBODY}/file"),
    ("DELETE", "rejections"),
]


@pytest.mark.parametrize(("method", "path"), METHODS)
def test_a_wrong_method_is_refused_with_those_that_are_right(cloud: Cloud, operator: Http, method: str, path: str) -> None:
    answer = operator(method, path)
    answer.problem(405, "request.method")
    assert answer.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["instance", "instances/", "instances/1", "instances/%00", "../etc", "flavors/m1.small", "", "operations/" + "a" * 500]
)
def test_an_unknown_address_is_a_problem_too(cloud: Cloud, ann: Http, path: str) -> None:
    ann.get(f"/api/v1/{path}").problem(404, "not_found")
    ann.get("/api").problem(404, "not_found")
    ann.get("/nowhere").problem(404, "not_found")


def test_a_change_at_an_unknown_address_is_refused_in_the_same_shape(transactional_db: None) -> None:
    """And not by Django's page about forged requests, which is before all views."""
    from django.test import Client

    for path in ("/api/v1/groups/nothing", "/api/v1/nowhere", "/identity/v3/nowhere"):
        answer = Client(enforce_csrf_checks=True).delete(path)
        assert (answer.status_code, answer["Content-Type"].partition("/")[0]) == (404, "application"), path


QUERIES = [
    ("instances?limit=0", "limit"), ("instances?limit=1001", "limit"), ("instances?limit=ten", "limit"),
    ("instances?limit=%D9%A1", "limit"), ("instances?after=x", "after"), ("instances?after=%00", "after"),
    ("instances?state=active", "state"), ("instances?image_id=1", "image_id"), ("instances?colour=red", "colour"),
    ("instances?name=%00", "name"), ("instances?name__contains=%00", "name__contains"), ("instances?all_projects=maybe", "all_projects"),
    ("operations?state=open", "state"), ("operations?resource_id=x", "resource_id"), ("operations?wait=5", "wait"),
    ("flavors?page=2", "page"), ("images?state=deleted", "state"), ("networks?is_default=perhaps", "is_default"),
    ("key-pairs?after=12", "after"), ("whoami?verbose=1", "verbose"), ("projects?name=" + "x" * 65, "name"),
]


@pytest.mark.parametrize(("path", "field"), QUERIES)
def test_a_bad_parameter_is_named(cloud: Cloud, ann: Http, path: str, field: str) -> None:
    answer = ann.get(path)
    assert answer.status == 400
    assert answer.problem(400, answer.json["code"], field)["code"].startswith("request.")


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon", ""])
def test_a_bad_waiting_time_is_refused(cloud: Cloud, ann: Http, wait: str) -> None:
    made = ann.post("instances", wanted(cloud)).ok(202)
    assert ann.get(f"operations/{made['operation']['id']}?wait={wait}").json["field"] == "wait"
    assert ann.delete(f"instances/{made['instance']['id']}?wait={wait}").json["field"] == "wait"
    assert Instance.objects.get().state == "BUILD"


def test_a_like_pattern_in_a_filter_is_just_text(cloud: Cloud, ann: Http) -> None:
    ann.post("instances", wanted(cloud, name="100%_sure")).ok(202)
    ann.post("instances", wanted(cloud, name="1000 sure")).ok(202)
    assert len(ann.get("instances?name__contains=0%25_").ok()["items"]) == 1
    assert len(ann.get("instances?name__contains=%5C").ok()["items"]) == 0


BAD_ACTIONS: list[tuple[Any, str, str | None]] = [
    ({"action": "explode"}, "request.invalid_choice", "action"), ({"action": 1}, "request.invalid_choice", "action"),
    ({}, "request.required", "action"), ({"action": ["stop"]}, "request.invalid_choice", "action"),
    ({"action": "stop", "force": True}, "request.unknown_field", "force"),
]


@pytest.mark.parametrize(("body", "code", "field"), BAD_ACTIONS)
def test_a_bad_action_is_refused(cloud: Cloud, ann: Http, body: Any, code: str, field: str) -> None:
    made = ann.post("instances", wanted(cloud)).ok(202)["instance"]
    ann.post(f"instances/{made['id']}/actions", body).problem(400, code, field)


ELSEWHERE: list[tuple[str, dict[str, Any], int, str, str | None]] = [
    ("images", {"name": "x", "disk_format": "vhd"}, 400, "request.invalid_choice", "disk_format"),
    ("images", {"name": "x", "disk_format": "qcow2", "kernel_id": NOBODY}, 404, "image.not_found", "kernel_id"),
    ("images", {"name": "x", "disk_format": "qcow2", "visibility": "public"}, 403, "policy.forbidden", None),
    ("images", {"name": "x", "disk_format": "raw", "min_disk_gb": -1}, 400, "request.min_value", "min_disk_gb"),
    ("images", {"name": "x", "disk_format": "raw", "min_disk_gb": 2**40}, 400, "request.max_value", "min_disk_gb"),
    ("images", {"name": "x", "disk_format": "raw", "kernel_args": "a\nb"}, 400, "request.characters", "kernel_args"),
    ("networks", {"name": "x", "cidr": "127.0.0.0/24"}, 400, "subnet.cidr", "cidr"),
    ("networks", {"name": "x", "cidr": "10.0.0.1/24"}, 400, "subnet.cidr", "cidr"),
    ("networks", {"name": "x", "cidr": "10.0.0.0/31"}, 400, "subnet.cidr", "cidr"),
    ("networks", {"name": "x", "cidr": "x" * 50}, 400, "request.max_length", "cidr"),
    ("networks", {"name": "x", "cidr": "10.0.0.0/24", "dns": ["ns1"]}, 400, "subnet.dns", "dns"),
    ("networks", {"name": "x", "cidr": "10.0.0.0/24", "dns": ["fd00::1"]}, 400, "subnet.family", "dns"),
    ("networks", {"name": "x", "dns": ["9.9.9.9"]}, 400, "subnet.dns", "dns"),
    ("networks", {"name": "x", "dns": "9.9.9.9"}, 400, "request.not_a_list", "dns"),
    ("networks", {"name": "x", "dns": ["9.9.9.9"] * 9}, 400, "request.max_length", "dns"),
    ("networks", {"name": "default"}, 409, "network.exists", "name"),
    ("networks", {"name": "x" * 65}, 400, "request.max_length", "name"),
    ("key-pairs", {"name": "k", "public_key": "ssh-rsa AAAA"}, 400, "key_pair.public_key", "public_key"),
    ("key-pairs", {"name": "k", "public_key": "-----BEGIN PRIVATE KEY-----"}, 400, "key_pair.public_key", "public_key"),
    ("key-pairs", {"name": "a/b", "public_key": "x"}, 400, "request.slash", "name"),
    ("key-pairs", {"name": "k", "public_key": "x" * 20_000}, 400, "request.max_length", "public_key"),
    ("flavors", {"name": "f", "vcpus": 1, "memory_mb": 1, "disk_gb": 1}, 403, "policy.forbidden", None),
    ("projects", {"name": "p"}, 403, "policy.forbidden", None),
    ("users", {"username": "u", "password": "p"}, 403, "policy.forbidden", None),
]


@pytest.mark.parametrize(("path", "body", "status", "code", "field"), ELSEWHERE)
def test_bad_input_elsewhere_is_named_too(
    cloud: Cloud, ann: Http, path: str, body: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    ann.post(path, body).problem(status, code, field)


FOR_OPERATORS: list[tuple[str, str, dict[str, Any], int, str, str | None]] = [
    ("POST", "flavors", {"name": "f", "vcpus": 0, "memory_mb": 1, "disk_gb": 1}, 400, "request.min_value", "vcpus"),
    ("POST", "flavors", {"name": "f", "vcpus": 2**31, "memory_mb": 1, "disk_gb": 1}, 400, "request.max_value", "vcpus"),
    ("POST", "flavors", {"name": "f", "vcpus": 1, "memory_mb": 2**63, "disk_gb": 1}, 400, "request.max_value", "memory_mb"),
    ("POST", "flavors", {"name": "f", "vcpus": "1", "memory_mb": 1, "disk_gb": 1}, 400, "request.type", "vcpus"),
    ("POST", "users", {"username": "bad\nname", "password": "correct horse"}, 400, "request.characters", "username"),
    ("POST", "users", {"username": "ok", "password": "password"}, 400, "user.password", "password"),
    ("POST", "users", {"username": "ok", "password": "p\x00p"}, 400, "request.null_characters_not_allowed", "password"),
    ("POST", "role-assignments", {"user_id": NOBODY, "project_id": NOBODY, "role": "member"}, 404, "project.not_found", "project_id"),
    ("POST", "role-assignments", {"user_id": NOBODY, "role": "king"}, 404, "role.not_found", "role"),
    ("POST", "role-assignments", {"role": "member"}, 400, "assignment.holder", "user_id"),
    ("DELETE", f"role-assignments/{NOBODY}", {}, 404, "assignment.not_found", None),
    ("DELETE", f"flavors/{NOBODY}", {}, 404, "flavor.not_found", "flavor_id"),
    ("POST", f"hosts/{NOBODY}/actions", {"action": "enable"}, 404, "host.not_found", None),
    ("POST", f"hosts/{NOBODY}/actions", {"action": "burn"}, 400, "request.invalid_choice", "action"),
    ("GET", f"resource-providers/{NOBODY}", {}, 404, "resource_provider.not_found", None),
    ("GET", "rejections?after=99999999999999999999", {}, 400, "request.after", "after"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "field"), FOR_OPERATORS)
def test_operators_input_is_checked_as_well(
    cloud: Cloud, operator: Http, method: str, path: str, body: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    operator(method, path, body or None).problem(status, code, field)


def test_a_key_pair_by_an_impossible_name_is_not_found(cloud: Cloud, ann: Http) -> None:
    for name in ("%00", "x" * 500, "%F0%9F%98%80", "%0A"):
        assert ann.delete(f"key-pairs/{name}").status == 404


def test_unknown_ids_are_not_found(cloud: Cloud, ann: Http) -> None:
    for path, code in (
        ("instances", "instance.not_found"), ("operations", "operation.not_found"), ("images", "image.not_found"),
        ("flavors", "flavor.not_found"), ("networks", "network.not_found"), ("projects", "project.not_found"),
    ):
        assert ann.get(f"{path}/{uuid.uuid4()}").json["code"] == code


def test_a_network_that_has_taken_the_name_of_the_default_one_is_no_internal_error(cloud: Cloud, mallory: Http) -> None:
    mallory.post("networks", {"name": "default"}).ok(201)
    body = {"name": "x", "flavor": cloud.flavor.name, "image": "demo"}
    mallory.post("instances", body).problem(409, "network.no_default", "network_id")


def test_an_operator_without_project_is_told_to_choose_one(cloud: Cloud, operator: Http) -> None:
    from django.test import Client

    assert operator.user is not None
    browser = Client()
    browser.force_login(operator.user)
    answer = browser.post("/api/v1/instances", json.dumps(wanted(cloud)), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "auth.project_needed")
    answer = browser.post("/api/v1/networks", json.dumps({"name": "n"}), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "network.for_nobody")
