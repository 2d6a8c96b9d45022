"""Buckets over S3, and what is said of them."""

import json
from typing import Any

import pytest

from tests.api.s3.kit import Key, Server, refused
from tests.support.cloud import make_project


def test_a_bucket_is_made_listed_looked_at_and_deleted(ann: Any, ann_key: Key) -> None:
    assert ann.create_bucket(Bucket="first-bucket")["Location"] == "/first-bucket"
    answer = ann.list_buckets()
    assert [row["Name"] for row in answer["Buckets"]] == ["first-bucket"]
    assert answer["Owner"] == {"ID": ann_key.user.pk.hex, "DisplayName": "ann"}
    assert ann.head_bucket(Bucket="first-bucket")["BucketRegion"] == "us-east-1"
    ann.delete_bucket(Bucket="first-bucket")
    assert ann.list_buckets()["Buckets"] == []
    with refused("404", 404):
        ann.head_bucket(Bucket="first-bucket")


def test_lists_of_buckets_have_pages(ann: Any) -> None:
    for name in ("aa-one", "aa-two", "bb-one"):
        ann.create_bucket(Bucket=name)
    pages = ann.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 2})
    assert [[row["Name"] for row in page["Buckets"]] for page in pages] == [["aa-one", "aa-two"], ["bb-one"]]
    assert [row["Name"] for row in ann.list_buckets(Prefix="aa-")["Buckets"]] == ["aa-one", "aa-two"]


def test_a_name_that_is_taken_is_told_apart_from_ones_own(ann: Any, mallory: Any, bucket: str) -> None:
    with refused("BucketAlreadyOwnedByYou", 409):
        ann.create_bucket(Bucket=bucket)
    with refused("BucketAlreadyExists", 409):
        mallory.create_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", ["Upper-Case", "under_score", "192.168.5.4", "a..b", "-dash", "x" * 64])
def test_names_of_buckets_have_rules(server: Server, ann: Any, name: str) -> None:
    with refused("InvalidBucketName", 400):
        ann.create_bucket(Bucket=name)


def test_a_bucket_with_something_in_it_stays(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"")
    with refused("BucketNotEmpty", 409):
        ann.delete_bucket(Bucket=bucket)


def test_the_place_of_a_bucket_is_ours(ann: Any, bucket: str) -> None:
    assert ann.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None  # how S3 says us-east-1
    ann.create_bucket(Bucket="second-bucket", CreateBucketConfiguration={"LocationConstraint": "us-east-1"})
    with refused("IllegalLocationConstraintException", 400):
        ann.create_bucket(Bucket="third-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})


def test_others_find_a_bucket_that_they_may_not_enter(mallory: Any, anybody: Any, bucket: str) -> None:
    for client in (mallory, anybody):
        with refused("403", 403):
            client.head_bucket(Bucket=bucket)
        with refused("AccessDenied", 403):
            client.list_objects_v2(Bucket=bucket)
        with refused("AccessDenied", 403):
            client.delete_bucket(Bucket=bucket)
    with refused("AccessDenied", 403):
        anybody.list_buckets()


def test_who_expects_another_owner_is_refused(ann: Any, bucket: str, project: Any) -> None:
    ann.head_bucket(Bucket=bucket, ExpectedBucketOwner=project.pk.hex)
    with refused("AccessDenied", 403):
        ann.list_objects_v2(Bucket=bucket, ExpectedBucketOwner=make_project().pk.hex)


def test_tags_of_a_bucket(ann: Any, bucket: str) -> None:
    with refused("NoSuchTagSet", 404):
        ann.get_bucket_tagging(Bucket=bucket)
    ann.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]})
    assert ann.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
    with refused("InvalidTag", 400):
        ann.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]})
    ann.delete_bucket_tagging(Bucket=bucket)
    with refused("NoSuchTagSet", 404):
        ann.get_bucket_tagging(Bucket=bucket)


def test_a_policy_is_kept_as_it_came(ann: Any, bucket: str) -> None:
    with refused("NoSuchBucketPolicy", 404):
        ann.get_bucket_policy(Bucket=bucket)
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}],
    }
    ann.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert json.loads(ann.get_bucket_policy(Bucket=bucket)["Policy"]) == policy
    ann.delete_bucket_policy(Bucket=bucket)
    with refused("NoSuchBucketPolicy", 404):
        ann.get_bucket_policy(Bucket=bucket)


@pytest.mark.parametrize("policy", ["no", "[]", '{"Version": "1", "Version": "2"}', "[" * 5000])
def test_a_policy_that_is_none_is_refused(ann: Any, bucket: str, policy: str) -> None:
    with refused("MalformedPolicy", 400):
        ann.put_bucket_policy(Bucket=bucket, Policy=policy)


def test_access_lists_are_canned_granted_and_spelled_out(ann: Any, bucket: str, ann_key: Key) -> None:
    owner = {"ID": ann_key.user.pk.hex, "DisplayName": "ann"}
    full = {"Grantee": {**owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}
    everybody = {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}
    assert ann.get_bucket_acl(Bucket=bucket)["Grants"] == [full]
    ann.put_bucket_acl(Bucket=bucket, ACL="public-read")
    found = ann.get_bucket_acl(Bucket=bucket)
    assert (found["Owner"], found["Grants"]) == (owner, [full, everybody])
    ann.put_object(Bucket=bucket, Key="k", Body=b"", GrantRead='uri="http://acs.amazonaws.com/groups/global/AllUsers"')
    assert ann.get_object_acl(Bucket=bucket, Key="k")["Grants"] == [everybody]
    ann.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={"Owner": owner, "Grants": [full, everybody]})
    assert ann.get_object_acl(Bucket=bucket, Key="k")["Grants"] == [full, everybody]


def test_access_lists_name_people_whom_there_are(ann: Any, bucket: str) -> None:
    with refused("InvalidArgument", 400):
        ann.put_bucket_acl(Bucket=bucket, GrantRead=f'id="{"0" * 31}1"')
    with refused("InvalidArgument", 400):
        ann.put_bucket_acl(Bucket=bucket, ACL="bucket-owner-read")  # of objects only
    with refused("UnresolvableGrantByEmailAddress", 400):
        ann.put_bucket_acl(Bucket=bucket, GrantRead='emailAddress="a@b.example"')
    with refused("InvalidRequest", 400):
        ann.put_bucket_acl(Bucket=bucket, ACL="private", GrantRead='uri="http://acs.amazonaws.com/groups/global/AllUsers"')


def test_an_answer_says_who_was_asked_and_a_refusal_too(server: Server, ann: Any) -> None:
    assert server.ask("GET", "/nobody-s-bucket").refused(404, "NoSuchBucket").findtext("BucketName") == "nobody-s-bucket"
    assert server.ask("HEAD", "/nobody-s-bucket").body == b""
    assert ann.list_buckets()["ResponseMetadata"]["RequestId"]


def test_it_can_be_seen_whether_it_works(server: Server) -> None:
    assert [server.ask("GET", path).status for path in ("/-/healthz", "/-/readyz")] == [200, 200]
