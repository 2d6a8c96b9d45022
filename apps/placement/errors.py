"""Codes that the Placement reference gives to refusals; the other codes of this context are not known there."""

from typing import Final

UNDEFINED: Final = "placement.undefined_code"
CONCURRENT_UPDATE: Final = "placement.concurrent_update"
DUPLICATE_NAME: Final = "placement.duplicate_name"
INVENTORY_INUSE: Final = "placement.inventory.inuse"
PROVIDER_INUSE: Final = "placement.resource_provider.inuse"
PROVIDER_NOT_FOUND: Final = "placement.resource_provider.not_found"
CANNOT_DELETE_PARENT: Final = "placement.resource_provider.cannot_delete_parent"
DUPLICATE_KEY: Final = "placement.query.duplicate_key"
BAD_VALUE: Final = "placement.query.bad_value"
MISSING_VALUE: Final = "placement.query.missing_value"
# What clients of the reference may meet; any other code is `UNDEFINED` to them.
REFERENCE: Final = frozenset({
    UNDEFINED, CONCURRENT_UPDATE, DUPLICATE_NAME, INVENTORY_INUSE, PROVIDER_INUSE, PROVIDER_NOT_FOUND, CANNOT_DELETE_PARENT,
    DUPLICATE_KEY, BAD_VALUE, MISSING_VALUE,
})
