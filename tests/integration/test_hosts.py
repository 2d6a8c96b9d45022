"""Hosts: enrolment, hello, heartbeats, silence, enabling."""

import json
from pathlib import Path

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from apps.common import keys
from apps.common.context import SYSTEM
from apps.hosts import selectors
from apps.hosts.models import Host
from apps.hosts.services import admission, enrol, presence, zones
from apps.operations.services import intake
from apps.operations.services.ticker import mark_silent_hosts
from apps.placement.models import Inventory, ResourceProvider
from contracts import topics
from contracts.envelope import Sealer
from contracts.hosts import v1
from tests.support.cloud import Cloud, refusal
from tests.support.fixtures import Time
from tests.support.hosts import FakeHost

pytestmark = pytest.mark.django_db(transaction=True)


def test_enrolment_keeps_the_public_key_only() -> None:
    zones.create(actor=SYSTEM, name="north")
    enrolled = enrol.enrol(actor=SYSTEM, name="node1", zone="north")
    sealer = Sealer.from_hex(enrolled.private_key)
    host = Host.objects.get()
    assert (host.public_key, host.key_id, host.zone, host.state) == (sealer.public.hex(), sealer.public.id, "north", "enrolled")
    assert enrolled.private_key not in str(Host.objects.values().get())


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "a" * 64, "a\n", "ä", "a;b", "../x"])
def test_a_name_that_cannot_be_part_of_a_queue_name_is_refused(name: str) -> None:
    assert refusal(enrol.enrol, actor=SYSTEM, name=name).code == "host.name"


def test_a_host_is_enrolled_once_and_its_key_renewed_on_request() -> None:
    first = enrol.enrol(actor=SYSTEM, name="node1")
    assert refusal(enrol.enrol, actor=SYSTEM, name="node1").code == "host.exists"
    again = enrol.enrol(actor=SYSTEM, name="node1", renew=True)
    assert again.host.pk == first.host.pk
    assert again.private_key != first.private_key
    assert selectors.key(Sealer.from_hex(again.private_key).public.id) is not None
    assert Host.objects.count() == 1


def test_renewing_the_key_of_a_host_that_is_new_enrols_it() -> None:
    assert enrol.enrol(actor=SYSTEM, name="node1", renew=True).host.state == "enrolled"


def test_the_agents_file_is_for_its_owner_only_and_has_no_database(tmp_path: Path) -> None:
    enrolled = enrol.enrol(actor=SYSTEM, name="node1")
    path = tmp_path / "deep" / "agent.json"
    enrol.write_config(path, enrol.agent_config(enrolled=[enrolled], state_dir="/s", driver="simulated", threads=3))
    assert path.stat().st_mode & 0o777 == 0o600
    content = json.loads(path.read_text())
    assert content["hosts"] == [{"id": str(enrolled.host.pk), "name": "node1", "private_key": enrolled.private_key}]
    assert content["control_key"] == keys.control().public.hex()
    assert content["threads"] == 3
    assert settings.ENV.database_url not in path.read_text()
    assert keys.control().private_hex() not in path.read_text()
    assert [each.name for each in path.parent.iterdir()] == ["agent.json"]


def test_two_hosts_cannot_share_a_name_or_a_key() -> None:
    enrol.enrol(actor=SYSTEM, name="node1")
    other = enrol.enrol(actor=SYSTEM, name="node2").host
    first = Host.objects.get(name="node1")
    for change in ({"name": "node1"}, {"key_id": first.key_id}, {"state": "nonsense"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Host.objects.filter(pk=other.pk).update(**change)


def test_a_hello_brings_it_up_with_its_inventory(cloud: Cloud) -> None:
    host = FakeHost(cloud.bus)
    host.hello({"VCPU": 8, "MEMORY_MB": 1000, "DISK_GB": 50})
    row = Host.objects.get()
    assert (row.state, row.hypervisor, row.agent_version, row.speaks) == ("up", "fake", "0.1.0", [*topics.COMMANDS, *topics.STATES])
    assert ResourceProvider.objects.get().pk == host.id
    assert dict(Inventory.objects.values_list("resource_class", "capacity")) == {"VCPU": 32, "MEMORY_MB": 1000, "DISK_GB": 50}


def test_a_heartbeat_alone_does_not_bring_up_what_never_said_hello(cloud: Cloud) -> None:
    FakeHost(cloud.bus).heartbeat()
    assert Host.objects.get().state == "enrolled"


def test_silence_brings_it_down_and_a_heartbeat_up_again(cloud: Cloud, time_machine: Time) -> None:
    time_machine.stand()
    host = cloud.host()
    time_machine.forward(settings.ENV.host_silent_s - 1)
    assert mark_silent_hosts() == 0
    time_machine.forward(2)
    assert mark_silent_hosts() == 1
    assert Host.objects.get().state == "down"
    assert mark_silent_hosts() == 0
    host.heartbeat()
    assert Host.objects.get().state == "up"
    assert mark_silent_hosts() == 0


def test_a_host_that_never_said_anything_is_not_called_down(cloud: Cloud, time_machine: Time) -> None:
    FakeHost(cloud.bus)
    time_machine.forward(10_000)
    assert presence.mark_silent() == []


def test_many_heartbeats_are_taken_in_a_handful_of_statements(cloud: Cloud, time_machine: Time) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    hosts = [cloud.host() for _ in range(30)]
    time_machine.forward(1)
    wires = [host.seal(topics.HEARTBEAT, v1.Heartbeat(hypervisor_ok=False, hypervisor_error="x" * 1000)) for host in hosts]
    with CaptureQueriesContext(connection) as captured:
        intake.take_in(topics.HEARTBEAT, wires)
    assert len([query for query in captured if "hosts_host" in query["sql"]]) <= 3
    assert Host.objects.filter(hypervisor_ok=False).count() == 30
    assert set(Host.objects.values_list("hypervisor_error", flat=True)) == {"x" * 255}


def test_of_two_heartbeats_of_one_host_the_newer_counts(cloud: Cloud, time_machine: Time) -> None:
    host = cloud.host()
    time_machine.forward(1)
    old = host.seal(topics.HEARTBEAT, v1.Heartbeat(hypervisor_ok=False))
    time_machine.forward(1)
    new = host.seal(topics.HEARTBEAT, v1.Heartbeat(hypervisor_ok=True))
    intake.take_in(topics.HEARTBEAT, [new, old])
    assert Host.objects.get().hypervisor_ok
    intake.take_in(topics.HEARTBEAT, [old])
    assert Host.objects.get().hypervisor_ok


def test_disabling_keeps_what_runs_and_remembers_why(cloud: Cloud) -> None:
    host = cloud.host()
    instance, _ = cloud.active()
    row = admission.set_enabled(actor=SYSTEM, name=host.name, enabled=False, reason="new memory")
    assert (row.enabled, row.disabled_reason, row.state) == (False, "new memory", "up")
    instance.refresh_from_db()
    assert instance.state == "ACTIVE"
    assert admission.set_enabled(actor=SYSTEM, name=host.name, enabled=True).disabled_reason == ""
    assert refusal(admission.set_enabled, actor=SYSTEM, name="nobody", enabled=True).kind == "not_found"
