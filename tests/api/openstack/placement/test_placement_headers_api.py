"""What every address of Placement has: versions, tokens, media types, refusals, headers."""

import uuid

import pytest
from django.conf import LazySettings

from apps.identity.models import Project
from tests.api.openstack.kit import Keystone, of, signed_in
from tests.api.openstack.placement.speaker import NEWEST, Speaker, claims
from tests.support.identity import give, make_user

pytestmark = pytest.mark.django_db
PROVIDERS = "resource_providers"
SOMEWHERE = "0badc0de-0000-4000-8000-000000000000"
# Address → methods that it has.
ADDRESSES = {
    "": "GET", "resource_providers": "GET, POST", f"resource_providers/{SOMEWHERE}": "GET, PUT, DELETE",
    f"resource_providers/{SOMEWHERE}/inventories": "GET, POST, PUT, DELETE",
    f"resource_providers/{SOMEWHERE}/inventories/VCPU": "GET, PUT, DELETE", f"resource_providers/{SOMEWHERE}/usages": "GET",
    f"resource_providers/{SOMEWHERE}/aggregates": "GET, PUT", f"resource_providers/{SOMEWHERE}/allocations": "GET",
    f"resource_providers/{SOMEWHERE}/traits": "GET, PUT, DELETE", "resource_classes": "GET, POST",
    "resource_classes/CUSTOM_X": "GET, PUT, DELETE", "traits": "GET", "traits/CUSTOM_X": "GET, PUT, DELETE", "allocations": "POST",
    f"allocations/{SOMEWHERE}": "GET, PUT, DELETE", "allocation_candidates": "GET", "usages": "GET", "reshaper": "POST",
}


@pytest.mark.parametrize("path", ["", "?x=1"])
def test_the_root_tells_the_versions_to_anybody(nobody: Speaker, path: str) -> None:
    answer = nobody.get(path, at="")
    assert answer.ok() == {"versions": [{
        "id": "v1.0", "min_version": "1.0", "max_version": NEWEST, "status": "CURRENT", "links": [{"rel": "self", "href": ""}],
    }]}
    assert "Last-Modified" not in answer.headers
    assert nobody.get("", at="1.15").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", [*ADDRESSES, "nowhere", "resource_providers/x/y/z"])
