"""The same request twice at the same moment: done once, and both are answered alike."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.common.context import SYSTEM
from apps.compute.models import Instance
from apps.compute.services import interfaces, snapshot
from apps.compute.services.cards import WantedCard
from apps.identity.models import Project
from apps.images.models import Image
from apps.images.services import convert, images, imports, uploads
from apps.network.models import FloatingIP, Port
from apps.network.services import floating, ports
from apps.operations.models import Operation
from apps.quotas.models import Usage
from apps.quotas.services import limits
from tests.support.cloud import Cloud
from tests.support.imports import Bench
from tests.support.postgres import Deadlocks
from tests.support.routing import outside


def at_once(post: Callable[[], Any], times: int = 6) -> list[Any]:
    """The answers of as many threads."""
    barrier, found, errors = threading.Barrier(times), [], []

    def run() -> None:
        from django.db import connection

        barrier.wait()
        try:
            found.append(post())
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(found) == times
    return found


@pytest.mark.parametrize("round_", range(3))
def test_twins_with_one_idempotency_key_get_the_same_instances(cloud: Cloud, round_: int) -> None:
    found = at_once(lambda: cloud.create(count=2, client_token="twins"))
    assert len({tuple(instance.pk for instance in each.instances) for each in found}) == 1
    assert sum(not each.repeated for each in found) == 1
    assert (Instance.objects.count(), Operation.objects.count()) == (2, 2)


def room_for_one_image(project: Project) -> None:
    """Beside the one that there is: a twin that counted before it claims the key would be refused for what the other one took."""
    limits.set_limits(actor=SYSTEM, owner_id=project.pk, limits={"images": 2})


def test_twins_with_one_idempotency_key_get_the_same_image(cloud: Cloud) -> None:
    room_for_one_image(cloud.project)
    before = Image.objects.count()
    found = at_once(lambda: images.register_once(actor=cloud.actor, client_token="twins", name="disk", disk_format="raw"))
    assert len({image.pk for image in found}) == 1
    assert Image.objects.count() == before + 1


def test_twins_with_one_idempotency_key_get_the_same_snapshot(cloud: Cloud) -> None:
    cloud.host()
    instance, _ = cloud.active()
    room_for_one_image(cloud.project)
    before = Image.objects.count()
    found = at_once(lambda: snapshot.snapshot(actor=cloud.actor, instance_id=instance.pk, name="golden", client_token="twins"))
    assert len({(begun.image.pk, begun.operation.pk) for begun in found}) == 1
    assert (Image.objects.count(), Operation.objects.filter(kind="instance.snapshot").count()) == (before + 1, 1)


def test_twins_with_one_idempotency_key_get_the_same_import(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch)
    image, source = bench.image(), imports.FromUrl(url="https://images.example.org/disk")
    found = at_once(lambda: imports.start(actor=bench.actor, image_id=image.pk, source=source, client_token="twins"))
    assert len({operation.pk for operation in found}) == 1
    assert Operation.objects.count() == 1


def test_twins_with_one_idempotency_key_get_the_same_conversion(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch)
    room_for_one_image(bench.project)
    (tmp_path / "disk").write_bytes(b"disk" * 1024)
    source = uploads.import_file(actor=bench.actor, name="disk", path=tmp_path / "disk", disk_format="raw")
    before = Image.objects.count()
    found = at_once(lambda: convert.start(actor=bench.actor, image_id=source.pk, disk_format="qcow2", client_token="twins"))
    assert len({(image.pk, operation.pk) for image, operation in found}) == 1
    assert (Image.objects.count(), Operation.objects.count(), bench.used()[0]) == (before + 1, 1, 2)


@pytest.mark.parametrize("address", ["", "10.64.0.9"], ids=["any", "named"])
def test_twins_with_one_idempotency_key_get_the_same_port(cloud: Cloud, deadlocks: Deadlocks, address: str) -> None:
    wanted: dict[str, Any] = {"network_id": cloud.network.pk, **({"fixed": [{"address": address}]} if address else {})}
    found = at_once(lambda: ports.create_once(actor=cloud.actor, client_token="twins", **wanted))
    assert len({port.pk for port in found}) == 1
    assert (Port.objects.filter(keep=True).count(), Usage.objects.get(pk=cloud.project.pk).ports, deadlocks()) == (1, 1, 0)


def test_twins_with_one_idempotency_key_get_the_same_floating_ip(cloud: Cloud, deadlocks: Deadlocks) -> None:
    way = outside("203.0.113.0/28")
    found = at_once(lambda: floating.create_once(actor=cloud.actor, client_token="twins", network_id=way.pk))
    assert len({(row.pk, row.address) for row in found}) == 1
    held = Port.objects.filter(device_kind="floating_ip").count()
    assert (FloatingIP.objects.count(), held, Usage.objects.get(pk=cloud.project.pk).floating_ips, deadlocks()) == (1, 1, 1, 0)


def test_twins_with_one_idempotency_key_get_the_same_card(cloud: Cloud, deadlocks: Deadlocks) -> None:
    cloud.host()
    instance, _ = cloud.active()
    card = WantedCard(network_id=cloud.network.pk)
    found = at_once(lambda: interfaces.attach(actor=cloud.actor, instance_id=instance.pk, card=card, client_token="twins"))
    assert len({(made.operation.pk, made.port_id) for made in found}) == 1
    assert (Operation.objects.filter(kind="instance.attach").count(), Usage.objects.get(pk=cloud.project.pk).ports, deadlocks()) == (1, 2, 0)
