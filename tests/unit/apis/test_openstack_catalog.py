"""Addresses of endpoints: names in them are filled in, and an address that misses one is left out."""

import pytest

from apis.openstack.identity.catalog import fill

FACTS = {"public_url": "http://cloud.example", "project_id": "p1", "tenant_id": "p1"}


@pytest.mark.parametrize(
    ("url", "filled"),
    [
        ("%(public_url)s/identity/v3", "http://cloud.example/identity/v3"),
        ("%(public_url)s/volume/v3/%(project_id)s", "http://cloud.example/volume/v3/p1"),
        ("$(public_url)s/volume/v3/$(tenant_id)s", "http://cloud.example/volume/v3/p1"),
        ("http://elsewhere.example:80/", "http://elsewhere.example:80/"),
        ("%(public_url)s/x/%(nobody_knows)s", None),
        ("http://half.example/%", None),
        ("http://half.example/%s", None),
        ("http://half.example/%(project_id)", None),
    ],
)
def test_names_in_addresses(url: str, filled: str | None) -> None:
    assert fill(url, FACTS) == filled


def test_without_a_project_there_is_no_address_that_needs_one() -> None:
    assert fill("%(public_url)s/%(project_id)s", {"public_url": "http://cloud.example"}) is None