def test_all_else_needs_a_token(nobody: Speaker, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        if (method, path) == ("GET", ""):
            continue
        answer = nobody(method, path)
        answer.refused(401)
        assert answer.headers["WWW-Authenticate"] == 'Keystone uri="http://127.0.0.1:8600/identity/v3"'


@pytest.mark.parametrize(("asked", "spoken"), [("", "1.0"), ("1.0", "1.0"), ("1.7", "1.7"), ("latest", NEWEST), (NEWEST, NEWEST)])
def test_the_version_that_was_asked_for_is_told(placement: Speaker, asked: str, spoken: str) -> None:
    answer = placement.get(PROVIDERS, at=asked)
    assert answer.status == 200 and answer.headers["OpenStack-API-Version"] == f"placement {spoken}"


def test_a_version_for_another_service_is_not_for_this_one(placement: Speaker) -> None:
    answer = placement.get(PROVIDERS, at="", headers={"OpenStack-API-Version": "compute 2.90"})
    assert answer.headers["OpenStack-API-Version"] == "placement 1.0"
    answer = placement.get(PROVIDERS, at="", headers={"OpenStack-API-Version": "compute 2.90, placement 1.5"})
    assert answer.headers["OpenStack-API-Version"] == "placement 1.5"


@pytest.mark.parametrize("wanted", ["0.9", "1.40", "2.0"])
def test_a_version_that_is_not_spoken_is_refused_with_those_that_are(placement: Speaker, wanted: str) -> None:
    answer = placement.get(PROVIDERS, at=wanted)
    answer.refused(406, "")
    [error] = answer.json["errors"]
    assert (error["min_version"], error["max_version"]) == ("1.0", NEWEST)


@pytest.mark.parametrize("wanted", ["1", "one.two", "1.2.3", "newest"])
def test_what_is_no_version_is_refused(placement: Speaker, wanted: str) -> None:
    placement.get(PROVIDERS, at=wanted).refused(400, "")


@pytest.mark.parametrize(("path", "allowed"), ADDRESSES.items())
def test_a_wrong_method_is_told_the_right_ones(placement: Speaker, path: str, allowed: str) -> None:
    for method in sorted({"GET", "POST", "PUT", "PATCH", "DELETE"} - set(allowed.split(", "))):
        answer = placement(method, path, headers={"Content-Type": "application/json"})
        answer.refused(405)
        heads = ", HEAD" if "GET" in allowed else ""
        assert answer.headers["Allow"] == f"{allowed}{heads}, OPTIONS"


@pytest.mark.parametrize("path", ["nowhere", "resource_providers/x", f"resource_providers/{SOMEWHERE}/nothing", "v1.0", "traits/A/B"])
def test_an_unknown_address_is_not_found(placement: Speaker, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        placement(method, path).refused(404)
    placement.get(path, at="1.22").refused(404, "")


@pytest.mark.parametrize(("version", "code"), [("1.22", ""), ("1.23", "placement.undefined_code")])
def test_refusals_have_a_code_since_1_23(placement: Speaker, version: str, code: str) -> None:
    placement.get(f"{PROVIDERS}/{SOMEWHERE}", at=version).refused(404, code)
    placement.post(PROVIDERS, b"{", at=version).refused(400, code)
    placement.provider("twice")
    placement.post(PROVIDERS, {"name": "twice"}, at=version).refused(409, code and "placement.duplicate_name")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PROVIDERS), ("PUT", f"{PROVIDERS}/{SOMEWHERE}"), ("PUT", f"{PROVIDERS}/{SOMEWHERE}/inventories"),
        ("POST", f"{PROVIDERS}/{SOMEWHERE}/inventories"), ("PUT", f"{PROVIDERS}/{SOMEWHERE}/inventories/VCPU"),
        ("PUT", f"{PROVIDERS}/{SOMEWHERE}/aggregates"), ("PUT", f"{PROVIDERS}/{SOMEWHERE}/traits"), ("POST", "resource_classes"),
        ("POST", "allocations"), ("PUT", f"allocations/{SOMEWHERE}"), ("POST", "reshaper"),
    ],
)
def test_a_body_is_json_and_says_so(placement: Speaker, method: str, path: str) -> None:
    assert "text/plain" in placement(method, path, b"{}", content_type="text/plain").refused(415)
    placement(method, path, content_type="").refused(415)
    assert "content-type header required" in placement(method, path, b"{}", content_type="").refused(400)
    for body in (b" ", b"{", b"\xff", b"nothing"):
        assert placement(method, path, body).refused(400).startswith("Malformed JSON")
    placement(method, path, b'{"name": "\\ud800"}').refused(400)
    for body in (b"null", b"7", b'"x"', b'{"unknown": 1}', b"[1]"):
        assert placement(method, path, body).refused(400).startswith("JSON does not validate")


def test_a_body_needs_its_type_also_where_none_is_read(placement: Speaker) -> None:
    assert "content-type header required" in placement("PUT", "traits/CUSTOM_X", b"{}", content_type="").refused(400)
    placement("PUT", "traits/CUSTOM_X", content_type="").ok(201)


@pytest.mark.parametrize("length", ["many", "-1", "1.5"])
def test_a_length_is_a_number(placement: Speaker, length: str) -> None:
    assert "content-length" in placement.post(PROVIDERS, {"name": "one"}, CONTENT_LENGTH=length).refused(400)


@pytest.mark.parametrize("path", [PROVIDERS, "resource_classes", "traits", f"allocations/{SOMEWHERE}", "allocation_candidates?resources=VCPU:1"])
def test_answers_are_json_or_nothing(placement: Speaker, path: str) -> None:
    assert placement.get(path, headers={"Accept": "text/plain"}).refused(406) == "Only application/json is provided"
    for accepted in ("application/json", "*/*", "text/plain, application/*"):
        assert placement.get(path, headers={"Accept": accepted}).headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "path", [PROVIDERS, "resource_classes", "resource_classes/VCPU", "traits", "traits/HW_CPU_X86_AVX2", f"allocations/{SOMEWHERE}", "usages?project_id=x"],
)
def test_answers_say_their_age_since_1_15(placement: Speaker, path: str) -> None:
    early, late = placement.get(path, at="1.14"), placement.get(path, at="1.15")
    assert "Last-Modified" not in early.headers and early.headers.get("Cache-Control") != "no-cache"
    assert late.headers["Last-Modified"].endswith("GMT") and late.headers["Cache-Control"] == "no-cache"


