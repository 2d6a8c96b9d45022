"""The audit trail: every change is in it exactly when it happened, and nothing takes it out again."""

import ast
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.audit.models import Record
from apps.audit.services import record
from apps.audit.services.record import Attempt, Entry
from apps.common import clock
from apps.common.context import SYSTEM
from apps.common.errors import Forbidden
from apps.compute.models import Instance, UnknownDomain
from apps.compute.services import audit, catalog, delete, power, strays, update
from apps.hosts.services import admission, enrol, zones
from apps.identity.permissions import TABLE
from apps.images.services import images, uploads
from apps.network.services import networks, subnets
from apps.operations.services import sweep
from apps.placement.services import inventories
from contracts.compute.v1 import DiskFormat
from tests.support.admin import KEY
from tests.support.cloud import Cloud
from tests.support.identity import make_actor, make_token, make_user
from tests.support.trail import write

ROOT = Path(__file__).parents[2]
# What is recorded and asks for no permission of the same name.
WITHOUT_PERMISSION = {"images.image.import", "images.image.upload", "compute.leak.repair", "identity.token.issue", "quotas.usage.repair"}


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MEDIA_ROOT", tmp_path / "images")


@pytest.fixture
def trail(cloud: Cloud) -> Callable[[], list[Record]]:
    """`trail()`: what was recorded since it was asked last, oldest first."""
    seen = [Record.objects.order_by("pk").last()]

    def since() -> list[Record]:
        rows = Record.objects.order_by("pk")
        found = list(rows.filter(pk__gt=seen[0].pk) if seen[0] else rows)
        seen[0] = found[-1] if found else seen[0]
        return found

    return since


# Append-only


def test_the_database_refuses_to_change_or_to_delete_a_record(cloud: Cloud) -> None:
    kept = write(name="kept")
    before = list(Record.objects.order_by("pk").values())
    key = kept._meta.pk.get_db_prep_value(kept.pk, connection)
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in Record._meta.concrete_fields)
    twin = f"INSERT INTO audit_record ({columns}) SELECT {columns} FROM audit_record WHERE id = %s"
    statements = [
        ("UPDATE audit_record SET name = 'x' WHERE id = %s", [key]),
        ("UPDATE audit_record SET user_name = ''", []),
        ("DELETE FROM audit_record WHERE id = %s", [key]),
        ("DELETE FROM audit_record", []),
    ]
    if connection.vendor == "postgresql":
        statements += [
            ("TRUNCATE audit_record", []),
            ("TRUNCATE audit_record CASCADE", []),
            (f"{twin} ON CONFLICT (id) DO UPDATE SET name = 'x'", [key]),
            ("WITH gone AS (DELETE FROM audit_record RETURNING id) SELECT count(*) FROM gone", []),
        ]
    else:
        statements += [
            (twin.replace("INSERT", "INSERT OR REPLACE", 1), [key]),
            (twin.replace("INSERT", "REPLACE", 1), [key]),
            ("UPDATE OR IGNORE audit_record SET name = 'x'", []),
            (f"{twin} ON CONFLICT (id) DO UPDATE SET name = 'x'", [key]),
        ]
    for statement, parameters in statements:
        with pytest.raises(IntegrityError, match="append-only"), connection.cursor() as cursor:
            cursor.execute(statement, parameters)
    assert list(Record.objects.order_by("pk").values()) == before


def test_nor_does_the_orm_get_around_it(cloud: Cloud) -> None:
    kept = write(name="kept")
    attempts: list[Callable[[], Any]] = [
        kept.delete, kept.save, lambda: Record.objects.update(name="x"), lambda: Record.objects.filter(pk=kept.pk).delete(),
        lambda: Record.objects.bulk_update([kept], ["name"]),
        lambda: Record.objects.bulk_create([kept], update_conflicts=True, update_fields=["name"], unique_fields=["id"]),
    ]
    for attempt in attempts:
        with pytest.raises(IntegrityError, match="append-only"):
            attempt()
    assert Record.objects.filter(name="kept").count() == 1


