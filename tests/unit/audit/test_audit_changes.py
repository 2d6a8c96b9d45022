"""What goes into a record: before and after, plain, bounded, and never a secret."""

import json
import math
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import pytest

from apps.audit.changes import MASK, MOST_BYTES, changed, text, tidy

SECRET = "correct horse battery staple"


class Colour(StrEnum):
    RED = "red"


def after(value: Any, name: str = "field") -> Any:
    """What becomes of one value."""
    [[before, found]] = tidy({name: value}).values()
    assert before is None
    return found


def test_only_what_differs_is_a_change() -> None:
    row = SimpleNamespace(name="a", size=1, tags=["x"])
    assert changed(row, name="b", size=1, tags=["x"]) == {"name": ["a", "b"]}
    assert changed(row, name="a") == {}


def test_every_change_has_a_before_and_an_after() -> None:
    assert tidy({"name": ["a", "b"], "size": 5, "tags": ("x", "y"), "gone": ["z", None]}) == {
        "name": ["a", "b"], "size": [None, 5], "tags": [None, ["x", "y"]], "gone": ["z", None],
    }
    assert tidy(None) == tidy({}) == tidy({"zone": None, "key": [None, None]}) == {}


@pytest.mark.parametrize(
    "name",
    [
        "password", "Password", "passwd", "user_password", "passphrase", "passcode", "secret", "secret_key", "client_secret", "token",
        "access_token", "X-Auth-Token", "blob", "totp", "totp_code", "otp", "user_otp", "seed", "private_key", "privateKey",
        "credential", "digest", "signature", "cookie", "Authorization", "user_data", "userData",
    ],
)
def test_what_a_secret_may_be_called_is_masked_wherever_it_is(name: str) -> None:
    told = json.dumps([tidy({name: SECRET}), tidy({name: [SECRET, SECRET + "2"]}), tidy({"a": {"b": [{name: SECRET}]}})])
    told += json.dumps([tidy({name: (SECRET,)}), tidy({name: {"inner": SECRET}}), tidy({name: 123456})])
    assert SECRET not in told and "inner" not in told and "123456" not in told
    assert told.count(MASK) == 7


def test_that_a_secret_was_set_is_told() -> None:
    assert tidy({"password": [None, SECRET]}) == {"password": [None, MASK]}
    assert tidy({"totp": [True, False]}) == {"totp": [True, False]}


@pytest.mark.parametrize("name", ["token_id", "password_expires_at", "access_rules", "key_id", "hotplug", "seeded", "credential_type"])
def test_what_is_only_about_a_secret_is_told(name: str) -> None:
    assert after("plain", name) == "plain"


@pytest.mark.parametrize(
    "value",
    [
        "cs1_" + "A" * 43, "use cs1_" + "A" * 43 + " here", "Bearer abc.def", "x: -----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\nBBBB",
        "pbkdf2_sha256$1000$AAAA$BBBB", "argon2$argon2id$v=19$AAAA$BBBB",
    ],
)
def test_what_looks_like_a_secret_is_masked_under_any_name(value: str) -> None:
    for told in (after(value), after({"x": [value]}), after({value: 1}), text(value, 255)):
        assert MASK in str(told)
        assert not any(part in str(told) for part in ("AAAA", "BBBB", "abc.def"))


def test_all_kinds_of_values_become_json() -> None:
    key, moment = uuid.uuid4(), datetime(2026, 11, 20, tzinfo=UTC)
    assert after(key) == str(key)
    assert after(moment) == "2026-11-20T00:00:00+00:00"
    assert after(Colour.RED) == "red" and type(after(Colour.RED)) is str
    assert after({"b", "a"}) == ["a", "b"]
    assert after(b"\x00\x01") == "2 bytes"
    assert after(math.nan) == "nan" and after(2**80) == str(2**80)
    assert after(object()).startswith("<object")
    json.dumps(after({1: (None, True, 1.5)}), allow_nan=False)


def test_no_database_chokes_on_what_people_write() -> None:
    assert after("a\x00b\ud800c") == "a\ufffdb\ufffdc"
    assert text("\x00" * 3, 2) == "\ufffd…"


def test_a_record_stays_small_whatever_it_is_told() -> None:
    assert len(after("x" * 1_000_000)) == 200
    assert after(tuple(range(1000)))[-1] == "… 980 more"
    assert after({str(number): number for number in range(1000)})["…"] == "980 more"
    deep: Any = "end"
    for _ in range(500):
        deep = {"next": deep}
    assert "end" not in json.dumps(after(deep))
    huge = tidy({f"field{number}": "y" * 190 for number in range(1000)})
    assert len(huge) == 64 and set(map(tuple, huge.values())) == {(None, "…")}  # which fields, if not what
    assert len(json.dumps(huge)) < MOST_BYTES


def test_a_text_is_cut_to_its_column() -> None:
    assert text("abcdef", 6) == "abcdef"
    assert text("abcdefg", 6) == "abcde…"
