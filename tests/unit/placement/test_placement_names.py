"""Resource classes and traits by name."""

import os_resource_classes
import os_traits
import pytest

from apps.placement import names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CUSTOM_GOLD", True), ("CUSTOM_A1_B", True), ("CUSTOM_", False), ("CUSTOM_gold", False), ("GOLD", False), ("CUSTOM_A-B", False),
        ("CUSTOM_A\n", False), ("CUSTOM_" + "A" * 248, True), ("CUSTOM_" + "A" * 249, False),
    ],
    ids=["plain", "digits", "empty", "lower case", "no prefix", "dash", "line feed", "longest", "too long"],
)
def test_only_some_names_may_be_made(name: str, expected: bool) -> None:
    assert names.is_custom(name) is expected


def test_the_standard_ones_are_those_of_openstack() -> None:
    assert set(names.standard_classes()) == set(os_resource_classes.STANDARDS)
    assert names.standard_traits() == set(os_traits.get_traits())
    assert names.SHARING in names.standard_traits()
    assert {names.VCPU, names.MEMORY_MB, names.DISK_GB} <= set(names.standard_classes())
