"""Access lists and bucket policies as a second user, and nobody in particular, meet them."""

import json
from typing import Any

import pytest

from apps.identity.models import Project
from apps.identity.services import access_keys, application_credentials
from tests.api.s3.kit import Key, Server, body_of, make_key, refused
from tests.support.cloud import make_project
from tests.support.identity import actor_in


@pytest.fixture
def bob_key(server: Server) -> Key:
    return make_key("bob", make_project("bobs"))


@pytest.fixture
def bob(server: Server, bob_key: Key) -> Any:
    """A member of another project."""
    return server.client(bob_key)


def put_policy(client: Any, bucket: str, *statements: dict[str, Any]) -> None:
    usual = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [{**usual, **each} for each in statements]}))


def test_a_bucket_is_opened_to_everybody_for_reading(ann: Any, anybody: Any, bob: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"x")
    for client in (anybody, bob):
        with refused("AccessDenied", 403):
            client.get_object(Bucket=bucket, Key="k")
    put_policy(ann, bucket, {})
    for client in (anybody, bob):
        assert body_of(client.get_object(Bucket=bucket, Key="k")) == b"x"
        for operation, more in (
            ("list_objects_v2", {}), ("put_object", {"Key": "k", "Body": b"y"}), ("get_object", {"Key": "missing"}),
            ("delete_object", {"Key": "k"}), ("get_bucket_policy", {}), ("get_object_acl", {"Key": "k"}),
        ):
            with refused("AccessDenied", 403):
                getattr(client, operation)(Bucket=bucket, **more)
    ann.delete_bucket_policy(Bucket=bucket)
    with refused("AccessDenied", 403):
        anybody.get_object(Bucket=bucket, Key="k")


def test_another_project_works_below_a_prefix(ann: Any, bob: Any, bob_key: Key, bucket: str, mallory: Any) -> None:
    project = Project.objects.get(name="bobs").pk.hex
    put_policy(
        ann, bucket,
        {"Principal": {"AWS": f"arn:aws:iam::{project}:root"}, "Action": ["s3:*Object", "s3:*ObjectAcl"], "Resource": f"arn:aws:s3:::{bucket}/bob/*"},
        {
            "Principal": {"AWS": f"arn:aws:iam::{project}:user/bob"}, "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}",
            "Condition": {"StringLike": {"s3:prefix": "bob/*"}},
        },
    )
    bob.put_object(Bucket=bucket, Key="bob/k", Body=b"x", ACL="bucket-owner-full-control")
    assert [each["Key"] for each in bob.list_objects_v2(Bucket=bucket, Prefix="bob/")["Contents"]] == ["bob/k"]
    with refused("AccessDenied", 403):
        bob.put_object(Bucket=bucket, Key="ann/k", Body=b"x")
    for more in ({}, {"Prefix": "ann/"}):
        with refused("AccessDenied", 403):
            bob.list_objects_v2(Bucket=bucket, **more)
    with refused("AccessDenied", 403):
        mallory.get_object(Bucket=bucket, Key="bob/k")
    assert body_of(ann.get_object(Bucket=bucket, Key="bob/k")) == b"x"
    assert ann.get_object_acl(Bucket=bucket, Key="bob/k")["Owner"]["ID"] == bob_key.user.pk.hex
    upload = bob.create_multipart_upload(Bucket=bucket, Key="bob/parts")["UploadId"]
    part = bob.upload_part(Bucket=bucket, Key="bob/parts", UploadId=upload, PartNumber=1, Body=b"x")
    assert bob.list_parts(Bucket=bucket, Key="bob/parts", UploadId=upload)["Parts"][0]["Size"] == 1
    bob.complete_multipart_upload(
        Bucket=bucket, Key="bob/parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    bob.abort_multipart_upload(Bucket=bucket, Key="bob/k", UploadId=bob.create_multipart_upload(Bucket=bucket, Key="bob/k")["UploadId"])


def test_a_denial_wins_over_the_owners_role(ann: Any, bucket: str, server: Server, ann_key: Key) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"x")
    put_policy(ann, bucket, {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}})
    with refused("AccessDenied", 403):
        ann.get_object(Bucket=bucket, Key="k")
    assert body_of(server.client(ann_key, https=True).get_object(Bucket=bucket, Key="k")) == b"x"
    with refused("AccessDenied", 403):
        ann.delete_bucket(Bucket=bucket)
    ann.delete_bucket_policy(Bucket=bucket)
    ann.get_object(Bucket=bucket, Key="k")


def test_a_policy_that_is_not_understood_is_refused_by_its_part(ann: Any, bucket: str) -> None:
    with refused("MalformedPolicy", 400) as caught:
        put_policy(ann, bucket, {"Condition": {"StringEquals": {"aws:MultiFactorAuthPresent": "true"}}})
    assert "Statement[0].Condition.StringEquals.aws:MultiFactorAuthPresent" in str(caught.value)
    with refused("NoSuchBucketPolicy", 404):
        ann.get_bucket_policy(Bucket=bucket)


