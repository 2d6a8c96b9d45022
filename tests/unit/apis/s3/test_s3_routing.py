"""Which operation a request is, against the whole service model that boto3 comes with."""

import contextlib
import io
import re
from pathlib import Path

import botocore.session
import pytest
from botocore.model import OperationModel

from apis.s3 import request, routing
from apis.s3.errors import Refused
from apis.s3.operations.offered import OFFERED
from apis.s3.request import Request

MODEL = botocore.session.get_session().get_service_model("s3")
# The older of two names for the same request, and one that the address of another service tells apart.
SAME = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration", "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration", "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
}


def asked(method: str, target: str, headers: dict[str, str] | None = None, host: str = "s3.test") -> Request:
    path, _, query = target.partition("?")
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "HTTP_HOST": host, "wsgi.input": io.BytesIO()}
    for name, value in (headers or {}).items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return request.read(environ, domains=("s3.test",))


def sent(model: OperationModel, bucket: str = "bucket") -> tuple[str, str, dict[str, str]]:
    """Method, target and headers of an operation, with what it cannot do without."""
    uri = model.http["requestUri"].replace("{Bucket}", bucket).replace("{Key+}", "some/key")
    headers, query = {}, []
    for name in model.input_shape.required_members if model.input_shape else ():
        where = model.input_shape.members[name].serialization
        if where.get("location") == "querystring":
            query.append(f"{where['name']}=1")
        elif where.get("location") == "header":
            headers[where["name"]] = "1"
    path, _, marks = uri.partition("?")
    return model.http["method"], "?".join(filter(None, (path, "&".join(filter(None, (marks, *query)))))), headers


@pytest.mark.parametrize("name", sorted(MODEL.operation_names))
def test_every_operation_of_the_service_model_is_known_by_its_request(name: str) -> None:
    assert routing.operation(asked(*sent(MODEL.operation_model(name)))) == SAME.get(name, name)


def test_the_table_has_the_operations_of_the_service_model_and_the_form() -> None:
    assert set(routing.TABLE) == {*MODEL.operation_names, "PostObject"}


def test_what_is_offered_is_in_the_table() -> None:
    assert OFFERED.keys() <= routing.TABLE.keys()
    assert not OFFERED.keys() & SAME.keys()


def test_the_operators_page_names_what_is_offered_and_nothing_else() -> None:
    page = Path(__file__).parents[4].joinpath("docs", "s3.md").read_text()
    rows = [line for line in page.split("## What is offered")[1].split("\n## ")[0].splitlines() if line.startswith("| ")]
    assert sorted(name for row in rows for name in re.findall(r"`([A-Z]\w+[a-z]\w*)`", row)) == sorted(OFFERED)


@pytest.mark.parametrize("parameter", sorted(routing.subresources()))
def test_a_bucket_is_not_deleted_by_a_request_about_something_else(parameter: str) -> None:
    found = ""
    with contextlib.suppress(Refused):
        found = routing.operation(asked("DELETE", f"/bucket?{parameter}"))
    assert found != "DeleteBucket"


@pytest.mark.parametrize(
    ("method", "target"),
    [("PUT", "/bucket/key?partNumber=1"), ("PUT", "/bucket/key?uploadId=1"), ("PUT", "/bucket/key?uploads"), ("PUT", "/"), ("PATCH", "/bucket/key"),
     ("HEAD", "/bucket/key?acl"), ("DELETE", "/bucket/key?acl")],
)
def test_what_is_no_operation_is_refused_with_what_would_be(method: str, target: str) -> None:
    with pytest.raises(Refused) as caught:
        routing.operation(asked(method, target))
    assert caught.value.code == "MethodNotAllowed"
    assert method not in re.split(", ", caught.value.headers["Allow"]) or "?" in target


def test_parameters_that_nobody_knows_change_nothing() -> None:
    assert routing.operation(asked("GET", "/bucket/key?x-id=GetObject&versionId=1&partNumber=2")) == "GetObject"


@pytest.mark.parametrize(
    ("host", "target", "bucket", "key"),
    [
        ("s3.test", "/bucket/a/b", "bucket", "a/b"), ("s3.test:8610", "/bucket//a", "bucket", "/a"), ("bucket.s3.test", "/a/b", "bucket", "a/b"),
        ("my.bucket.S3.test:80", "/", "my.bucket", ""), ("other.example", "/bucket/", "bucket", ""), ("s3.test", "/", "", ""),
    ],
)
def test_the_bucket_is_in_the_path_or_in_the_host(host: str, target: str, bucket: str, key: str) -> None:
    found = asked("GET", target, host=host)
    assert (found.bucket, found.key) == (bucket, key)


def test_keys_have_at_most_1024_bytes() -> None:
    assert asked("GET", "/bucket/" + "a" * 1024).key == "a" * 1024
    with pytest.raises(Refused, match="too long"):
        asked("GET", "/bucket/" + "ü".encode().decode("latin-1") * 513)


@pytest.mark.parametrize("path", ["/bucket/\xff", "/bucket/a\x00b"])
def test_a_path_that_is_no_text_is_refused(path: str) -> None:
    with pytest.raises(Refused) as caught:
        asked("GET", path)
    assert caught.value.code == "InvalidURI"