def test_head_is_get_without_a_body(placement: Speaker) -> None:
    answer = placement("HEAD", PROVIDERS)
    assert answer.status == 200 and answer.content == b""


def test_members_look_at_nothing_but_what_their_project_uses(member: Keystone) -> None:
    speaker, key = Speaker(member.token), str(uuid.uuid4())
    for path in (PROVIDERS, f"{PROVIDERS}/{key}", f"{PROVIDERS}/{key}/inventories", "traits", "resource_classes", f"allocations/{key}"):
        assert "placement.provider.list" in speaker.get(path).refused(403)
    assert "placement.candidate.list" in speaker.get("allocation_candidates?resources=VCPU:1").refused(403)
    assert "placement.provider.create" in speaker.post(PROVIDERS, {"name": "x"}).refused(403)


def test_a_reader_of_the_system_changes_nothing(auditor: Keystone, placement: Speaker) -> None:
    key, speaker = placement.provider("one", VCPU=1), Speaker(auditor.token)
    for path in (PROVIDERS, f"{PROVIDERS}/{key}", f"{PROVIDERS}/{key}/inventories", f"{PROVIDERS}/{key}/usages", "traits", f"usages?project_id={key}"):
        speaker.get(path).ok()
    before = placement.get(PROVIDERS).ok()
    speaker.delete(f"{PROVIDERS}/{key}").refused(403)
    speaker.put(f"{PROVIDERS}/{key}", {"name": "two"}).refused(403)
    speaker.delete(f"{PROVIDERS}/{key}/inventories").refused(403)
    speaker.put(f"{PROVIDERS}/{key}/aggregates", {"aggregates": [], "resource_provider_generation": 1}).refused(403)
    speaker.delete(f"{PROVIDERS}/{key}/traits").refused(403)
    speaker.put("traits/CUSTOM_X").refused(403)
    speaker.put("resource_classes/CUSTOM_X").refused(403)
    speaker.delete(f"allocations/{key}").refused(403)
    assert placement.get(PROVIDERS).ok() == before


def test_another_clouds_service_has_the_role_for_that(placement: Speaker, red: Project) -> None:
    """As that cloud's services are set up: a token for a project; the role is on the system."""
    user = make_user("nova", red)
    speaker, key = Speaker(signed_in(user, of(red)).token), placement.provider("one", VCPU=8)
    body = claims({key: {"VCPU": 1}})
    speaker.put(f"allocations/{uuid.uuid4()}", body).refused(403)
    give(user, "service")
    speaker.put(f"allocations/{uuid.uuid4()}", body).ok(204)
    speaker.get("allocation_candidates?resources=VCPU:1").ok()
    inventories = {key: {"inventories": {"VCPU": {"total": 9}}, "resource_provider_generation": placement.generation(key)}}
    speaker.post("reshaper", {"inventories": inventories, "allocations": {}}).ok(204)


def test_a_reader_sees_what_its_own_project_uses(placement: Speaker, member: Keystone, red: Project) -> None:
    placement.claim(placement.provider("one", VCPU=8), VCPU=3, project=str(red.pk))
    speaker = Speaker(member.token)
    for project in (str(red.pk), red.pk.hex):
        assert speaker.get(f"usages?project_id={project}", at="1.37").ok() == {"usages": {"VCPU": 3}}
    for project in (str(uuid.uuid4()), "another-cloud", ""):
        speaker.get(f"usages?project_id={project}").refused(403 if project else 400)


def test_what_is_refused_before_a_view_has_the_same_shape(placement: Speaker, settings: LazySettings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    assert "bytes" in placement.post(PROVIDERS, {"name": "a long name"}).refused(413)
    placement.post(PROVIDERS, {"name": "a long name"}, at="1.22").refused(413, "")
    placement.post(PROVIDERS, {"name": "a long name"}, at="9.9").refused(413, "")


def test_a_bug_has_the_same_shape(placement: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.placement import selectors

    monkeypatch.setattr(selectors, "find", lambda **_: 1 / 0)
    placement.get(PROVIDERS).refused(500)