def test_emptying_the_database_by_django_fails(cloud: Cloud) -> None:
    write(name="kept")
    with pytest.raises(DatabaseError, match="append-only"):
        # What `manage.py flush` runs.
        connection.ops.execute_sql_flush(connection.ops.sql_flush(mock.Mock(SQL_TABLE=str, SQL_KEYWORD=str, SQL_FIELD=str), ["audit_record"]))
    assert Record.objects.filter(name="kept").exists()


def test_the_way_into_the_archive_is_as_the_documentation_says(cloud: Cloud) -> None:
    """Its owner lifts the triggers, deletes, and puts them back as they were: all in one transaction."""
    block = _documented("PostgreSQL" if connection.vendor == "postgresql" else "SQLite")
    write(name="old")
    write(name="new")
    limit = Record.objects.get(name="new").at.isoformat(sep=" ", timespec="microseconds")[:26]
    script = block.replace("2026-01-01 00:00", limit)
    assert script != block
    execute(script)
    assert not Record.objects.filter(name="old").exists()
    assert Record.objects.filter(name="new").exists()
    test_the_database_refuses_to_change_or_to_delete_a_record(cloud)


@pytest.mark.skipif("sqlite" in settings.DATABASES["default"]["ENGINE"], reason="SQLite has no accounts")
def test_an_account_that_does_not_own_the_table_cannot_lift_the_triggers(cloud: Cloud) -> None:
    """With the two accounts of the documentation."""
    write(name="kept")
    execute(_documented("as the owner, once"))
    try:
        execute("SET ROLE cloudsite_app;")
        write(name="by the other account")
        networks.create(actor=cloud.actor, name="back")
        for statement in (
            "ALTER TABLE audit_record DISABLE TRIGGER ALL", "DROP TRIGGER audit_record_append_only ON audit_record",
            "SET session_replication_role = replica", "DROP FUNCTION audit_record_append_only() CASCADE", "DROP TABLE audit_record",
            "DELETE FROM audit_record", "UPDATE audit_record SET name = ''", "TRUNCATE audit_record",
        ):
            with pytest.raises(DatabaseError, match=r"denied|must be owner|append-only"):
                execute(f"{statement};")
    finally:
        execute("RESET ROLE;\nDROP OWNED BY cloudsite_app;\nDROP ROLE cloudsite_app;")
    assert Record.objects.filter(name__in=["kept", "by the other account"]).count() == 2


def _documented(title: str) -> str:
    """The SQL under this comment in the documentation."""
    text = (ROOT / "docs/operations.md").read_text().split("## Audit trail")[1].split("\n## ")[0]
    return text.split(f"-- {title}")[1].split("\n", 1)[1].split("```")[0]


def execute(script: str) -> None:
    """Statements end with a semicolon at the end of a line."""
    with connection.cursor() as cursor:
        for statement in script.strip().removesuffix(";").split(";\n"):
            cursor.execute(statement)


# In the transaction of the change


def test_a_change_that_is_rolled_back_leaves_no_record(cloud: Cloud, trail: Callable[[], list[Record]]) -> None:
    with pytest.raises(RuntimeError, match="no more"), transaction.atomic():
        networks.create(actor=cloud.actor, name="back")
        raise RuntimeError("no more")
    assert trail() == []


def test_a_record_that_cannot_be_written_takes_the_change_back(cloud: Cloud) -> None:
    with mock.patch.object(record, "insert_rows", side_effect=DatabaseError("disk full")), pytest.raises(DatabaseError):
        networks.create(actor=cloud.actor, name="back")
    assert [each.name for each in type(cloud.network).objects.filter(project_id=cloud.project.pk)] == ["default"]


def test_nothing_is_recorded_outside_of_a_transaction(cloud: Cloud) -> None:
    with pytest.raises(RuntimeError, match="in the transaction"):
        record.write(cloud.actor, "compute.instance.update", "instance", uuid.uuid4())


