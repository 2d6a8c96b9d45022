"""Bucket policies."""

import json

import orjson

from apis.s3.answers import Answer, nothing
from apis.s3.call import Call
from apis.s3.errors import Refused
from apps.objects.selectors import buckets as reads
from apps.objects.services import buckets

_MOST = 20 * 1024


def get(call: Call) -> Answer:
    """GetBucketPolicy."""
    row = reads.bucket(actor=call.actor, name=call.bucket, action="s3:GetBucketPolicy", context=call.context)
    if row.policy is None:
        raise Refused("NoSuchBucketPolicy", BucketName=call.bucket)
    return Answer(headers={"Content-Type": "application/json"}, body=orjson.dumps(row.policy))


def put(call: Call) -> Answer:
    """PutBucketPolicy."""
    content = call.content(most=_MOST)
    try:
        # Of a name that comes twice, JSON says nothing; a policy that two readers read differently is none.
        policy = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Refused("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'") from None
    if not isinstance(policy, dict):
        raise Refused("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'")
    buckets.put_policy(actor=call.actor, name=call.bucket, policy=policy, context=call.context)
    return nothing()


def delete(call: Call) -> Answer:
    """DeleteBucketPolicy."""
    buckets.put_policy(actor=call.actor, name=call.bucket, policy=None, context=call.context)
    return nothing()


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name comes twice")
    return dict(pairs)
