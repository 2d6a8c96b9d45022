"""Reads of capacity; a module per subject."""

from apps.placement.selectors.capacity import (
    Mismatch,
    free,
    inventories,
    inventories_of,
    mismatches,
    scheduling_stock,
    scheduling_traits,
)
from apps.placement.selectors.catalog import (
    Named,
    named_traits,
    resource_class,
    resource_classes,
    trait,
    traits,
    unknown_classes,
    unknown_traits,
)
from apps.placement.selectors.finding import (
    Asked,
    astray,
    find,
    misjoined,
    provider,
    provider_called,
    providers,
    root_of,
)
from apps.placement.selectors.holdings import (
    allocations,
    allocations_from,
    allocations_of,
    consumers,
    empty_consumers,
    held,
    usages,
    usages_by_type,
)

__all__ = [
    "Asked", "Mismatch", "Named", "allocations", "allocations_from", "allocations_of", "astray", "consumers", "empty_consumers", "find",
    "free", "held", "inventories", "inventories_of", "misjoined", "mismatches", "named_traits", "provider", "provider_called", "providers",
    "resource_class", "resource_classes", "root_of", "scheduling_stock", "scheduling_traits", "trait", "traits", "unknown_classes",
    "unknown_traits", "usages", "usages_by_type",
]