@pytest.mark.parametrize("count", [1, 7, 500])
def test_many_records_are_one_statement(cloud: Cloud, count: int) -> None:
    shared = {"flavor": "small"}
    entries = [Entry(resource_id=uuid.uuid4(), name=f"web-{number}", project_id=cloud.project.pk, changes=shared) for number in range(count)]
    with transaction.atomic(), CaptureQueriesContext(connection) as told:
        record.write_many(cloud.actor, "compute.instance.create", "instance", entries)
    assert len(told) == 1
    rows = Record.objects.filter(action="compute.instance.create").order_by("pk")
    assert [(row.resource_id, row.name) for row in rows] == [(str(each.resource_id), each.name) for each in entries]
    assert {json.dumps(row.changes) for row in rows} == {'{"flavor": [null, "small"]}'}


def test_a_refusal_is_recorded_though_all_else_is_rolled_back(cloud: Cloud) -> None:
    attempt = Attempt(action="compute.instance.delete", resource_type="instance", resource_id="1", method="DELETE", path="/x")
    try:
        with transaction.atomic():
            write(name="rolled back")
            raise Forbidden("policy.forbidden", "This needs the role member.")
    except Forbidden as error:
        record.refused(error, attempt, actor=cloud.actor)
    last = Record.objects.order_by("pk").last()
    assert (last.decision, last.code, last.reason) == ("refused", "policy.forbidden", "This needs the role member.")
    assert (last.user_id, last.project_id, last.actor_project_id) == (cloud.actor.user_id, cloud.project.pk, cloud.project.pk)
    assert not Record.objects.filter(name="rolled back").exists()


