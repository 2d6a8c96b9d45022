"""To whom a bucket is open, in one word."""

from typing import Any

import pytest

from apps.objects.access import policy
from apps.objects.access.exposure import Exposure, exposure

OWNER = "0190f0c7a1b27c3d8e4f5a6b7c8d9e0f"
FRIEND = "0190f0c7a1b27c3d8e4f5a6b7c8d9e10"
OF_ALL = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}


def of_policy(**changed: Any) -> Exposure:
    statement = {name: value for name, value in {**OF_ALL, **changed}.items() if value is not None}
    return exposure(None, policy.read({"Version": "2012-10-17", "Statement": [statement]}, bucket="b"), owner=OWNER)


@pytest.mark.parametrize(
    ("access_list", "found"),
    [
        (None, Exposure.NOBODY), ({"canned": "private"}, Exposure.NOBODY), ({"canned": "authenticated-read"}, Exposure.SOME),
        ({"canned": "public-read"}, Exposure.READ), ({"canned": "public-read-write"}, Exposure.WRITE),
        ({"grants": [{"grantee": OWNER, "permission": "FULL_CONTROL"}]}, Exposure.NOBODY),
        ({"grants": [{"grantee": FRIEND, "permission": "FULL_CONTROL"}]}, Exposure.SOME),
        ({"grants": [{"grantee": "all", "permission": "READ_ACP"}]}, Exposure.READ),
        ({"grants": [{"grantee": "all", "permission": "WRITE_ACP"}]}, Exposure.WRITE),
    ],
)
def test_an_access_list_opens_a_bucket_as_far_as_its_widest_grant(access_list: Any, found: Exposure) -> None:
    assert exposure(access_list, None, owner=OWNER) is found


def test_a_policy_opens_a_bucket_to_all_where_it_names_all_and_asks_for_nothing() -> None:
    assert of_policy() is Exposure.READ
    assert of_policy(Action="s3:*") is Exposure.WRITE
    assert of_policy(Action="s3:PutObject", Resource="arn:aws:s3:::b/in/*") is Exposure.WRITE
    assert of_policy(Action=None, NotAction="s3:GetObject") is Exposure.WRITE
    assert of_policy(Action=None, NotAction=["s3:Put*", "s3:Delete*"]) is Exposure.READ


def test_a_policy_with_a_condition_or_for_somebody_opens_a_bucket_to_some() -> None:
    assert of_policy(Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}) is Exposure.SOME
    assert of_policy(Resource="arn:aws:s3:::b/${aws:username}/*") is Exposure.SOME
    assert of_policy(Principal={"AWS": f"arn:aws:iam::{FRIEND}:root"}, Action="s3:*", Resource=["arn:aws:s3:::b", "arn:aws:s3:::b/*"]) is Exposure.SOME


def test_what_a_policy_denies_opens_nothing() -> None:
    assert of_policy(Effect="Deny") is Exposure.NOBODY
