"""What bodies look like, as tables: from which microversion on a body has which shape. Keys that a shape does not have are refused."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from apis.openstack.common.microversions import Version
from apis.openstack.common.views import Call
from apis.openstack.placement.service import version_of
from apps.common.errors import Invalid
from apps.placement.names import MAX_INT

# OpenStack's bound of ratios: the largest number of single precision.
_MOST_RATIO = 3.40282e38

ClassName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\A[A-Z0-9_]+\Z")]
CustomName = Annotated[str, Meta(max_length=255, pattern=r"\ACUSTOM_[A-Z0-9_]+\Z")]
TraitName = Annotated[str, Meta(min_length=1, max_length=255)]
ProviderName = Annotated[str, Meta(max_length=200, pattern=r"\A[^\x00]*\Z")]
OwnerId = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\A[^\x00]*\Z")]
Count = Annotated[int, Meta(ge=1, le=MAX_INT)]
Resources = Annotated[dict[ClassName, Annotated[int, Meta(ge=1)]], Meta(min_length=1)]
Suffix = Annotated[str, Meta(pattern=r"\A[a-zA-Z0-9_-]{0,64}\Z")]
Mappings = Annotated[dict[Suffix, Annotated[list[UUID], Meta(min_length=1)]], Meta(min_length=1)]


class Shape(Struct, forbid_unknown_fields=True):
    """An object with these keys and no others."""


class NewProvider(Shape):
    name: ProviderName
    uuid: UUID | UnsetType = UNSET


class NewChild(NewProvider):
    parent_provider_uuid: UUID | UnsetType | None = UNSET


class ChangedProvider(Shape):
    name: ProviderName


class MovedProvider(ChangedProvider):
    parent_provider_uuid: UUID | UnsetType | None = UNSET


class Record(Shape):
    """One inventory, among others or alone."""

    total: Count
    reserved: Annotated[int, Meta(ge=0, le=MAX_INT)] = 0
    min_unit: Count = 1
    max_unit: Count = MAX_INT
    step_size: Count = 1
    allocation_ratio: Annotated[float, Meta(le=_MOST_RATIO)] = 1.0
    resource_provider_generation: int | UnsetType = UNSET


class NewRecord(Record, kw_only=True):
    resource_class: ClassName


class ChangedRecord(Record, kw_only=True):
    resource_provider_generation: int


class Records(Shape):
    """All inventories of a provider."""

    resource_provider_generation: int
    inventories: dict[ClassName, Record]


class Aggregates(Shape):
    aggregates: list[UUID]
    resource_provider_generation: int


class Traits(Shape):
    traits: list[TraitName]
    resource_provider_generation: int


class ResourceClass(Shape):
    name: CustomName


class ProviderNamed(Shape):
    uuid: UUID


class ListedAllocation(Shape):
    resource_provider: ProviderNamed
    resources: Resources


class Listed(Shape):
    """Allocations of a consumer, as lists were."""

    allocations: Annotated[list[ListedAllocation], Meta(min_length=1)]


class ListedOwned(Listed):
    project_id: OwnerId
    user_id: OwnerId


class Held(Shape):
    """Of one provider. `generation` is what GET has shown, and not looked at."""

    resources: Resources
    generation: int | UnsetType = UNSET


class Emptiable(Shape):
    """Allocations of a consumer; none take away what it has."""

    allocations: dict[UUID, Held]
    project_id: OwnerId
    user_id: OwnerId


class Filled(Emptiable):
    allocations: Annotated[dict[UUID, Held], Meta(min_length=1)]


class Versioned(Emptiable):
    """`consumer_generation` null: the consumer is to be new."""

    consumer_generation: int | None


class Mapped(Versioned):
    """`mappings` are what a candidate has shown, and not looked at."""

    mappings: Mappings | UnsetType = UNSET


class Typed(Mapped, kw_only=True):
    consumer_type: ClassName


class Reshaping(Shape):
    inventories: Annotated[dict[UUID, Records], Meta(min_length=1)]
    allocations: dict[UUID, Versioned]


class MappedReshaping(Reshaping):
    allocations: dict[UUID, Mapped]  # type: ignore[assignment]  # a dict of more


class TypedReshaping(Reshaping):
    allocations: dict[UUID, Typed]  # type: ignore[assignment]


def _consumers(kind: type[Emptiable]) -> Any:
    return Annotated[dict[UUID, kind], Meta(min_length=1)]  # type: ignore[valid-type]


class Shapes:
    """Shapes by the microversion that brought them."""

    def __init__(self, by_version: Mapping[Version, Any]) -> None:
        self._decoders = [(since, msgspec.json.Decoder(kind)) for since, kind in sorted(by_version.items(), reverse=True)]

    def read(self, call: Call) -> Any:
        """The body in the shape that it has in this request's version. Raises Invalid."""
        version = version_of(call)
        decoder = next(decoder for since, decoder in self._decoders if since <= version)
        try:
            return decoder.decode(call.request.body)
        except msgspec.ValidationError as error:
            raise Invalid("request.invalid", f"JSON does not validate: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid("request.malformed", f"Malformed JSON: {error}") from None


POST_PROVIDER = Shapes({(1, 0): NewProvider, (1, 14): NewChild})
PUT_PROVIDER = Shapes({(1, 0): ChangedProvider, (1, 14): MovedProvider})
POST_INVENTORY = Shapes({(1, 0): NewRecord})
PUT_INVENTORY = Shapes({(1, 0): ChangedRecord})
PUT_INVENTORIES = Shapes({(1, 0): Records})
PUT_AGGREGATES = Shapes({(1, 1): list[UUID], (1, 19): Aggregates})
PUT_TRAITS = Shapes({(1, 6): Traits})
RESOURCE_CLASS = Shapes({(1, 2): ResourceClass})
PUT_ALLOCATIONS = Shapes({
    (1, 0): Listed, (1, 8): ListedOwned, (1, 12): Filled, (1, 28): Versioned, (1, 34): Mapped, (1, 38): Typed,
})
POST_ALLOCATIONS = Shapes({
    (1, 13): _consumers(Emptiable), (1, 28): _consumers(Versioned), (1, 34): _consumers(Mapped), (1, 38): _consumers(Typed),
})
POST_RESHAPER = Shapes({(1, 30): Reshaping, (1, 34): MappedReshaping, (1, 38): TypedReshaping})
