"""Management commands of the object store: what they print, what they do, and their exit codes."""

import pytest

from apps.identity.models import Project
from apps.objects.models import Bucket, Version
from tests.support.commands import as_json, run
from tests.support.objects import Shelf


@pytest.fixture
def demo(shelf: Shelf) -> Shelf:
    """Its project named as the commands expect it."""
    Project.objects.filter(pk=shelf.project.pk).update(name="demo")
    return shelf


def test_a_bucket_is_made_listed_and_deleted(demo: Shelf) -> None:
    assert as_json("bucket_create", "site", "--acl", "public-read")["name"] == "site"
    assert Bucket.objects.get(name="site").acl == {"canned": "public-read"}
    demo.put("a", b"12345")
    listed = {each["name"]: each for each in as_json("bucket_list")}
    assert {name: listed["shelf"][name] for name in ("objects", "versions", "size_bytes", "uploads", "is_exact")} == {
        "objects": 1, "versions": 1, "size_bytes": 5, "uploads": 0, "is_exact": True,
    }
    assert set(listed) == {"site", "shelf"} == {each["name"] for each in as_json("bucket_list", "--all")}
    code, text = run("bucket_create", "site")
    assert (code, "(bucket.yours)" in text) == (4, True)
    assert run("bucket_delete", "site", "none-such")[0] == 3
    assert Bucket.objects.filter(name="site").exists(), "a typing error deletes nothing"
    code, text = run("bucket_delete", "shelf")
    assert (code, "(bucket.not_empty)" in text) == (4, True)
    code, text = run("bucket_delete", "site")
    assert (code, text) == (0, "The bucket site is deleted.\n")


def test_the_scrub_finds_nothing_where_nothing_is_wrong(demo: Shelf) -> None:
    demo.put("a", b"12345")
    code, text = run("object_scrub", "--rate", "0")
    assert code == 0 and "1 checked" in text and "0 wrong" in text


def test_the_scrub_tells_what_is_wrong_and_mends_what_it_can(demo: Shelf) -> None:
    whole, lost = demo.put("whole", b"12345"), demo.put("lost", b"12345")
    for path in (demo.root / "data").rglob(lost.pk.hex):
        path.unlink()
    for path in (demo.root / "data").rglob(whole.pk.hex):
        path.chmod(0o600)
        path.write_bytes(b"54321")
    assert as_json("object_scrub", "--quick", code=1)["findings"][0]["code"] == "object.missing"
    found = as_json("object_scrub", "--rate", "0", code=1)
    assert {each["code"] for each in found["findings"]} == {"object.missing", "object.damaged"}
    assert {each["where"].partition(" ")[0] for each in found["findings"]} == {"shelf/lost", "shelf/whole"}
    assert as_json("object_scrub", "--rate", "0", "--fix", code=1)["fixed"] == 1
    assert list(Version.objects.values_list("key", flat=True)) == ["whole"]
    code, text = run("object_scrub", "--rate", "0")
    assert code == 1 and "object.damaged: shelf/whole" in text
