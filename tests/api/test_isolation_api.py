"""Nobody reaches what is not theirs: every operation that there is, called by everybody.

Operations come from the OpenAPI document and the dialects' URL patterns, what is expected from the table of permissions; a
new operation is tried without anybody adding it here, and fails if it declares no permission or has no example.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction

from apps.identity import policy
from tests.api.isolation import operations, world
from tests.api.isolation.operations import Operation
from tests.api.isolation.trial import Trial

OPERATIONS = operations.every()
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def trial(django_db_setup: None, django_db_blocker: Any) -> Iterator[Trial]:
    """One world for all operations: each request is undone, and in the end the world is."""
    with pytest.MonkeyPatch.context() as patched, django_db_blocker.unblock():
        # No host will answer here.
        patched.setattr(logging.getLogger("django.request"), "disabled", True)
        patched.setattr(settings, "ENV", dataclasses.replace(settings.ENV, observe_timeout_s=0.01))
        with transaction.atomic():
            trial = Trial(world.make())
            yield trial
            transaction.set_rollback(True)


@pytest.mark.django_db
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_nobody_does_what_the_table_of_permissions_does_not_allow(trial: Trial, record_property: Record, operation: Operation) -> None:
    """And everybody does what it allows; what is hidden is as good as unknown, refusals change nothing and tell nothing."""
    before = trial.requests
    wrong = trial.of(operation)
    record_property("figures of isolation", {"operations": 1, "requests": trial.requests - before, "violations": len(wrong)})
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


@pytest.mark.django_db
@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("name", ["instances_delete", "users_list", "trusts_get", "identity GET /v3/projects/{project_id}"])
def test_a_policy_that_allows_everything_or_nothing_would_be_found(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, name: str, allowed: bool
) -> None:
    [operation] = [each for each in OPERATIONS if each.name == name]
    for asked in ("allows", "everywhere"):
        monkeypatch.setattr(policy, asked, lambda *_, **__: allowed)
    assert trial.of(operation)


@pytest.mark.django_db
def test_an_operation_that_declares_no_permission_or_has_no_example_would_be_found(trial: Trial) -> None:
    operation = next(each for each in OPERATIONS if each.name == "instances_get")
    assert "declares no permission" in trial.of(dataclasses.replace(operation, permission=None))[0]
    assert "not in apps/identity/permissions.py" in trial.of(dataclasses.replace(operation, permission="compute.instance.fly"))[0]
    assert "add it to PARTS" in trial.of(dataclasses.replace(operation, template="/api/v1/wheels/{wheel_id}"))[0]
    # One that is there, but not the one that is asked for.
    assert trial.of(dataclasses.replace(operation, permission="compute.instance.power"))


def test_no_operation_of_the_native_api_is_left_out_of_its_document() -> None:
    assert operations.undocumented() == []
