"""Idempotency keys: a request that is sent twice is done once."""

import uuid

import pytest
from django.db import IntegrityError, transaction

from apps.common.errors import Conflict
from apps.compute.models import Instance
from apps.operations.models import ClientToken
from apps.operations.services import idempotency
from tests.support.cloud import Cloud, make_project, refusal
from tests.support.identity import make_actor


def test_the_same_token_with_the_same_request_gets_the_same_answer(cloud: Cloud) -> None:
    first = cloud.create(client_token="t1", count=2)
    again = cloud.create(client_token="t1", count=2)
    assert [i.pk for i in again.instances] == [i.pk for i in first.instances]
    assert {o.pk for o in again.operations} == {o.pk for o in first.operations}
    assert (first.repeated, again.repeated) == (False, True)
    assert Instance.objects.count() == 2
    assert len(cloud.bus.waiting) == 1


def test_the_same_token_with_another_request_is_a_conflict(cloud: Cloud) -> None:
    cloud.create(client_token="t1")
    error = refusal(cloud.create, client_token="t1", name="other")
    assert (error.kind, error.code) == ("conflict", "client_token.reused")
    assert Instance.objects.count() == 1


def test_the_answer_is_the_same_after_the_instance_is_active_or_gone(cloud: Cloud) -> None:
    cloud.host()
    first = cloud.create(client_token="t1")
    cloud.run()
    cloud.delete(first.instances[0])
    cloud.run()
    again = cloud.create(client_token="t1")
    assert [(i.pk, i.state) for i in again.instances] == [(first.instances[0].pk, "DELETED")]


def test_a_token_belongs_to_its_project(cloud: Cloud) -> None:
    cloud.create(client_token="t1")
    other = cloud.create(client_token="t1", actor=make_actor(make_project()))
    assert not other.repeated
    assert Instance.objects.count() == 2


def test_a_request_that_is_refused_leaves_its_token_free(cloud: Cloud) -> None:
    refusal(cloud.create, client_token="t1", count=0)
    assert not cloud.create(client_token="t1").repeated


def test_the_twin_that_comes_second_makes_nothing(cloud: Cloud) -> None:
    """Both looked before either had claimed the token: the database lets one through."""
    project = cloud.project.pk
    idempotency.remember(project_id=project, token="t1", request={"a": 1}, resource_ids=[])
    with pytest.raises(Conflict) as caught, transaction.atomic():
        idempotency.remember(project_id=project, token="t1", request={"a": 1}, resource_ids=[])
    assert caught.value.code == "client_token.race"
    with pytest.raises(IntegrityError), transaction.atomic():
        ClientToken.objects.create(project_id=project, token="t1", fingerprint="x")


def test_the_order_of_keys_in_a_request_does_not_matter(cloud: Cloud) -> None:
    project = uuid.uuid4()
    idempotency.remember(project_id=project, token="t", request={"a": 1, "b": {"c": 2, "d": 3}}, resource_ids=[])
    assert idempotency.recall(project_id=project, token="t", request={"b": {"d": 3, "c": 2}, "a": 1}) == []