def test_canned_lists_open_buckets_and_objects(ann: Any, anybody: Any, bob: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="open", Body=b"x", ACL="public-read")
    ann.put_object(Bucket=bucket, Key="known", Body=b"x", ACL="authenticated-read")
    ann.put_object(Bucket=bucket, Key="closed", Body=b"x")
    assert body_of(anybody.get_object(Bucket=bucket, Key="open")) == b"x"
    assert body_of(bob.get_object(Bucket=bucket, Key="known")) == b"x"
    for client, key in ((anybody, "known"), (anybody, "closed"), (bob, "closed")):
        with refused("AccessDenied", 403):
            client.get_object(Bucket=bucket, Key=key)
    with refused("AccessDenied", 403):
        anybody.list_objects_v2(Bucket=bucket)
    ann.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert [each["Key"] for each in anybody.list_objects_v2(Bucket=bucket)["Contents"]] == ["closed", "known", "open"]
    with refused("NoSuchKey", 404):
        anybody.get_object(Bucket=bucket, Key="missing")
    ann.put_object_acl(Bucket=bucket, Key="open", ACL="private")
    with refused("AccessDenied", 403):
        anybody.get_object(Bucket=bucket, Key="open")


def test_a_bucket_for_everybodys_writing(ann: Any, anybody: Any, bob: Any, bob_key: Key, bucket: str) -> None:
    ann.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    anybody.put_object(Bucket=bucket, Key="dropped", Body=b"x")
    bob.put_object(Bucket=bucket, Key="bobs", Body=b"y")
    assert body_of(ann.get_object(Bucket=bucket, Key="dropped")) == b"x"
    assert body_of(bob.get_object(Bucket=bucket, Key="bobs")) == b"y"
    for client in (anybody, bob):
        with refused("AccessDenied", 403):
            client.get_object(Bucket=bucket, Key="dropped")
    owners = {each["Key"]: each["Owner"]["ID"] for each in ann.list_objects(Bucket=bucket)["Contents"]}
    assert owners["bobs"] == bob_key.user.pk.hex and owners["dropped"] not in (bob_key.user.pk.hex, "")


def test_grants_name_single_users(ann: Any, ann_key: Key, bob: Any, bob_key: Key, mallory: Any, bucket: str) -> None:
    to_bob = f'id="{bob_key.user.pk.hex}"'
    ann.put_object(Bucket=bucket, Key="k", Body=b"x", GrantRead=to_bob, GrantReadACP=to_bob)
    assert body_of(bob.get_object(Bucket=bucket, Key="k")) == b"x"
    grants = bob.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    assert {each["Permission"] for each in grants} == {"READ", "READ_ACP"}
    for client, operation, more in (
        (bob, "put_object_acl", {"ACL": "public-read"}), (bob, "put_object", {"Body": b"y"}), (bob, "delete_object", {}),
        (mallory, "get_object", {}),
    ):
        with refused("AccessDenied", 403):
            getattr(client, operation)(Bucket=bucket, Key="k", **more)
    assert body_of(ann.get_object(Bucket=bucket, Key="k")) == b"x", "the list leaves its owner out, the role does not"
    ann.put_bucket_acl(Bucket=bucket, GrantFullControl=to_bob)
    bob.put_bucket_acl(Bucket=bucket, ACL="private")
    with refused("AccessDenied", 403):
        bob.get_bucket_acl(Bucket=bucket)


def test_a_copy_needs_both_ends(ann: Any, bob: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    bob.create_bucket(Bucket="bobs-bucket")
    bob.copy_object(Bucket="bobs-bucket", Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    with refused("AccessDenied", 403):
        ann.copy_object(Bucket="bobs-bucket", Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    with refused("AccessDenied", 403):
        ann.get_object(Bucket="bobs-bucket", Key="copy")


def test_a_presigned_address_can_do_what_its_signer_can(server: Server, ann: Any, bob: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = bob.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    server.url("GET", url).refused(403, "AccessDenied")
    ann.put_object_acl(Bucket=bucket, Key="k", ACL="authenticated-read")
    assert server.url("GET", url).body == b"x"


def test_a_key_that_is_for_less_gets_less_from_strangers_too(server: Server, ann: Any, bob_key: Key, bucket: str) -> None:
    project = Project.objects.get(name="bobs")
    ann.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="authenticated-read")
    ann.put_object(Bucket=bucket, Key="open", Body=b"x", ACL="public-read")
    program = application_credentials.create(actor=actor_in(bob_key.user, project), name="p", permissions=["compute.*"], unrestricted=True)
    from apps.identity.models import Credential

    made = access_keys.create(actor=actor_in(bob_key.user, project))
    Credential.objects.filter(pk=made.key.pk).update(application_credential=program.credential)
    limited = server.client(Key(bob_key.user, made.key.access or "", made.secret))
    assert body_of(limited.get_object(Bucket=bucket, Key="open")) == b"x"
    with refused("AccessDenied", 403):
        limited.get_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize("action", ["get_bucket_policy", "delete_bucket_policy"])
def test_policies_are_for_the_buckets_project_alone(ann: Any, bob: Any, bucket: str, action: str) -> None:
    put_policy(ann, bucket, {"Action": "s3:*", "Resource": "*"})
    with refused("AccessDenied", 403):
        getattr(bob, action)(Bucket=bucket)
    bob.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
