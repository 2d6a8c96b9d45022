"""What may be the name of a bucket, a key, a tag; and what comes behind a prefix."""

import pytest

from apps.common.errors import CloudError, Invalid
from apps.objects.inputs import About
from apps.objects.selectors.listing import _start, behind
from apps.objects.services import checking


def refused(check: object, *given: object, **more: object) -> str | None:
    try:
        check(*given, **more)  # type: ignore[operator]
    except CloudError as error:
        return error.code
    return None


@pytest.mark.parametrize("name", ["abc", "a-b.c", "1bucket", "a" * 63])
def test_good_bucket_names(name: str) -> None:
    checking.check_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Abc", "a_b", "-abc", "abc-", ".abc", "a..b", "a.-b", "a-.b", "192.168.5.4", "xn--abc", "abc-s3alias", "a b", "abc\n", ""],
)
def test_bad_bucket_names(name: str) -> None:
    assert refused(checking.check_bucket_name, name) == "bucket.name"


def test_keys_have_1_to_1024_bytes_of_utf_8_and_no_nul() -> None:
    checking.check_key("ü" * 512)
    for key in ("", "ü" * 512 + "x", "a\0b", "\ud800"):
        assert refused(checking.check_key, key) == "key.invalid"
    with pytest.raises(Invalid) as caught:
        checking.check_key("x" * 1025)
    assert caught.value.facts["too_long"] is True


def test_metadata_and_tags_have_their_limits() -> None:
    checking.check_about(About(metadata={"a": "b" * 2047}, tags={"a b": "c/d@e"}))
    assert refused(checking.check_about, About(metadata={"a": "b" * 2048})) == "object.metadata"
    assert refused(checking.check_about, About(headers={"x-other": "1"})) == "object.metadata"
    for tags in ({str(n): "" for n in range(11)}, {"": "x"}, {"a" * 129: ""}, {"a": "b" * 257}, {"a<": ""}, {"aws:a": ""}):
        assert refused(checking.check_about, About(tags=tags)) == "tags.invalid"


@pytest.mark.parametrize(
    ("prefix", "first"),
    [("a/", "a0"), ("a", "b"), ("a\U0010ffff", "b"), ("\ud7ff", "\ue000"), ("\U0010ffff", None), ("", None), ("z\U0010ffff\U0010ffff", "{")],
)
def test_behind_a_prefix_is_the_first_text_that_is_greater_than_all_with_it(prefix: str, first: str | None) -> None:
    assert behind(prefix) == first
    if first is not None:
        assert (prefix + "\U0010ffff" * 3).encode() < first.encode()


@pytest.mark.parametrize(
    ("prefix", "after", "start"),
    [
        ("", "", ""), ("p/", "", "p/"), ("p/", "a", "p/"),
        ("", "a", "a\x01"), ("", "a/", "a0"), ("", "a/b", "a/b\x01"), ("p/", "p/a/", "p/a0"), ("p/", "p/", "p/\x01"), ("p/", "q", "q\x01"),
    ],
)
def test_a_page_goes_on_behind_a_key_and_behind_all_of_a_common_prefix(prefix: str, after: str, start: str) -> None:
    assert _start(prefix, "/", after) == start
