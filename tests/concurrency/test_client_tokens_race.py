"""The same request twice at the same moment: done once, and both are answered alike."""

import threading
from typing import Any

import pytest

from apps.compute.models import Instance
from apps.operations.models import Operation
from tests.support.cloud import Cloud


@pytest.mark.parametrize("round_", range(3))
def test_twins_with_one_idempotency_key_get_the_same_instances(cloud: Cloud, round_: int) -> None:
    barrier, found, errors = threading.Barrier(6), [], []

    def post() -> None:
        from django.db import connection

        barrier.wait()
        try:
            found.append(cloud.create(count=2, client_token="twins"))
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    answers: set[Any] = {tuple(instance.pk for instance in each.instances) for each in found}
    assert len(found) == 6 and len(answers) == 1
    assert sum(not each.repeated for each in found) == 1
    assert (Instance.objects.count(), Operation.objects.count()) == (2, 2)
