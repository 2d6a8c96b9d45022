"""When it synchronises, and when it stops before harm is done: answers that cannot be meant, failures, thousands of users."""

import threading
import time
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.identity.models import DirectorySync, GroupMember, Project, User
from apps.identity.services import directory as directory_service
from tests.support.cloud import refusal
from tests.support.directory import Directory, members, sync, users
from tests.support.fixtures import Time
from tests.support.slapd import GROUPS, PEOPLE, READER_PASSWORD, STAFF, SUFFIX, person


def test_an_empty_answer_puts_nobody_out(directory: Directory) -> None:
    for name in ("ann", "bob"):
        directory.person(name)
    sync()
    directory.settings(ldap_user_filter="(uid=nobody)")
    error = refusal(sync)
    assert (error.code, error.facts) == ("directory.too_many", {"going": 2, "of": 2})
    assert users() == {"ann": "in", "bob": "in"}
    assert "--force" in error.message


def test_more_than_the_operator_believes_stops_the_sync_unless_it_is_forced(directory: Directory) -> None:
    entries = [directory.person(f"user{number:02}") for number in range(24)]
    directory.group("engineers", *entries)
    sync()
    for entry in entries[:13]:
        directory.delete(entry)
    assert refusal(sync).code == "directory.too_many"
    assert set(users().values()) == {"in"} and len(members("engineers")) == 24
    assert sync(dry_run=True, force=True)["users_disabled"] == 13
    assert set(users().values()) == {"in"}
    directory.settings(ldap_most_disabled_percent=60)
    assert sync()["users_disabled"] == 13
    assert len(members("engineers")) == 11
    directory.settings(ldap_most_disabled_percent=50)
    for entry in entries[13:]:
        directory.delete(entry)
    assert refusal(sync).code == "directory.too_many"
    assert sync(force=True)["users_disabled"] == 11


def test_many_memberships_do_not_vanish_at_once_either(directory: Directory) -> None:
    entries = [directory.person(f"user{number:02}") for number in range(12)]
    directory.group("engineers", *entries)
    sync()
    directory.settings(ldap_group_base=f"ou=none,{SUFFIX}")
    assert refusal(sync).code == "directory.search"
    directory.settings(ldap_group_base=STAFF)
    assert refusal(sync).code == "directory.too_many"
    assert len(members("engineers")) == 12
    assert sync(force=True)["members_removed"] == 12


def test_a_rehearsal_says_all_and_does_nothing(directory: Directory) -> None:
    ann, bob = directory.person("ann"), directory.person("bob")
    group = directory.group("engineers", ann, bob)
    counts = {"users_found": 2, "users_created": 2, "groups_found": 1, "groups_created": 1, "members_added": 2}
    assert sync(dry_run=True) == counts
    assert not Project.objects.filter(name="ldap").exists() and not DirectorySync.objects.exists()
    assert sync() == counts
    directory.delete(ann)
    directory.rename(bob, "uid=robert")
    directory.rename(group, "cn=builders")
    before = Record.objects.count()
    foreseen = sync(dry_run=True)
    assert users() == {"ann": "in", "bob": "in"} and Record.objects.count() == before
    assert foreseen == sync()


def test_a_sync_that_fails_changes_no_user_and_says_why(directory: Directory, time_machine: Time) -> None:
    directory.person("ann")
    sync()
    directory.settings(ldap_bind_password="wrong")
    assert refusal(sync).code == "directory.bind"
    directory.settings(ldap_bind_password=READER_PASSWORD)
    directory.stop()
    assert refusal(sync).code == "directory.connect"
    assert users() == {"ann": "in"}
    row = DirectorySync.objects.get()
    assert row.error["code"] == "directory.connect" and row.good_at is not None and row.holder == ""
    directory.start()
    sync()
    row.refresh_from_db()
    assert row.error is None


def test_a_server_that_dies_in_the_middle_puts_nobody_out(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.identity.directory import connection as ldap_connection

    directory.stop()
    directory.load([(f"uid=user{number:04},{PEOPLE}", person(f"user{number:04}")) for number in range(60)])
    directory.start()
    monkeypatch.setattr(ldap_connection, "PAGE", 20)
    sync()
    real, seen = ldap_connection._whole, []

    def die_after_the_first_page(*args: object) -> object:
        seen.append(args)
        if len(seen) == 20:
            directory.stop(kill=True)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(ldap_connection, "_whole", die_after_the_first_page)
    assert refusal(sync).code == "directory.connect"
    assert set(users().values()) == {"in"} and len(users()) == 60


def test_thousands_are_read_in_pages_and_written_in_few_statements(directory: Directory) -> None:
    """The server gives this account 500 entries in one answer, and no more."""
    directory.stop()
    count = 2000
    names = [f"user{number:05}" for number in range(count)]
    directory.load([
        *((f"uid={name},{PEOPLE}", person(name)) for name in names),
        (f"cn=all,{GROUPS}", {"objectClass": "groupOfNames", "cn": "all", "member": [f"uid={name},{PEOPLE}" for name in names]}),
    ])
    directory.start()
    with CaptureQueriesContext(connection) as captured:
        assert sync() == {
            "users_found": count, "users_created": count, "groups_found": 1, "groups_created": 1, "members_added": count,
        }
    assert len(captured) < 150
    assert GroupMember.objects.count() == User.objects.filter(source="ldap").count() == count
    with CaptureQueriesContext(connection) as captured:
        assert sync() == {"users_found": count, "groups_found": 1}
    assert len(captured) < 30


def test_one_sync_at_a_time_and_a_dead_one_is_succeeded(directory: Directory, time_machine: Time) -> None:
    from apps.identity.services.directory_run import Run

    directory.person("ann")
    dead = Run(dry_run=False, force=False)
    dead.start()
    assert refusal(sync).code == "directory.running"
    time_machine.forward(30)
    assert sync()["users_created"] == 1

    def go_on() -> None:
        with dead.step():
            raise AssertionError("it has no say any more")

    assert refusal(go_on).code == "directory.overtaken"
    dead.end()
    assert DirectorySync.objects.get().result["users_created"] == 1


def test_the_periodic_one_comes_in_its_time_and_survives_failures(directory: Directory, time_machine: Time) -> None:
    sync_if_due = directory_service.sync_if_due
    directory.person("ann")
    assert sync_if_due() is not None
    assert sync_if_due() is None
    time_machine.forward(15)
    assert sync_if_due() is None
    time_machine.forward(16)
    directory.stop()
    assert sync_if_due() is None and DirectorySync.objects.get().error["code"] == "directory.connect"
    directory.start()
    assert sync_if_due() is None
    time_machine.forward(31)
    assert sync_if_due() is not None and DirectorySync.objects.get().error is None


def test_the_ticker_does_it_by_itself_and_when_it_is_asked_for(directory: Directory) -> None:
    from apps.operations.services import ticker

    def came(name: str) -> bool:
        ends = time.monotonic() + 40
        while not User.objects.filter(username=name).exists() and time.monotonic() < ends:
            stop.wait(0.05)
        return User.objects.filter(username=name).exists()

    def tick() -> None:
        ticker.run(stop)
        connection.close()

    directory.person("ann")
    stop = threading.Event()
    with mock.patch.object(ticker, "DUTIES", [duty for duty in ticker.DUTIES if duty.name in ("directory", "sign-in leftovers")]):
        thread = threading.Thread(target=tick)
        thread.start()
        try:
            assert came("ann")
            directory.person("bob")
            directory_service.ask_for_sync(actor=SYSTEM)
            assert came("bob")
        finally:
            stop.set()
            thread.join(20)
    assert not thread.is_alive()
