"""What domains, projects, users and roles may consist of."""

from typing import Any

import pytest

from apps.common.errors import CloudError
from apps.identity import fields


def refused(call: Any, *args: Any, **more: Any) -> CloudError:
    with pytest.raises(CloudError) as caught:
        call(*args, **more)
    return caught.value


@pytest.mark.parametrize("tags", [[], ["a"], ["b", "a"], ["x" * 255], ["two words"], [str(n) for n in range(80)]])
def test_tags_come_back_sorted(tags: list[str]) -> None:
    assert fields.check_tags(tags) == sorted(tags)


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([""], "tag.invalid"), ([" "], "tag.invalid"), (["a/b"], "tag.invalid"), (["a,b"], "tag.invalid"), (["x" * 256], "tag.invalid"),
        (["\x00"], "tag.invalid"), (["\ud800"], "tag.invalid"), (["a", "b", "a"], "tag.twice"), ([str(n) for n in range(81)], "tag.too_many"),
    ],
)
def test_tags_that_nobody_could_look_for_are_refused(tags: list[str], code: str) -> None:
    assert refused(fields.check_tags, tags).code == code


def test_options_are_put_over_the_old_ones_and_null_takes_one_away() -> None:
    old = {"lock_password": True, "ignore_password_expiry": False}
    assert fields.merged(old, {"lock_password": None, "multi_factor_auth_enabled": True}, fields.OF_USERS) == {
        "ignore_password_expiry": False, "multi_factor_auth_enabled": True,
    }
    assert old == {"lock_password": True, "ignore_password_expiry": False}


@pytest.mark.parametrize("rules", [[], [["password"]], [["password", "totp"], ["application_credential"]]])
def test_rules_are_lists_of_lists_of_methods(rules: Any) -> None:
    assert fields.merged({}, {"multi_factor_auth_rules": rules}, fields.OF_USERS) == {"multi_factor_auth_rules": rules}


@pytest.mark.parametrize(
    "rules", [1, "password", {}, [1], [[]], [["password", "password"]], [["password"], ["password"]], [[1]], [[""]], [["x" * 65]], [["a"]] * 65],
)
def test_other_rules_are_refused(rules: Any) -> None:
    error = refused(fields.merged, {}, {"multi_factor_auth_rules": rules}, fields.OF_USERS)
    assert (error.code, error.field) == ("options.value", "options.multi_factor_auth_rules")


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        (None, False), ({}, False), ({"name": "x"}, False), ({"options": {}}, False), ({"options": {"immutable": True}}, False),
        ({"options": {"immutable": False}}, True), ({"name": "x", "options": {"immutable": None}}, True),
    ],
)
def test_what_is_immutable_is_left_alone_until_that_is_taken_back(changes: Any, free: bool) -> None:
    fields.check_mutable({}, changes, "project")
    fields.check_mutable({"immutable": False}, changes, "project")
    if free:
        fields.check_mutable({"immutable": True}, changes, "project")
    else:
        assert refused(fields.check_mutable, {"immutable": True}, changes, "project").code == "resource.immutable"


@pytest.mark.parametrize("text", ["x" * 4097, "a\x00b", "\udfff"])
def test_a_text_that_cannot_be_kept_is_refused(text: str) -> None:
    assert refused(fields.check_text, text).code == "text.invalid"


def test_a_text_may_have_lines() -> None:
    fields.check_text("one\ntwo\t" + "x" * 4000)