def test_a_refusal_that_cannot_be_recorded_disturbs_nobody(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    with mock.patch.object(record, "insert_rows", side_effect=DatabaseError("disk full")):
        record.refused(Forbidden("policy.forbidden", "No."), Attempt(action="x"), actor=cloud.actor)
    assert "not in the audit trail" in caplog.text
    record.refused(Forbidden("c" * 500, "\x00" * 5000), Attempt(action="a" * 500, path="/" * 5000, user_name="\ud800" * 500))
    assert Record.objects.filter(decision="refused").count() == 1


# What is recorded


def facts(row: Record) -> tuple[str, str, str, str]:
    return row.action, row.resource_type, row.resource_id, row.name


def test_what_users_do_to_instances_is_recorded(cloud: Cloud, trail: Callable[[], list[Record]]) -> None:
    cloud.host()
    actor = make_actor(cloud.project, user=make_user("ann"), address="192.0.2.7", request_id="req-7")
    trail()
    made = cloud.create(actor=actor, name="web", count=2, metadata={"role": "web"}).instances
    first, second = trail()
    assert [facts(row) for row in (first, second)] == [
        ("compute.instance.create", "instance", str(each.pk), each.name) for each in made
    ]
    assert first.changes["flavor"] == [None, cloud.flavor.name] and first.changes["metadata"] == [None, {"role": "web"}]
    assert (first.user_id, first.user_name, first.address, first.request_id) == (actor.user_id, "ann", "192.0.2.7", "req-7")
    assert (first.decision, first.project_id, first.actor_project_id) == ("allowed", cloud.project.pk, cloud.project.pk)
    assert abs(first.at - clock.now()) < timedelta(minutes=1)
    cloud.run()
    update.update(actor=actor, instance_id=made[0].pk, name="www", metadata={"role": "web"})
    power.power(actor=actor, instance_id=made[0].pk, action="stop")
    cloud.run()
    delete.delete(actor=actor, instance_id=made[0].pk)
    delete.delete(actor=actor, instance_id=made[0].pk)  # the same deletion
    renamed, stopped, deleted = trail()
    assert (renamed.action, renamed.changes) == ("compute.instance.update", {"name": ["web-1", "www"]})
    assert (stopped.action, stopped.changes) == ("compute.instance.power", {"action": [None, "stop"]})
    assert (deleted.action, deleted.changes) == ("compute.instance.delete", {"state": ["STOPPED", "DELETING"]})
    assert {row.resource_id for row in (renamed, stopped, deleted)} == {str(made[0].pk)}


def test_a_request_that_is_sent_twice_is_recorded_once(cloud: Cloud, trail: Callable[[], list[Record]]) -> None:
    for _ in range(2):
        cloud.create(client_token="t", name="web")
    assert [row.name for row in trail()] == ["web"]


def test_what_users_do_to_other_things_is_recorded(cloud: Cloud, trail: Callable[[], list[Record]], tmp_path: Path) -> None:
    actor = make_actor(cloud.project, user=make_user("ann"))
    trail()
    key = catalog.create_key_pair(actor=actor, name="laptop", public_key=KEY)
    key_id = str(key.pk)
    catalog.delete_key_pair(actor=actor, name="laptop")
    network = networks.create(actor=actor, name="back")
    network_id = str(network.pk)
    subnet = subnets.create(actor=actor, network_id=network.pk, cidr="192.168.7.0/24", dns=["9.9.9.9", "1.1.1.1"])
    networks.delete(actor=actor, network_id=network.pk)
    (tmp_path / "disk").write_bytes(b"\0" * 5000)
    image = uploads.import_file(actor=actor, name="tiny", path=tmp_path / "disk", disk_format=DiskFormat.RAW)
    images.delete(actor=actor, image_id=image.pk)
    rows = trail()
    assert [facts(row) for row in rows] == [
        ("compute.key_pair.create", "key_pair", key_id, "laptop"),
        ("compute.key_pair.delete", "key_pair", key_id, "laptop"),
        ("network.network.create", "network", network_id, "back"),
        ("network.subnet.create", "subnet", str(subnet.pk), "192.168.7.0/24"),
        ("network.network.delete", "network", network_id, "back"),
        ("images.image.create", "image", str(image.pk), "tiny"),
        ("images.image.upload", "image", str(image.pk), "tiny"),
        ("images.image.delete", "image", str(image.pk), "tiny"),
    ]
    assert {row.project_id for row in rows} == {cloud.project.pk}
    assert rows[0].changes == {"fingerprint": [None, key.fingerprint]}
    assert rows[3].changes["dns"] == [None, ["9.9.9.9", "1.1.1.1"]]
    assert rows[6].changes["size_bytes"] == [None, 5000] and rows[7].changes == {"state": ["active", "deleted"]}


def test_what_operators_do_is_recorded_in_nobodys_project(cloud: Cloud, trail: Callable[[], list[Record]]) -> None:
    root = make_actor(cloud.project, user=make_user("root", operator=True), operator=True)
    zones.ensure(actor=root, name="west")
    trail()
    host = enrol.enrol(actor=root, name="hv1", zone="west").host
    enrol.enrol(actor=root, name="hv1", renew=True)
    for _ in range(2):
        admission.set_enabled(actor=root, name="hv1", enabled=False, reason="new disk")
    flavor = catalog.create_flavor(actor=root, name="tiny", vcpus=1, memory_mb=64, disk_gb=0)
    flavor_id = str(flavor.pk)
    catalog.delete_flavor(actor=root, flavor_id=flavor.pk)
    inventories.report(provider_id=host.pk, name="hv1", totals={"VCPU": 8})
    inventories.adjust(actor=root, provider_id=host.pk, resource_class="VCPU", allocation_ratio=2.0, reserved=0)
    rows = trail()
    assert [facts(row) for row in rows] == [
        ("hosts.host.enrol", "host", str(host.pk), "hv1"),
        ("hosts.host.enrol", "host", str(host.pk), "hv1"),
        ("hosts.host.update", "host", str(host.pk), "hv1"),  # once: the second time nothing changed
        ("compute.flavor.create", "flavor", flavor_id, "tiny"),
        ("compute.flavor.delete", "flavor", flavor_id, "tiny"),
        ("placement.inventory.update", "inventory", f"{host.pk}/VCPU", "hv1 VCPU"),
    ]
    assert {row.project_id for row in rows} == {None}
    assert rows[2].changes == {"enabled": [True, False], "disabled_reason": ["", "new disk"]}
    assert list(rows[5].changes) == ["allocation_ratio"] and rows[5].changes["allocation_ratio"][1] == 2.0


def test_repairs_are_recorded_as_they_are_ordered(cloud: Cloud, trail: Callable[[], list[Record]]) -> None:
    host = cloud.host("h1")
    instance, _ = cloud.active()
    stray = UnknownDomain.objects.create(
        host_id=host.id, host_name="h1", instance_id=uuid.uuid4(), power_state="running", seen_at=clock.now(), generation=1
    )
    Instance.objects.update(addresses=[])
    trail()
    audit.repair(audit.run())
    found = {(row.action, row.resource_id): row for row in trail()}
    assert found["compute.leak.repair", str(instance.pk)].changes["finding"] == [None, "instance.addresses"]
    assert found["compute.leak.repair", str(stray.instance_id)].changes["finding"] == [None, "domain.unknown"]
    assert found["compute.stray.remove", str(stray.instance_id)].changes == {"host": ["h1", None]}
    assert strays.evict(actor=SYSTEM, unknown_id=stray.pk) is None
    assert trail() == []  # nothing was done


def test_what_the_system_does_by_itself_is_not_recorded(
    cloud: Cloud, trail: Callable[[], list[Record]], time_machine: Any
) -> None:
    cloud.host()
    cloud.create(count=3)
    trail()
    cloud.schedule()
    time_machine.forward(3600)
    sweep.sweep()
    cloud.run()
    time_machine.forward(3600)
    sweep.sweep()
    cloud.run()
    assert trail() == []


def test_no_secret_is_ever_in_a_record(cloud: Cloud, tmp_path: Path) -> None:
    password, user_data = "Xk8-unguessable-9", "c2VjcmV0LXVzZXItZGF0YQ=="
    ann = make_user("ann", cloud.project)
    ann.set_password(password)
    ann.save()
    issued = make_token(ann, cloud.project)
    enrolled = enrol.enrol(actor=SYSTEM, name="hv1")
    actor = make_actor(cloud.project, user=ann)
    cloud.create(actor=actor, name="web", user_data=user_data, metadata={"db_password": password, "token": issued.secret})
    catalog.create_key_pair(actor=actor, name="laptop", public_key=KEY)
    with transaction.atomic():
        record.write(actor, "identity.user.update", "user", ann.pk, name=issued.secret, changes={"password": [None, password], "note": issued.secret})
    record.refused(Forbidden("policy.forbidden", f"Not with {issued.secret}."), Attempt(action="x", path=f"/x/{issued.secret}"), actor=actor)
    told = json.dumps(list(Record.objects.values()), default=str)
    for secret in (password, user_data, issued.secret, issued.token.digest, enrolled.private_key, ann.password):
        assert secret not in told
    assert "***" in told and "hv1" in told and "laptop" in told


def test_actions_are_names_of_permissions(cloud: Cloud) -> None:
    named = dict(_actions())
    assert len(named) > 15
    unknown = {action: place for action, place in named.items() if action not in TABLE and action not in WITHOUT_PERMISSION}
    assert unknown == {}


def _actions() -> Iterator[tuple[str, str]]:
    """Every literal that is given as the action to `record.write` and `record.write_many`, with its file."""
    for path in sorted((ROOT / "apps").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("record.write", "record.write_many", "_record"):
                action = node.args[1] if len(node.args) > 1 else None
                if isinstance(action, ast.Constant) and str(action.value).count(".") == 2:
                    yield str(action.value), str(path.relative_to(ROOT))
