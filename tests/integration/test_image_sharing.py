"""Who sees an image, who changes it, and what is said of it."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from apps.common.context import SYSTEM, Actor
from apps.common.errors import NotFound
from apps.images import properties, selectors
from apps.images.models import Image, Member
from apps.images.services import images, members
from apps.images.states import MOST_MEMBERS
from tests.support.cloud import make_image, make_project, refusal, unlimited
from tests.support.identity import make_actor

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    unlimited()


@pytest.fixture
def owner() -> Actor:
    return make_actor(make_project())


@pytest.fixture
def friend() -> Actor:
    return make_actor(make_project())


def of(owner: Actor, visibility: str, **fields: Any) -> Image:
    return make_image(project_id=owner.project_id, visibility=visibility, **fields)


def listed(actor: Actor, **wanted: Any) -> list[Image]:
    return list(selectors.found(actor=actor, **wanted).order_by("pk"))


def share(owner: Actor, row: Image, friend: Actor) -> Member:
    assert friend.project_id is not None
    return members.add(actor=owner, image_id=row.pk, project_id=friend.project_id)


def say(friend: Actor, row: Image, status: str) -> Member:
    assert friend.project_id is not None
    return members.answer(actor=friend, image_id=row.pk, project_id=friend.project_id, status=status)


def uses(actor: Actor, row: Image) -> bool:
    try:
        return selectors.image(actor=actor, image_id=row.pk) == row
    except NotFound:
        return False


def test_a_private_image_is_the_projects_own(owner: Actor, friend: Actor) -> None:
    row = of(owner, "private")
    assert listed(owner) == [row] and listed(friend) == [] and not uses(friend, row)
    assert refusal(selectors.shown, actor=friend, image_id=row.pk).kind == "not_found"


def test_a_public_image_is_in_everybodys_list(owner: Actor, friend: Actor) -> None:
    row = of(owner, "public")
    assert listed(owner) == listed(friend) == [row] and uses(friend, row)


def test_a_community_image_is_used_by_whoever_knows_it_and_listed_for_whoever_asks(owner: Actor, friend: Actor) -> None:
    row = of(owner, "community")
    assert listed(owner) == [row] and listed(friend) == [] and uses(friend, row)
    assert listed(friend, visibility="community") == [row]
    assert refusal(selectors.image_named, actor=friend, name=row.name).code == "image.not_found"
    assert refusal(images.update, actor=friend, image_id=row.pk, name="mine").code == "image.not_yours"


def test_a_shared_image_is_used_by_projects_that_accept_it(owner: Actor, friend: Actor) -> None:
    row, stranger = of(owner, "shared"), make_actor(make_project())
    assert refusal(selectors.shown, actor=friend, image_id=row.pk).kind == "not_found"
    assert share(owner, row, friend).status == "pending"
    assert selectors.shown(actor=friend, image_id=row.pk) == row and not uses(friend, row) and listed(friend) == []
    assert listed(friend, member_status="pending") == [row] and listed(friend, member_status="accepted") == []
    say(friend, row, "accepted")
    assert uses(friend, row) and listed(friend) == [row] == listed(friend, member_status="accepted", visibility="shared")
    assert selectors.image_named(actor=friend, name=row.name) == row
    say(friend, row, "rejected")
    assert not uses(friend, row) and listed(friend) == [] and listed(friend, member_status="all") == [row]
    say(friend, row, "accepted")
    members.remove(actor=owner, image_id=row.pk, project_id=friend.project_id)  # type: ignore[arg-type]
    assert not uses(friend, row) and refusal(selectors.shown, actor=friend, image_id=row.pk).kind == "not_found"
    assert not uses(stranger, row) and listed(stranger, member_status="all") == []


def test_members_count_as_long_as_it_is_shared(owner: Actor, friend: Actor) -> None:
    row = of(owner, "shared")
    share(owner, row, friend)
    say(friend, row, "accepted")
    images.update(actor=owner, image_id=row.pk, visibility="private")
    assert not uses(friend, row) and listed(friend) == []
    images.update(actor=owner, image_id=row.pk, visibility="shared")
    assert uses(friend, row)


def test_only_the_owner_shares_and_only_the_member_answers(owner: Actor, friend: Actor) -> None:
    row, other = of(owner, "shared"), make_project()
    share(owner, row, friend)
    assert refusal(members.add, actor=friend, image_id=row.pk, project_id=other.pk).code == "image.not_yours"
    assert refusal(members.remove, actor=friend, image_id=row.pk, project_id=friend.project_id).code == "image.not_yours"
    error = refusal(members.answer, actor=owner, image_id=row.pk, project_id=friend.project_id, status="accepted")
    assert (error.kind, error.code) == ("forbidden", "policy.forbidden")
    share(owner, row, make_actor(other))
    assert {each.project_id for each in selectors.members(actor=owner, image_id=row.pk)} == {friend.project_id, other.pk}
    assert {each.project_id for each in selectors.members(actor=friend, image_id=row.pk)} == {friend.project_id}
    assert refusal(selectors.member, actor=friend, image_id=row.pk, project_id=other.pk).code == "image.member_not_found"


def test_what_cannot_be_shared_is_refused(owner: Actor, friend: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    for visibility in ("private", "community", "public"):
        row = of(owner, visibility)
        error = refusal(share, owner, row, friend)
        assert (error.kind, error.code, error.facts["visibility"]) == ("invalid_state", "image.visibility", visibility)
    row = of(owner, "shared")
    share(owner, row, friend)
    assert refusal(share, owner, row, friend).code == "image.member_exists"
    assert refusal(share, owner, row, owner).code == "image.member"
    assert refusal(members.remove, actor=owner, image_id=row.pk, project_id=uuid.uuid4()).code == "image.member_not_found"
    assert refusal(say, friend, row, "perhaps").code == "image.member_status"
    Member.objects.bulk_create(
        Member(image=row, project_id=uuid.uuid4(), created_at=row.created_at, updated_at=row.created_at) for _ in range(MOST_MEMBERS - 1)
    )
    assert refusal(share, owner, row, make_actor(make_project())).code == "image.members"


def test_operators_publish(owner: Actor) -> None:
    row = of(owner, "private")
    assert refusal(images.update, actor=owner, image_id=row.pk, visibility="public").code == "policy.forbidden"
    assert images.update(actor=SYSTEM, image_id=row.pk, visibility="public").visibility == "public"


def test_a_protected_image_is_not_deleted(owner: Actor) -> None:
    row = of(owner, "private", sha256="1" * 64)
    images.update(actor=owner, image_id=row.pk, protected=True)
    error = refusal(images.delete, actor=owner, image_id=row.pk)
    assert (error.kind, error.code) == ("invalid_state", "image.protected")
    images.update(actor=owner, image_id=row.pk, protected=False)
    Image.objects.filter(pk=row.pk).update(size_bytes=0)
    row.refresh_from_db()


def test_a_deactivated_image_is_seen_and_not_used(owner: Actor) -> None:
    row = of(owner, "private")
    assert refusal(images.deactivate, actor=owner, image_id=row.pk).code == "policy.forbidden"
    assert images.deactivate(actor=SYSTEM, image_id=row.pk).state == "deactivated"
    assert refusal(images.deactivate, actor=SYSTEM, image_id=row.pk).code == "image.state"
    assert refusal(selectors.readable, actor=owner, image_id=row.pk).code == "image.state"
    assert selectors.readable(actor=SYSTEM, image_id=row.pk) == row
    assert refusal(selectors.with_content, image_id=row.pk).code == "image.not_found"
    assert refusal(selectors.image_named, actor=owner, name=row.name).code == "image.not_found"
    assert images.reactivate(actor=SYSTEM, image_id=row.pk).state == "active"
    assert selectors.readable(actor=owner, image_id=row.pk) == row


def test_lists_are_filtered(owner: Actor) -> None:
    small = of(owner, "private", name="small", size_bytes=10, properties={"architecture": "aarch64"}, protected=True)
    large = of(owner, "private", name="large", size_bytes=10_000, properties={"architecture": "x86_64"}, disk_format="raw")
    images.update(actor=owner, image_id=large.pk, tags=["lts", "big"])
    for wanted, found in (
        ({"name": "small"}, [small]), ({"tag": "lts"}, [large]), ({"tag": "l"}, []), ({"architecture": "aarch64"}, [small]),
        ({"least_bytes": 11}, [large]), ({"most_bytes": 10}, [small]), ({"least_bytes": 10, "most_bytes": 10_000}, [small, large]),
        ({"protected": True}, [small]), ({"disk_format": "raw"}, [large]), ({"state": "active"}, [small, large]), ({"state": "queued"}, []),
        ({"project_id": owner.project_id}, [small, large]),
    ):
        assert listed(owner, **wanted) == found, wanted
    stranger = make_actor(make_project())
    for beyond in ({"project_id": owner.project_id}, {"all_projects": True}):
        assert refusal(listed, stranger, **beyond).code == "policy.forbidden"
        assert listed(SYSTEM, **beyond) == [small, large]


def test_what_is_given_replaces_all_of_it_and_the_rest_stays(owner: Actor) -> None:
    row = images.register(
        actor=owner, name="i", disk_format="raw", properties={"os_distro": "Debian", "note": "Mine"}, tags=["b", "a", "a"], min_disk_gb=3
    )
    assert (row.properties, images.tags_of(row)) == ({"os_distro": "debian", "note": "Mine"}, ["a", "b"])
    changed = images.update(actor=owner, image_id=row.pk, properties={"architecture": "AMD64"}, tags=["c"], name="j", disk_format="qcow2")
    assert (changed.properties, images.tags_of(changed), changed.min_disk_gb) == ({"architecture": "x86_64"}, ["c"], 3)
    assert Image.objects.get(pk=row.pk).name == "j"
    whole = of(owner, "private")
    assert refusal(images.update, actor=owner, image_id=whole.pk, disk_format="raw").field == "disk_format"
    for tags in ([""], ["x" * 256], ["a\n"], [str(number) for number in range(129)]):
        assert refusal(images.update, actor=owner, image_id=row.pk, tags=tags).code == "image.tags"
    assert refusal(images.update, actor=owner, image_id=row.pk, visibility="secret").code == "image.visibility"


WRONG = [
    ("architecture", "pdp11"), ("hw_firmware_type", "coreboot"), ("hw_disk_bus", "floppy"), ("hw_qemu_guest_agent", "perhaps"),
    ("hw_machine_type", "a b"), ("os_distro", ""), ("os_admin_user", "-rf"), ("trait:NO_SUCH", "required"), ("trait:CUSTOM_GPU", "maybe"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_known_property_has_a_type(owner: Actor, name: str, value: str) -> None:
    error = refusal(images.register, actor=owner, name="i", disk_format="raw", properties={name: value})
    assert (error.kind, error.code, error.field) == ("invalid", "image.property", f"properties.{name}")


def test_what_hosts_are_to_know_is_read_from_properties() -> None:
    given = {"hw_firmware_type": "UEFI", "hw_disk_bus": "scsi", "hw_qemu_guest_agent": "True", "hw_machine_type": "q35", "hw_vif_model": "e1000"}
    found = properties.hardware(properties.checked(given))
    assert found == properties.Hardware(firmware="uefi", disk_bus="scsi", nic_model="e1000", machine="q35", guest_agent=True)
    assert properties.hardware({}) == properties.Hardware()
