"""Lists of objects and versions over S3."""

from typing import Any

import pytest

from tests.api.s3.kit import Key, Server, refused

KEYS = ["a", "b/1", "b/2", "b/c/3", "d e", "f+g", "ü"]


@pytest.fixture
def filled(ann: Any, bucket: str) -> str:
    for key in KEYS:
        ann.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def names(page: Any) -> list[str]:
    return [row["Key"] for row in page.get("Contents", [])]


def prefixes(page: Any) -> list[str]:
    return [row["Prefix"] for row in page.get("CommonPrefixes", [])]


def unquoted(client: Any, bucket: str) -> str:
    """An address that lists, by a signature of version 2, which is not over these parameters: a test adds its own."""
    url: str = client.generate_presigned_url("list_objects", Params={"Bucket": bucket})
    assert "Signature=" in url and "X-Amz-Signature" not in url
    return url.replace("encoding-type=url&", "")


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_all_are_listed_once_in_order_whatever_the_page(ann: Any, filled: str, operation: str, size: int) -> None:
    pages = list(ann.get_paginator(operation).paginate(Bucket=filled, PaginationConfig={"PageSize": size}))
    assert [key for page in pages for key in names(page)] == KEYS
    assert all(len(names(page)) <= size for page in pages)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_folders_are_common_prefixes(ann: Any, filled: str, operation: str, size: int) -> None:
    pages = list(ann.get_paginator(operation).paginate(Bucket=filled, Delimiter="/", PaginationConfig={"PageSize": size}))
    assert [key for page in pages for key in names(page)] == ["a", "d e", "f+g", "ü"]
    assert [prefix for page in pages for prefix in prefixes(page)] == ["b/"]
    inside = getattr(ann, operation)(Bucket=filled, Delimiter="/", Prefix="b/")
    assert (names(inside), prefixes(inside)) == (["b/1", "b/2"], ["b/c/"])


def test_the_second_form_says_what_it_was_asked(ann: Any, filled: str, ann_key: Key) -> None:
    page = ann.list_objects_v2(Bucket=filled, Prefix="b", StartAfter="b/1", MaxKeys=1, FetchOwner=True)
    assert (page["KeyCount"], page["MaxKeys"], page["IsTruncated"], page["StartAfter"], page["Prefix"]) == (1, 1, True, "b/1", "b")
    assert page["Contents"][0]["Key"] == "b/2"
    assert page["Contents"][0]["Owner"] == {"ID": ann_key.user.pk.hex, "DisplayName": "ann"}
    after = ann.list_objects_v2(Bucket=filled, Prefix="b", ContinuationToken=page["NextContinuationToken"])
    assert names(after) == ["b/c/3"]
    assert "Owner" not in after["Contents"][0]


def test_the_first_form_says_where_to_go_on(ann: Any, filled: str) -> None:
    page = ann.list_objects(Bucket=filled, Delimiter="/", MaxKeys=2)
    assert (names(page), prefixes(page), page["NextMarker"]) == (["a"], ["b/"], "b/")
    assert names(ann.list_objects(Bucket=filled, Delimiter="/", Marker=page["NextMarker"])) == ["d e", "f+g", "ü"]
    assert "NextMarker" not in ann.list_objects(Bucket=filled, MaxKeys=2)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2", "list_object_versions"])
def test_limits_of_pages(ann: Any, filled: str, operation: str) -> None:
    none = getattr(ann, operation)(Bucket=filled, MaxKeys=0)
    assert (names(none), none["IsTruncated"]) == ([], False)
    assert getattr(ann, operation)(Bucket=filled, MaxKeys=5000)["MaxKeys"] == 1000
    for wrong in (-1, 2**31):
        with refused("InvalidArgument", 400):
            getattr(ann, operation)(Bucket=filled, MaxKeys=wrong)


@pytest.mark.parametrize("query", ["list-type=3", "encoding-type=xml", "max-keys=x", "list-type=2&continuation-token=%21", "list-type=2&continuation-token="])
def test_what_makes_no_sense_is_refused(server: Server, ann: Any, bucket: str, query: str) -> None:
    server.url("GET", f"{unquoted(ann, bucket)}&{query}").refused(400, "InvalidArgument")


def test_keys_are_only_quoted_if_asked(server: Server, ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="a b+<ü>", Body=b"")
    url = unquoted(ann, bucket)
    assert server.url("GET", url).xml.findtext("Contents/Key") == "a b+<ü>"
    assert server.url("GET", f"{url}&encoding-type=url").xml.findtext("Contents/Key") == "a%20b%2B%3C%C3%BC%3E"


def test_versions_and_markers_are_listed_the_newest_first(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"0")
    ann.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    made = [ann.put_object(Bucket=bucket, Key="k", Body=str(number).encode())["VersionId"] for number in (1, 2)]
    marker = ann.delete_object(Bucket=bucket, Key="k")["VersionId"]
    ann.put_object(Bucket=bucket, Key="other/x", Body=b"")
    page = ann.list_object_versions(Bucket=bucket)
    assert [(row["VersionId"], row["IsLatest"]) for row in page["Versions"] if row["Key"] == "k"] == [
        (made[1], False), (made[0], False), ("null", False),
    ]
    assert [(row["Key"], row["VersionId"], row["IsLatest"]) for row in page["DeleteMarkers"]] == [("k", marker, True)]
    for size in (1, 2, 3):
        seen = []
        for part in ann.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": size}):
            seen += [row["VersionId"] for row in (*part.get("Versions", []), *part.get("DeleteMarkers", [])) if row["Key"] == "k"]
        assert sorted(seen) == sorted([*made, marker, "null"])
    assert prefixes(ann.list_object_versions(Bucket=bucket, Delimiter="/")) == ["other/"]
    with refused("InvalidArgument", 400):
        ann.list_object_versions(Bucket=bucket, VersionIdMarker=marker)
