"""What an instance asks of its host, out of flavor, image and request."""

from typing import Any

import pytest

from apps.common.context import Actor
from apps.common.errors import CloudError
from apps.compute.models import Flavor
from apps.compute.services import needs
from apps.images.models import Image

TENANT = Actor(user_id=None, user_name="ann", project_id=None)


def gathered(*, properties: dict[str, Any] | None = None, wanted: dict[str, Any] | None = None, **flavor: Any) -> dict[str, Any]:
    return needs.gather(actor=TENANT, flavor=Flavor(name="f", **flavor), image=Image(name="i", properties=properties or {}), **(wanted or {}))


def refused(**given: Any) -> CloudError:
    with pytest.raises(CloudError) as refusal:
        gathered(**given)
    return refusal.value


def test_who_asks_for_nothing_needs_nothing() -> None:
    assert gathered() == {}


def test_traits_come_from_flavor_image_and_request() -> None:
    found = gathered(
        required_traits=["HW_CPU_X86_VMX"], forbidden_traits=["CUSTOM_SLOW"], host_metadata={"ssd": "true"},
        properties={"trait:CUSTOM_GPU": "required", "trait:STORAGE_DISK_HDD": "forbidden", "os_distro": "debian"},
        wanted={"required_traits": ["HW_CPU_X86_AVX2", "CUSTOM_GPU"]},
    )
    assert found == {
        "required_traits": ["CUSTOM_GPU", "HW_CPU_X86_AVX2", "HW_CPU_X86_VMX"],
        "forbidden_traits": ["CUSTOM_SLOW", "STORAGE_DISK_HDD"], "host_metadata": {"ssd": "true"},
    }


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"architecture": "x86_64"}, {"architecture": "x86_64"}),
        ({"hw_architecture": "AMD64"}, {"architecture": "x86_64"}),
        ({"architecture": "arm64", "hypervisor_type": "QEMU"}, {"architecture": "aarch64", "hypervisor_type": "qemu"}),
        ({"img_hv_type": "kvm"}, {"hypervisor_type": "kvm"}),
    ],
)
def test_images_say_what_they_run_on_in_old_words_and_new(said: dict[str, str], kept: dict[str, str]) -> None:
    assert gathered(properties=said) == {"image": kept}


def test_a_trait_that_is_required_and_forbidden_is_refused_naming_who_wants_it() -> None:
    error = refused(forbidden_traits=["CUSTOM_GPU"], properties={"trait:CUSTOM_GPU": "required"})
    assert (error.code, error.field) == ("instance.traits", "flavor_id")
    assert "the image requires the trait CUSTOM_GPU, and the flavor forbids it" in error.message
    error = refused(forbidden_traits=["CUSTOM_GPU"], wanted={"required_traits": ["CUSTOM_GPU"]})
    assert (error.code, error.field) == ("instance.traits", "required_traits")


def test_a_trait_that_cannot_be_is_refused_where_it_stands() -> None:
    error = refused(wanted={"required_traits": ["HW_CPU_X86_AVX3000"]})
    assert (error.code, error.field) == ("trait.unknown", "required_traits")
    assert (refused(properties={"trait:nothing": "required"}).code) == "image.trait"
    error = refused(properties={"trait:CUSTOM_GPU": "perhaps"})
    assert (error.code, error.field) == ("image.trait", "image_id")


def test_tenants_name_no_hosts_and_do_not_learn_which_there_are() -> None:
    for wish in ("hosts", "avoided_hosts"):
        assert refused(wanted={wish: ["no-such-host"]}).code == "policy.forbidden"
