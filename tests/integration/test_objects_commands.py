"""Management commands of the object store: what they print, what they do, and their exit codes."""

import re
import uuid
from typing import Any

import pytest

from apps.common.ids import new_id
from apps.identity.models import Project
from apps.objects.models import Bucket, Version
from apps.objects.services import scrub
from apps.objects.stores import store
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
    assert {name: listed["shelf"][name] for name in ("objects", "object_bytes", "versions", "size_bytes", "uploads", "is_exact")} == {
        "objects": 1, "object_bytes": 5, "versions": 1, "size_bytes": 5, "uploads": 0, "is_exact": True,
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
    assert (code, text) == (0, "1 checked, 5 bytes read: nothing is wrong.\n")


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
    assert code == 1 and "object.damaged: shelf/whole" in text and "1 wrong, 0 of them mended" in text


def test_the_scrub_finds_what_belongs_to_nobody(demo: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "_SETTLED_S", 0)
    writer = store().receive(new_id())
    writer.write(b"orphan")
    writer.finish()
    writer.settle()
    code, text = run("object_scrub", "--quick")
    assert code == 1 and "content.unowned" in text
    assert run("object_scrub", "--quick", "--fix")[0] == 0
    assert run("object_scrub", "--quick")[0] == 0


@pytest.mark.parametrize(("way", "seen"), [("--rate=0", "12/12 bytes"), ("--quick", "2/2")])
def test_the_scrub_shows_a_bar_to_whoever_looks(
    demo: Shelf, way: str, seen: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    for key in ("a", "b"):
        demo.put(key, b"123456")
    assert run("object_scrub", way)[0] == 0
    shown = capsys.readouterr().err
    assert seen in re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", shown)
    monkeypatch.delenv("FORCE_COLOR")
    assert run("object_scrub", way)[0] == 0
    assert capsys.readouterr().err == "", "nobody looks, as in cron"


def test_a_scrub_that_is_stopped_tells_what_it_has_found(demo: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    lost, _ = demo.put("lost", b"12345"), demo.put("whole", b"12345")
    for path in (demo.root / "data").rglob(lost.pk.hex):
        path.unlink()
    look = scrub._look

    def until_the_second(blob_id: uuid.UUID, *rest: Any) -> Any:
        if blob_id != lost.pk:
            raise KeyboardInterrupt
        return look(blob_id, *rest)

    monkeypatch.setattr(scrub, "_look", until_the_second)
    code, text = run("object_scrub", "--rate", "0")
    assert code == 130 and "object.missing: shelf/lost" in text and "Stopped" in text


def test_a_list_for_people_has_names_of_projects_and_sizes_in_words(demo: Shelf) -> None:
    demo.put("a", b"x" * 2048)
    code, text = run("bucket_list", "--all")
    assert code == 0 and text.splitlines()[1].split()[:9] == ["shelf", "demo", "1", "1", "2", "KiB", "0", "never", "no"]
