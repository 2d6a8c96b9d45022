"""Creating and changing instances: what is refused before anything is made, and what belongs to whom."""

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.common.context import SYSTEM
from apps.common.states import move
from apps.compute import selectors
from apps.compute.models import Flavor, Instance, KeyPair
from apps.compute.services import catalog, delete, update
from apps.compute.states import MACHINE, InstanceState
from apps.operations.models import Operation
from tests.support.cloud import Cloud, make_flavor, make_image, make_network, make_project, refusal
from tests.support.identity import make_actor

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKJsBZlLBqHv5TjxgVqLTtiHhBx8n2jc0dbNTdNdQZ0x ann@laptop"


def nothing_was_made() -> bool:
    return not Instance.objects.exists() and not Operation.objects.exists()


def test_unknown_things_are_refused_by_their_field(cloud: Cloud) -> None:
    for field, code in (
        ("flavor_id", "flavor.not_found"), ("image_id", "image.not_found"), ("network_id", "network.not_found"),
    ):
        error = refusal(cloud.create, **{field: uuid.uuid4()})
        assert (error.kind, error.code, error.field) == ("not_found", code, field)
    error = refusal(cloud.create, key_name="nobody")
    assert (error.code, error.field) == ("key_pair.not_found", "key_name")
    assert nothing_was_made()


def test_things_of_other_projects_are_unknown(cloud: Cloud) -> None:
    other = make_project()
    image = make_image(other, visibility="private")
    network = make_network(make_actor(other))
    assert refusal(cloud.create, image_id=image.pk).code == "image.not_found"
    assert refusal(cloud.create, network_id=network.pk).code == "network.not_found"
    assert nothing_was_made()


@pytest.mark.parametrize("count", [0, -1, 501, 10**9])
def test_a_count_out_of_range_is_refused(cloud: Cloud, count: int) -> None:
    error = refusal(cloud.create, count=count)
    assert (error.code, error.field) == ("instance.count", "count")
    assert nothing_was_made()


@pytest.mark.parametrize("state", ["queued", "saving"])
def test_an_image_that_is_not_active_does_not_boot(cloud: Cloud, state: str) -> None:
    image = make_image(cloud.project, state=state)
    assert refusal(cloud.create, image_id=image.pk).code == "image.state"


@pytest.mark.parametrize("disk_format", ["kernel", "ramdisk"])
def test_a_kernel_does_not_boot_by_itself(cloud: Cloud, disk_format: str) -> None:
    assert refusal(cloud.create, image_id=make_image(disk_format=disk_format).pk).code == "image.format"


@pytest.mark.parametrize(
    ("image", "flavor", "code", "needed", "has"),
    [
        ({"min_memory_mb": 513}, {}, "flavor.memory", 513, 512), ({"min_disk_gb": 6}, {}, "flavor.disk", 6, 5),
        ({"virtual_size_bytes": 5 * 1024**3 + 1}, {}, "flavor.disk", 6, 5),
        ({"properties": {"hw_firmware_type": "uefi"}}, {"memory_mb": 255}, "flavor.memory", 256, 255),
    ],
)
def test_a_flavor_too_small_for_the_image_is_refused_with_both_numbers(
    cloud: Cloud, image: dict[str, Any], flavor: dict[str, Any], code: str, needed: int, has: int
) -> None:
    error = refusal(cloud.create, image_id=make_image(**image).pk, flavor_id=make_flavor(**flavor).pk)
    assert (error.code, error.field, error.facts["needed"], error.facts["has"]) == (code, "flavor_id", needed, has)
    assert nothing_was_made()


def test_a_flavor_of_exactly_the_right_size_will_do(cloud: Cloud) -> None:
    cloud.create(image_id=make_image(min_memory_mb=512, min_disk_gb=5, virtual_size_bytes=5 * 1024**3).pk)


def test_a_flavor_that_is_not_offered_any_more_is_unknown(cloud: Cloud) -> None:
    Flavor.objects.update(enabled=False)
    assert refusal(cloud.create).code == "flavor.not_found"


def test_an_instance_carries_the_facts_of_its_flavor_image_and_key(cloud: Cloud) -> None:
    catalog.create_key_pair(actor=cloud.actor, name="laptop", public_key=KEY)
    cloud.host()
    instance, host, command = cloud.placed(key_name="laptop", metadata={"a": "b"}, user_data="aGk=")
    catalog.delete_flavor(actor=SYSTEM, flavor_id=cloud.flavor.pk)
    catalog.delete_key_pair(actor=cloud.actor, name="laptop")
    instance.refresh_from_db()
    assert (instance.vcpus, instance.memory_mb, instance.disk_gb, instance.flavor_name) == (1, 512, 5, cloud.flavor.name)
    assert command.body.public_keys == {"laptop": KEY}
    assert (command.body.metadata, command.body.user_data) == ({"a": "b"}, "aGk=")


