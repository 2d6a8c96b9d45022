"""The audit finds what was broken on purpose, and `--fix` mends it by the ordinary ways."""

import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models import F

from apps.common import clock
from apps.compute.models import Instance, UnknownDomain
from apps.compute.services import audit
from apps.images import store
from apps.images.services import images
from apps.network.models import AddressSpan, FixedIP, Port
from apps.network.services import addresses
from apps.operations.models import Operation
from apps.placement.models import Allocation, Consumer, Inventory
from apps.quotas.models import Usage
from contracts.compute.v1 import PowerState
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, make_image, operation_of


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MEDIA_ROOT", tmp_path)


@pytest.fixture(autouse=True)
def _image_content(cloud: Cloud, _own_store: None) -> None:
    path = store.path_of(cloud.image.sha256)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 1024)


def codes() -> list[str]:
    return [finding.code for finding in audit.run()]


def fix() -> list[str]:
    """Repairs; the codes that are left."""
    audit.repair(audit.run())
    return codes()


def test_nothing_is_found_through_a_whole_life(cloud: Cloud) -> None:
    cloud.host()
    assert codes() == []
    instance = cloud.boot()
    assert codes() == []
    cloud.schedule()
    assert codes() == []
    cloud.run()
    assert codes() == []
    cloud.power(instance, "stop")
    assert codes() == []
    cloud.run()
    cloud.delete(instance)
    assert codes() == []
    cloud.run()
    assert codes() == []
    assert_nothing_is_claimed()


def test_what_nobody_holds_is_given_back(cloud: Cloud) -> None:
    host = cloud.host()
    cloud.active()
    nobody = uuid.uuid4()
    Consumer.objects.create(pk=nobody, managed=True)
    Allocation.objects.create(consumer_id=nobody, provider_id=host.id, resource_class="VCPU", amount=2)
    Inventory.objects.filter(provider_id=host.id, resource_class="VCPU").update(used=F("used") + 2)
    port = Port.objects.create(network=cloud.network, project_id=cloud.project.pk, device_id=nobody, mac="02:00:00:00:00:01")
    with transaction.atomic():
        address = addresses.take_this(cloud.network.subnets.get(), "10.64.0.99", project_id=None)
        FixedIP.objects.create(port=port, subnet=cloud.network.subnets.get(), address=address)
    assert codes() == ["allocation.orphan", "port.orphan", "quota.mismatch"]
    assert fix() == []
    assert_consistent()


def test_addresses_that_were_lost_or_doubled_are_found_out_anew(cloud: Cloud) -> None:
    cloud.host()
    instance, _ = cloud.active()
    subnet = cloud.network.subnets.get()
    AddressSpan.objects.filter(subnet=subnet).order_by("-first")[0].delete()
    held = FixedIP.objects.get(port__device_id=instance.pk)
    offset = int(held.address.rsplit(".", 1)[1])
    AddressSpan.objects.create(subnet=subnet, first=offset, last=offset, rests_until=clock.now())
    assert set(codes()) == {"address.drift"}
    assert fix() == []
    assert_consistent()


def test_claims_that_were_lost_are_made_again(cloud: Cloud) -> None:
    cloud.host()
    instance, _ = cloud.active()
    Allocation.objects.filter(consumer_id=instance.pk).delete()
    assert set(codes()) == {"instance.unclaimed", "inventory.mismatch"}
    assert fix() == []
    Allocation.objects.filter(consumer_id=instance.pk, resource_class="VCPU").update(amount=3)
    assert set(codes()) == {"allocation.wrong", "inventory.mismatch"}
    assert fix() == []
    assert_consistent()


def test_a_claim_that_does_not_fit_any_more_stays_a_finding(cloud: Cloud) -> None:
    host = cloud.host()
    instance, _ = cloud.active()
    Allocation.objects.filter(consumer_id=instance.pk).delete()
    Inventory.objects.filter(provider_id=host.id).update(used=0, capacity=0, total=0)
    assert fix() == ["instance.unclaimed"]


def test_inventories_are_counted_again(cloud: Cloud) -> None:
    host = cloud.host()
    cloud.active()
    Inventory.objects.filter(provider_id=host.id).update(used=7)
    assert codes() == ["inventory.mismatch"] * 3
    assert fix() == []
    assert_consistent()


def test_embedded_addresses_follow_the_ports(cloud: Cloud) -> None:
    cloud.host()
    instance, _ = cloud.active()
    before = Instance.objects.get().addresses
    Instance.objects.update(addresses=[])
    assert codes() == ["instance.addresses"]
    assert fix() == []
    assert Instance.objects.get().addresses == before


def test_a_deletion_nobody_works_on_goes_on(cloud: Cloud) -> None:
    cloud.host()
    instance, _ = cloud.active()
    cloud.delete(instance)
    cloud.bus.wipe()
    Operation.objects.filter(kind="instance.delete").delete()
    assert codes() == ["instance.stuck"]
    assert fix() == []  # under way again
    cloud.run()
    assert Instance.objects.get().state == "DELETED"
    assert_nothing_is_claimed()


@pytest.mark.parametrize("placed", [False, True])
def test_a_build_nobody_works_on_ends_and_is_cleaned_up(cloud: Cloud, placed: bool) -> None:
    host = cloud.host()
    instance = cloud.boot()
    if placed:
        cloud.schedule()
        host.obey(host.command())
    cloud.bus.wipe()
    Operation.objects.all().delete()
    assert codes() == ["instance.stuck"]
    assert fix() == []
    cloud.run()
    instance.refresh_from_db()
    assert (instance.state, instance.error["code"], instance.host_id) == ("ERROR", "build.lost", None)
    assert host.domains == {}
    assert_nothing_is_claimed()


