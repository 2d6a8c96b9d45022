"""Fields that several bodies have. Services say whether an address or a range makes sense; here is how it is written."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input

MOST_ADDRESS = 45
MOST_CIDR = 49


class Address(fields.Line):
    """An IPv4 or IPv6 address as text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": MOST_ADDRESS, **options})


class Cidr(fields.Line):
    """A range such as 10.64.0.0/20 or fd12:3456::/64, as text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": MOST_CIDR, **options})


class WantedSpan(Input):
    """A range of addresses, both ends included."""

    first = Address()
    last = Address()


class WantedRoute(Input):
    """A route that guests are told."""

    destination = Cidr()
    nexthop = Address()


def dns(**options: Any) -> serializers.ListField:
    """What guests ask for names."""
    return serializers.ListField(
        child=Address(), max_length=8, required=False, help_text="What guests ask for names; empty: their host.", **options
    )


def pairs_of(spans: list[dict[str, str]] | None) -> list[list[str]] | None:
    """As services take pools."""
    return None if spans is None else [[span["first"], span["last"]] for span in spans]
