"""What the entries of a directory mean, as OpenLDAP and Active Directory write them."""

import dataclasses
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("ldap", reason="the extra `ldap` is not installed (scripts/bootstrap.sh --test does that)")

from apps.identity.directory import connection, entries, nesting
from apps.identity.directory.config import Config, _bases
from apps.identity.directory.entries import GroupEntry, Unfit, canonical

NOW = datetime(2026, 11, 20, tzinfo=UTC)
CONFIG = Config(
    urls=("ldap://localhost",), start_tls=False, ca_file=None, bind_dn="", bind_password="hidden", user_bases=("dc=x",),
    user_filter="(uid=*)", name_attribute="uid", email_attribute="mail", id_attribute="entryUUID",
    enabled_attributes=("pwdAccountLockedTime", "shadowExpire", "userAccountControl", "nsAccountLock"), group_bases=("dc=x",),
    group_filter="(cn=*)", group_type="groupOfNames", member_attribute="member", group_name_attribute="cn", domain="ldap", timeout_s=1.0,
)


def user(config: Config = CONFIG, **attributes: Any) -> entries.UserEntry:
    given = {"uid": b"ann", "entryUUID": b"1", **attributes}
    listed = {name.lower(): value if isinstance(value, list) else [value] for name, value in given.items() if value is not None}
    return entries.user_entry(config, "uid=ann,dc=x", listed, NOW)


def state(*enabled: str, **attributes: bytes) -> str:
    return user(dataclasses.replace(CONFIG, enabled_attributes=enabled or CONFIG.enabled_attributes), **attributes).state


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, ""),
        ({"pwdAccountLockedTime": b"000001010000Z"}, "locked"),
        ({"pwdAccountLockedTime": b"20261120000000Z"}, "locked"),
        ({"shadowExpire": b"-1"}, ""),
        ({"shadowExpire": b"0"}, "expired"),
        ({"shadowExpire": b"20777"}, "expired"),  # today
        ({"shadowExpire": b"20778"}, ""),
        ({"userAccountControl": b"512"}, ""),
        ({"userAccountControl": b"514"}, "disabled"),
        ({"userAccountControl": b"66050"}, "disabled"),
        ({"userAccountControl": b"512", "accountExpires": b"0"}, ""),
        ({"userAccountControl": b"512", "accountExpires": b"9223372036854775807"}, ""),
        ({"userAccountControl": b"512", "accountExpires": b"135000000000000000"}, ""),
        ({"userAccountControl": b"512", "accountExpires": b"132000000000000000"}, "expired"),
        ({"nsAccountLock": b"TRUE"}, "disabled"),
        ({"nsAccountLock": b"false"}, ""),
    ],
)
def test_why_the_directory_keeps_somebody_out(attributes: dict[str, bytes], expected: str) -> None:
    assert state(**attributes) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("enabled", b"TRUE", ""), ("enabled", b"FALSE", "disabled"), ("!blocked", b"yes", "disabled"), ("!blocked", b"0", "")],
)
def test_a_boolean_of_the_sites_own_may_say_it(name: str, value: bytes, expected: str) -> None:
    assert state(name, **{name.lstrip("!"): value}) == expected
    assert state(name) == ""