def test_a_kernel_and_ramdisk_travel_with_the_command(cloud: Cloud) -> None:
    kernel, ramdisk = make_image(disk_format="kernel"), make_image(disk_format="ramdisk")
    image = make_image(kernel_id=kernel.pk, ramdisk_id=ramdisk.pk)
    cloud.host()
    _, _, command = cloud.placed(image_id=image.pk)
    assert (command.body.kernel.id, command.body.ramdisk.id) == (str(kernel.pk), str(ramdisk.pk))
    assert command.body.kernel_args == "console=ttyS0"


def test_instances_of_other_projects_are_not_there(cloud: Cloud) -> None:
    instance = cloud.boot()
    stranger = make_actor(make_project(), role="admin")
    for call in (selectors.instance, selectors.known_instance, delete.delete, update.update):
        assert refusal(call, actor=stranger, instance_id=instance.pk).code == "instance.not_found"
    assert list(selectors.instances(actor=stranger, all_projects=True)) == []
    assert list(selectors.instances(actor=SYSTEM, all_projects=True)) == [instance]
    operation = Operation.objects.get()
    assert (operation.kind, operation.state) == ("instance.build", "queued")


def test_a_deleted_instance_is_gone_for_all_but_its_timeline(cloud: Cloud) -> None:
    instance = cloud.boot()
    cloud.delete(instance)
    assert refusal(selectors.instance, actor=cloud.actor, instance_id=instance.pk).kind == "not_found"
    assert refusal(cloud.delete, instance).kind == "not_found"
    assert selectors.known_instance(actor=cloud.actor, instance_id=instance.pk).state == "DELETED"


def test_name_and_metadata_can_be_changed_and_nothing_else_is_touched(cloud: Cloud) -> None:
    cloud.host()
    instance, host, command = cloud.placed()
    update.update(actor=cloud.actor, instance_id=instance.pk, name="new", metadata={"x": "y"})
    host.done(command)
    instance.refresh_from_db()
    assert (instance.name, instance.metadata, instance.state) == ("new", {"x": "y"}, "ACTIVE")
    update.update(actor=cloud.actor, instance_id=instance.pk)
    assert Instance.objects.get().name == "new"


# States.


@pytest.mark.parametrize("source", InstanceState)
@pytest.mark.parametrize("target", InstanceState)
def test_an_instance_moves_along_its_table_only(cloud: Cloud, source: InstanceState, target: InstanceState) -> None:
    instance = cloud.boot()
    Instance.objects.filter(pk=instance.pk).update(state=source.value, host_id=uuid.uuid4())
    moved = move(Instance.objects.filter(pk=instance.pk), MACHINE, target)
    instance.refresh_from_db()
    assert moved == int(target in MACHINE[source])
    assert instance.state == (target.value if moved else source.value)


def test_the_database_refuses_unknown_states_and_an_active_instance_without_host(cloud: Cloud) -> None:
    cloud.boot()
    for change in ({"state": "nonsense"}, {"state": "ACTIVE", "host_id": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Instance.objects.update(**change)


# Flavors and key pairs.


def test_a_flavor_name_is_used_once(cloud: Cloud) -> None:
    make_flavor(name="f")
    assert refusal(make_flavor, name="f").code == "flavor.exists"


@pytest.mark.parametrize("size", [{"vcpus": 0}, {"memory_mb": 0}])
def test_a_flavor_of_nothing_is_refused_by_the_database(cloud: Cloud, size: dict[str, int]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Flavor.objects.filter(pk=cloud.flavor.pk).update(**size)


def test_a_key_pair_belongs_to_its_user(cloud: Cloud) -> None:
    pair = catalog.create_key_pair(actor=cloud.actor, name="laptop", public_key=f"  {KEY}\n")
    assert pair.public_key == KEY
    assert pair.fingerprint.startswith("SHA256:")
    assert refusal(catalog.create_key_pair, actor=cloud.actor, name="laptop", public_key=KEY).code == "key_pair.exists"
    other = make_actor(cloud.project)
    assert refusal(catalog.delete_key_pair, actor=other, name="laptop").kind == "not_found"
    catalog.create_key_pair(actor=other, name="laptop", public_key=KEY)
    assert KeyPair.objects.count() == 2
