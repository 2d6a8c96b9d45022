"""Commands of images: shown, changed, shared, taken out of use, deleted."""

from pathlib import Path
from typing import Any

import pytest

from apps.images.models import Image
from tests.support.cloud import Cloud, make_image, make_project
from tests.support.commands import as_json, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "images"


@pytest.fixture
def demo(cloud: Cloud) -> Cloud:
    cloud.project.name = "demo"
    cloud.project.save()
    return cloud


def test_an_image_is_imported_with_all_that_is_said_of_it(demo: Cloud, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"\0" * 5000)
    base = ["image_import", str(tmp_path / "disk"), "--name", "d", "--format", "raw"]
    assert run(*base, "--sha256", "0" * 64)[0] == 2
    made = as_json(*base, "--visibility", "community", "--protected", "--property", "architecture=amd64", "--tag", "lts")
    assert (made["visibility"], made["protected"], made["properties"], made["tags"]) == (
        "community", True, {"architecture": "x86_64"}, ["lts"],
    )
    assert [each["name"] for each in as_json("image_list", "--tag", "lts")] == ["d"]
    assert as_json("image_show", "d")["id"] == made["id"]
    assert run("image_delete", "d")[0] == 4
    as_json("image_set", "d", "--no-protected", "--unset", "architecture", "--untag", "lts", "--tag", "old", "--name", "e")
    shown = as_json("image_show", made["id"])
    assert (shown["name"], shown["properties"], shown["tags"]) == ("e", {}, ["old"])
    assert run("image_set", "e")[0] == 2
    assert run("image_deactivate", "e") == (0, "e is deactivated.\n")
    assert as_json("image_reactivate", made["id"])["state"] == "active"
    assert run("image_delete", "e")[0] == 0
    assert run("image_show", "e")[0] == 3
    assert list((tmp_path / "images" / "content").glob("*/*")) == []


def test_an_image_is_shared_at_the_shell(demo: Cloud) -> None:
    make_project("blue")
    image = make_image(demo.project, name="s", visibility="shared")
    assert as_json("image_member_add", "s", "blue")["status"] == "pending"
    assert run("image_member_add", "s", "blue")[0] == 4
    assert [each["name"] for each in as_json("image_list", "--project", "blue", "--member-status", "pending")] == ["s"]
    assert as_json("image_member_set", str(image.pk), "accepted", "--project", "blue")["status"] == "accepted"
    assert [each["status"] for each in as_json("image_member_list", "s")] == ["accepted"]
    assert as_json("image_member_remove", "s", "blue")["removed"]
    assert as_json("image_member_list", "s") == []
    assert Image.objects.filter(pk=image.pk).exists()


def test_a_conversion_is_ordered_at_the_shell(demo: Cloud, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"disk" * 1024)
    as_json("image_import", str(tmp_path / "disk"), "--name", "d", "--format", "raw", "--tag", "lts")
    made = as_json("image_convert", "d", "--format", "qcow2")
    assert (made["image"]["name"], made["image"]["state"], made["image"]["tags"]) == ("d (qcow2)", "importing", ["lts"])
    assert (made["operation"]["kind"], made["operation"]["state"]) == ("image.convert", "queued")
    assert run("image_convert", "d", "--format", "raw")[0] == 2, "it is raw already"
    assert run("image_convert", "d", "--format", "qcow2", "--wait", "--timeout", "0")[0] == 5, "no worker is there"