@pytest.mark.parametrize(("name", "value"), [("shadowExpire", b"soon"), ("userAccountControl", b"x"), ("enabled", b"perhaps")])
def test_a_value_that_says_nothing_lets_nobody_in(name: str, value: bytes) -> None:
    with pytest.raises(Unfit, match=name):
        state(name, **{name: value})


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"uid": None}, "has no uid"), ({"uid": b"  "}, "has no uid"), ({"uid": b"a\nb"}, "control character"),
        ({"uid": b"x" * 256}, "1 to 255"), ({"entryUUID": None}, "has no entryUUID"), ({"entryUUID": b""}, "cannot be used"),
    ],
)
def test_entries_that_cannot_be_users(attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(Unfit, match=words):
        user(**attributes)


def test_of_several_values_the_first_counts_and_odd_addresses_are_left_out() -> None:
    found = user(uid=[b"ann", b"anna"], mail=[b"a@example.org", b"b@example.org"])
    assert (found.name, found.email) == ("ann", "a@example.org")
    assert user(mail=b"x" * 255).email == user(mail=b"a\x00b").email == user(mail=None).email == ""
    assert user(uid=b"\xff").name == "\\xff"


def test_the_id_is_what_stays() -> None:
    guid = uuid.uuid4()
    assert user(dataclasses.replace(CONFIG, id_attribute="objectGUID"), objectguid=guid.bytes_le).key == str(guid)
    assert user(entryUUID=b"D1CAE608-797D-1041-9FCE-3BB356E683EC").key == "d1cae608-797d-1041-9fce-3bb356e683ec"
    by_dn = dataclasses.replace(CONFIG, id_attribute="dn")
    assert user(by_dn).key == "uid=ann,dc=x"
    long = entries.user_entry(by_dn, f"uid={'x' * 600},dc=x", {"uid": [b"ann"]}, NOW).key
    assert long.startswith("sha256=") and len(long) < 100


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("uid=ann,dc=x", "UID=Ann , DC=X"), ("cn=a\\,b,dc=x", "cn=a\\2Cb,dc=x"), ("cn=müller,dc=x", "cn=M\\C3\\BCLLER,dc=x"),
        ("cn=a+uid=b,dc=x", "uid=b+cn=a,dc=x"), ("cn=a b,dc=x", "cn=a  b,dc=x"), ("cn=e\u0301,dc=x", "cn=\u00e9,dc=x"), ("cn=STRASSE,dc=x", "cn=straße,dc=x"),
    ],
)
def test_a_dn_is_the_same_however_it_is_written(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


def test_what_is_no_dn_and_what_is_another() -> None:
    assert canonical("cn=a\\,b,dc=x") != canonical("cn=a,cn=b,dc=x")
    with pytest.raises(Unfit, match="no DN"):
        canonical("nonsense")
    group = entries.group_entry(CONFIG, "cn=g,dc=x", {"cn": [b"g"], "entryuuid": [b"1"], "member": [b"", b"nonsense", b"uid=A,dc=x"]})
    assert group.members == ("uid=a,dc=x",)


def groups(**members: str) -> list[GroupEntry]:
    return [GroupEntry(name.upper(), name, name, tuple(found.split())) for name, found in members.items()]


def test_groups_in_groups_have_the_users_of_all_below() -> None:
    found = nesting.closures(groups(a="x b", b="y c nobody", c="z a", d="d", e="d x"), {"x": "X", "y": "Y", "z": "Z"})
    assert found["A"] == found["B"] == found["C"] == {"X", "Y", "Z"}
    assert found["D"] == set() and found["E"] == {"X"}


def test_long_chains_of_groups_come_to_an_end() -> None:
    chain = [GroupEntry(str(n), f"g{n}", f"g{n}", (f"g{n + 1}",)) for n in range(2000)]
    found = nesting.closures([*chain[-50:], GroupEntry("last", "g2000", "g2000", ("x",))], {"x": "X"})
    assert all(users == {"X"} for users in found.values())


class Ranges:
    """Active Directory, as far as it gives 1,500 members at a time."""

    def __init__(self, count: int) -> None:
        self.values = [str(number).encode() for number in range(count)]
        self.asked: list[str] = []

    def part(self, start: int, most: int = 1500) -> dict[str, list[bytes]]:
        end = start + most
        last = "*" if end >= len(self.values) else str(end - 1)
        return {f"member;range={start}-{last}": self.values[start:end]}

    def search_s(self, dn: str, scope: int, attrlist: list[str]) -> list[tuple[str, dict[str, list[bytes]]]]:
        self.asked += attrlist
        return [(dn, self.part(int(attrlist[0].partition("=")[2].partition("-")[0])))]


def test_long_lists_of_members_are_fetched_in_ranges() -> None:
    server = Ranges(4000)
    found = connection._whole(server, "cn=g,dc=x", {"cn": [b"g"], "member": [], **server.part(0)})
    assert found == {"cn": [b"g"], "member": server.values}
    assert server.asked == ["member;range=1500-*", "member;range=3000-*"]


def test_bases_are_separated_by_semicolons_that_are_not_escaped() -> None:
    assert _bases("ou=a,dc=x; ou=b\\;c,dc=x ;") == ("ou=a,dc=x", "ou=b\\;c,dc=x")


def test_the_password_is_in_no_text_of_the_settings() -> None:
    assert "hidden" not in repr(CONFIG)


@pytest.mark.parametrize(
    ("urls", "start_tls", "expected"),
    [
        (("ldap://ldap.example.org",), False, True), (("ldap://ldap.example.org",), True, False), (("ldaps://a", "ldaps://b"), False, False),
        (("ldap://localhost:389",), False, False), (("ldap://127.0.0.1",), False, False), (("ldapi:///",), False, False),
        (("ldap://localhost.example.org",), False, True), (("ldaps://a", "ldap://b"), False, True),
    ],
)
def test_what_others_could_listen_to_is_known(urls: tuple[str, ...], start_tls: bool, expected: bool) -> None:
    assert dataclasses.replace(CONFIG, urls=urls, start_tls=start_tls).in_clear is expected
