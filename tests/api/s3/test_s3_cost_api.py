"""What requests to S3 cost: statements on the database, counted."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext


@pytest.fixture
def warm(ann: Any, bucket: str) -> str:
    """A bucket with an object; that the key is in use was noted."""
    ann.put_object(Bucket=bucket, Key="k", Body=b"x")
    return bucket


@pytest.mark.parametrize(
    ("operation", "arguments", "most"),
    [
        ("head_object", {"Key": "k"}, 2), ("get_object", {"Key": "k"}, 2), ("list_objects_v2", {}, 3), ("put_object", {"Key": "k2", "Body": b"y"}, 8),
        ("delete_object", {"Key": "k"}, 9),
    ],
    ids=["head", "get", "list", "put", "delete"],
)
def test_statements_of_a_request(ann: Any, warm: str, operation: str, arguments: dict[str, Any], most: int) -> None:
    with CaptureQueriesContext(connection) as captured:
        getattr(ann, operation)(Bucket=warm, **arguments)
    assert len(captured) <= most, [query["sql"][:80] for query in captured]
