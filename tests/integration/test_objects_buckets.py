"""Buckets: names, owners, quotas, what is said of them, and their end."""

import pytest
from django.db import IntegrityError, transaction

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.common.errors import CloudError, Conflict, Forbidden, Invalid, NotFound, QuotaExceeded
from apps.identity.services import projects
from apps.objects.models import Bucket, Upload, Version
from apps.objects.selectors import buckets as buckets_there
from apps.objects.services import buckets
from apps.objects.states import Versioning
from apps.quotas.models import Usage
from tests.integration.test_objects_put import allow
from tests.support.cloud import make_project
from tests.support.identity import make_actor
from tests.support.objects import Shelf


def test_names_are_shared_by_all_and_whose_they_are_is_told(shelf: Shelf) -> None:
    with pytest.raises(Conflict) as mine:
        buckets.create(actor=shelf.actor, name=shelf.name)
    with pytest.raises(Conflict) as theirs:
        buckets.create(actor=make_actor(make_project()), name=shelf.name)
    assert (mine.value.code, theirs.value.code) == ("bucket.yours", "bucket.taken")
    with pytest.raises(Invalid):
        buckets.create(actor=shelf.actor, name="Bad_Name")


def test_buckets_count_and_their_number_is_limited(shelf: Shelf) -> None:
    allow(shelf.project, buckets=2)
    buckets.create(actor=shelf.actor, name="second")
    with pytest.raises(QuotaExceeded):
        buckets.create(actor=shelf.actor, name="third")
    assert not Bucket.objects.filter(name="third").exists()
    buckets.delete(actor=shelf.actor, name="second")
    buckets.create(actor=shelf.actor, name="third")
    assert Usage.objects.get(pk=shelf.project.pk).buckets == 2
    assert [row.name for row in buckets_there.buckets(actor=shelf.actor)] == ["shelf", "third"]
    assert shelf.faults() == []


def test_a_bucket_with_anything_in_it_stays(shelf: Shelf) -> None:
    shelf.versioning(Versioning.ENABLED)
    shelf.put()
    marker = shelf.delete()
    for version in (shelf.versions()[1].version, marker.version):
        with pytest.raises(Conflict) as caught:
            buckets.delete(actor=shelf.actor, name=shelf.name)
        assert caught.value.code == "bucket.not_empty"
        shelf.delete(version=version)
    buckets.delete(actor=shelf.actor, name=shelf.name)
    with pytest.raises(NotFound):
        buckets.delete(actor=shelf.actor, name=shelf.name)
    assert shelf.faults() == []


def test_open_uploads_end_with_their_bucket(shelf: Shelf) -> None:
    shelf.part(shelf.begin(), 1, b"data")
    buckets.delete(actor=shelf.actor, name=shelf.name)
    assert not Upload.objects.exists()
    assert shelf.used_bytes == 0
    assert shelf.faults() == []


def test_what_is_said_of_a_bucket_is_kept_and_in_the_trail(shelf: Shelf) -> None:
    actor, name = shelf.actor, shelf.name
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    buckets.put_acl(actor=actor, name=name, acl={"grants": []})
    buckets.put_policy(actor=actor, name=name, policy=policy)
    buckets.put_cors(actor=actor, name=name, rules=[{"AllowedOrigins": ["*"]}])
    buckets.put_tags(actor=actor, name=name, tags={"a": "b"})
    buckets.put_versioning(actor=actor, name=name, versioning=Versioning.ENABLED)
    found = buckets_there.bucket(actor=actor, name=name)
    assert (found.acl, found.policy, found.cors, found.tags, found.versioning) == (
        {"grants": []}, policy, [{"AllowedOrigins": ["*"]}], {"a": "b"}, "enabled"
    )
    buckets.put_policy(actor=actor, name=name, policy=None)
    buckets.put_cors(actor=actor, name=name, rules=[])
    found = buckets_there.named(name)
    assert (found.policy, found.cors) == (None, [])
    written = Record.objects.filter(resource_type="bucket").order_by("pk").values_list("action", flat=True)
    assert list(written) == ["objects.bucket.create", *["objects.bucket.update"] * 7]


def test_only_members_of_the_project_change_a_bucket(shelf: Shelf) -> None:
    for actor in (make_actor(make_project()), make_actor(shelf.project, role="reader")):
        with pytest.raises(Forbidden):
            buckets.put_tags(actor=actor, name=shelf.name, tags={})
        with pytest.raises(Forbidden):
            buckets.delete(actor=actor, name=shelf.name)
    with pytest.raises(Forbidden):
        buckets_there.bucket(actor=make_actor(make_project()), name=shelf.name)
    assert list(buckets_there.buckets(actor=make_actor(make_project()))) == []


def test_a_project_with_a_bucket_is_not_deleted(shelf: Shelf) -> None:
    with pytest.raises(CloudError) as caught:
        projects.delete_project(actor=SYSTEM, project_id=shelf.project.pk)
    assert caught.value.facts["in_use"] == {"buckets": 1}
    buckets.delete(actor=shelf.actor, name=shelf.name)
    projects.delete_project(actor=SYSTEM, project_id=shelf.project.pk)


def test_the_database_refuses_a_second_latest_and_a_second_null_version(shelf: Shelf) -> None:
    put = shelf.put()
    for version, is_latest in (("0" * 32, True), ("null", False)):
        with pytest.raises(IntegrityError), transaction.atomic():
            Version.objects.create(bucket=shelf.bucket, key="key", version=version, is_latest=is_latest, created_at=put.created_at)
