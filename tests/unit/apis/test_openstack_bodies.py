"""Bodies of OpenStack calls: what is taken, what is refused, and how the refusal names the field."""

import uuid
from typing import Any

import pytest

from apis.openstack.common import schema
from apis.openstack.common.schema import UNSET, Name64, Struct, UnsetType
from apps.common.errors import CloudError, Invalid, NotFound
from apps.identity.builtin import DEFAULT_DOMAIN_ID


class Project(Struct):
    name: Name64
    enabled: bool | UnsetType = UNSET
    description: str | UnsetType | None = UNSET


class Strict(Struct, forbid_unknown_fields=True):
    name: Name64


class Change(Struct):
    name: Name64 | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


def refusal(data: dict[str, Any], kind: type[Struct] = Project) -> CloudError:
    with pytest.raises(Invalid) as caught:
        schema.convert(data, kind, "project")
    return caught.value


def test_what_is_left_out_is_told_from_what_is_null() -> None:
    read = schema.convert({"project": {"name": "red", "description": None}}, Project, "project")
    assert schema.given(read) == {"name": "red", "description": None}


def test_keys_that_nobody_knows_are_not_looked_at() -> None:
    read = schema.convert({"project": {"name": "red", "colour": {"deep": [1]}}}, Project, "project")
    assert schema.given(read) == {"name": "red"}


def test_strict_bodies_refuse_keys_that_nobody_knows() -> None:
    error = refusal({"project": {"name": "red", "colour": 1}}, Strict)
    assert "colour" in error.message and error.field == "project"


@pytest.mark.parametrize("given", ["True", "true", 1, 0, None, "yes"])
def test_only_true_and_false_are_flags(given: object) -> None:
    error = refusal({"project": {"name": "red", "enabled": given}})
    assert error.field == "project.enabled"
    assert error.message.startswith("Invalid input for field/attribute project.enabled.")


@pytest.mark.parametrize("name", ["", " ", "\t \n", "x" * 65, "a\x07b", None, 7, ["red"]])
def test_names_show_something_and_are_not_too_long(name: object) -> None:
    assert refusal({"project": {"name": name}}).field == "project.name"


@pytest.mark.parametrize("name", ["x", "x" * 64, " red project ", "größer", "名前", "a/b"])
def test_any_other_name_is_taken(name: str) -> None:
    assert schema.convert({"project": {"name": name}}, Project, "project").name == name


def test_a_missing_name_is_named() -> None:
    error = refusal({"project": {}})
    assert error.message == "project: 'name' is a required property"
    assert error.field == "project.name"


@pytest.mark.parametrize("data", [{}, {"project": None}, {"projekt": {"name": "red"}}])
def test_a_body_without_its_wrapper_is_told_what_is_expected(data: dict[str, Any]) -> None:
    assert refusal(data).message.startswith("Expecting to find project in request body. The server could not comply")


@pytest.mark.parametrize("inner", [[], "red", 5, [{"name": "red"}]])
def test_a_wrapper_holds_an_object(inner: object) -> None:
    assert "Expected 'object'" in refusal({"project": inner}).message


def test_no_value_is_repeated_in_a_refusal() -> None:
    error = refusal({"project": {"name": "red", "enabled": "secret-password"}})
    assert "secret-password" not in error.message


def test_a_change_of_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="non-empty"):
        schema.changes({"project": {}}, Change, "project", uuid.uuid4())


def test_a_change_may_repeat_the_id_and_not_change_it() -> None:
    thing = uuid.uuid4()
    for same in (str(thing), thing.hex):
        assert schema.changes({"project": {"id": same, "enabled": False}}, Change, "project", thing) == {"enabled": False}
    for other in (str(uuid.uuid4()), "nonsense", 7):
        with pytest.raises(Invalid, match="Cannot change ID"):
            schema.changes({"project": {"id": other}}, Change, "project", thing)


@pytest.mark.parametrize(
    "raw", [b"{", b"[1]", b'"text"', b"null", b"\xff", b'{"a": NaN}', b'{"a":"\\ud800"}', b"[" * 100_000]
)
def test_only_a_json_object_is_a_body(raw: bytes) -> None:
    with pytest.raises(Invalid, match="Expecting to find valid JSON in request body"):
        schema.json_object(raw, "application/json")


def test_no_body_is_an_empty_one() -> None:
    assert schema.json_object(b"", "text/plain") == {}


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "", "application/vnd.openstack+json"])
def test_json_comes_under_these_names(kind: str) -> None:
    assert schema.json_object(b'{"a": 1}', kind) == {"a": 1}


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded"])
def test_other_media_types_are_refused(kind: str) -> None:
    with pytest.raises(Invalid, match="Expecting to find application/json in Content-Type header"):
        schema.json_object(b'{"a": 1}', kind)


@pytest.mark.parametrize("raw", [rb'{"a":"\u0000"}', rb'{"\u0000":1}', rb'{"a":[{"b":"x\u0000"}]}'])
def test_the_character_nul_is_nowhere(raw: bytes) -> None:
    with pytest.raises(Invalid, match="NUL"):
        schema.json_object(raw, "application/json")


def test_a_written_out_escape_is_no_nul() -> None:
    assert schema.json_object(rb'{"a":"\\u0000"}', "application/json") == {"a": "\\u0000"}


def test_ids_come_with_and_without_dashes_and_by_the_name_of_the_default_domain() -> None:
    thing = uuid.uuid4()
    assert schema.id_of("user", str(thing)) == schema.id_of("user", thing.hex) == thing
    assert schema.id_of("domain", "default") == DEFAULT_DOMAIN_ID


@pytest.mark.parametrize("text", ["", "ann", "x" * 32, "x" * 10_000, "0" * 31, "{" + "0" * 32 + "}"])
def test_what_is_no_id_is_not_found(text: str) -> None:
    with pytest.raises(NotFound, match="Could not find user"):
        schema.id_of("user", text)


def test_services_get_ids_as_such_and_no_null() -> None:
    wanted: dict[str, Any] = {"description": None, "name": "red", "domain_id": "default", "parent_id": None, "enabled": False, "tags": []}
    assert schema.for_services(wanted, domain_id="domain", parent_id="project") == {
        "description": "", "name": "red", "domain_id": DEFAULT_DOMAIN_ID, "enabled": False, "tags": [],
    }
    assert schema.for_services({"email": None}, texts=("email",)) == {"email": ""}
    with pytest.raises(NotFound, match="Could not find domain: nothing"):
        schema.for_services({"domain_id": "nothing"}, domain_id="domain")