def test_work_that_the_sweep_forgot_is_looked_into(cloud: Cloud) -> None:
    host = cloud.host()
    instance, _, command = cloud.placed()
    host.obey(command)
    late = clock.now() - timedelta(seconds=120)
    Operation.objects.update(deadline=late, next_at=clock.after(600))
    assert codes() == ["operation.late"]
    assert fix() == []
    cloud.run()
    assert Instance.objects.get().state == "ACTIVE"


def test_work_on_an_instance_that_is_gone_is_cancelled(cloud: Cloud) -> None:
    cloud.host()
    instance, _ = cloud.active()
    operation = cloud.power(instance, "stop")
    Instance.objects.update(state="DELETED", host_id=None)
    assert set(codes()) == {"allocation.orphan", "port.orphan", "operation.pointless", "quota.mismatch"}
    assert fix() == []
    operation.refresh_from_db()
    assert (operation.state, operation.error["code"]) == ("cancelled", "operation.pointless")
    assert_nothing_is_claimed()


def test_a_machine_that_nobody_knows_is_found_and_removed_by_its_host(cloud: Cloud) -> None:
    host = cloud.host("hv1")
    stray = str(uuid.uuid4())
    host.domains[stray], host.generations[stray] = PowerState.RUNNING, 4
    host.observation()
    (finding,) = audit.run()
    assert (finding.code, finding.subject) == ("domain.unknown", stray) and "hv1" in finding.what
    audit.repair([finding])
    operation = Operation.objects.get(kind="domain.evict")
    assert (operation.state, operation.generation) == ("sent", 5)
    audit.repair([finding])  # twice is once
    assert Operation.objects.filter(kind="domain.evict").count() == 1
    cloud.run()
    assert host.domains == {} and codes() == []
    operation.refresh_from_db()
    assert operation.state == "succeeded"
    host.observation()
    assert codes() == []


def test_leftovers_of_a_deleted_instance_are_found_too(cloud: Cloud) -> None:
    host = cloud.host()
    instance, _ = cloud.active()
    cloud.delete(instance)
    cloud.run()
    host.residue[str(instance.pk)] = ["tap"]
    host.observation()
    (finding,) = audit.run()
    assert "left tap" in finding.what
    assert fix() == ["domain.unknown"]  # until the host has done it
    cloud.run()
    assert codes() == [] and host.residue == {}


def test_a_machine_that_lives_elsewhere_is_removed_here_only(cloud: Cloud) -> None:
    home, other = cloud.host("home"), cloud.host("other", MEMORY_MB=1)
    instance, _ = cloud.active()
    other.domains[str(instance.pk)] = PowerState.RUNNING
    other.observation()
    assert codes() == ["domain.unknown"]
    fix()
    cloud.run()
    assert codes() == []
    assert other.domains == {} and home.domains == {str(instance.pk): PowerState.RUNNING}
    instance.refresh_from_db()
    assert instance.state == "ACTIVE"
    assert_consistent()


def test_what_is_being_worked_on_is_no_stray(cloud: Cloud) -> None:
    """An observation may be older than what the database knows by now."""
    host = cloud.host()
    instance, _, command = cloud.placed()
    host.obey(command)
    host.observation()
    assert UnknownDomain.objects.count() == 0
    host.done(command)
    before = clock.now()
    cloud.delete(instance)
    cloud.run()
    host.domains[str(instance.pk)] = PowerState.RUNNING
    host.observation(started_at=before.timestamp())
    assert UnknownDomain.objects.count() == 0


def test_an_eviction_that_fails_stays_a_finding_and_can_be_tried_again(cloud: Cloud) -> None:
    host = cloud.host()
    stray = str(uuid.uuid4())
    host.domains[stray] = PowerState.RUNNING
    host.observation()
    fix()
    host.failed(host.command())
    assert codes() == ["domain.unknown"]
    fix()
    cloud.run()
    assert codes() == [] and host.domains == {}


def test_the_store_is_compared_with_the_images(cloud: Cloud) -> None:
    orphan = store.path_of("ab" + "0" * 62)
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"nobody's")
    scratch = Path(settings.MEDIA_ROOT, "incoming", "dead")
    scratch.parent.mkdir()
    scratch.write_bytes(b"half")
    assert codes() == ["image.content_orphan"] * 2
    assert fix() == []
    assert not orphan.exists() and not scratch.exists()
    store.path_of(cloud.image.sha256).unlink()
    assert fix() == ["image.content_missing"]
    images.delete(actor=cloud.actor, image_id=cloud.image.pk)
    assert codes() == []


def test_an_upload_of_which_nobody_knows_waits_for_its_data_again(cloud: Cloud) -> None:
    half = make_image(cloud.project, name="half", disk_format="raw", state="saving", size_bytes=4096)
    scratch = Path(settings.MEDIA_ROOT, "incoming", f"{half.pk}.abc")
    scratch.parent.mkdir()
    scratch.write_bytes(b"half")
    assert codes() == ["image.interrupted", "image.content_orphan"]
    assert fix() == []
    half.refresh_from_db()
    assert (half.state, half.size_bytes) == ("queued", None) and not scratch.exists()
    assert Usage.objects.get().image_bytes == cloud.image.size_bytes


def test_the_operation_is_named(cloud: Cloud) -> None:
    cloud.host()
    instance, _ = cloud.active()
    cloud.power(instance, "stop")
    Instance.objects.all().delete()
    found = next(each for each in audit.run() if each.code == "operation.pointless")
    assert "instance.stop" in found.what
    assert operation_of(instance).state == "sent"
