"""What is known of an instance, in the forms that every dialect of metadata wants. Pure."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.labels import label
from contracts.compute import v2 as compute
from contracts.network import v2 as network


@dataclass(frozen=True, kw_only=True)
class Facts:
    """`build`: with the cards that the instance has now. `public`: own address → floating address."""

    build: compute.Build
    public: Mapping[str, str] = field(default_factory=dict)

    @property
    def hostname(self) -> str:
        """The instance's name as one DNS label; its id where nothing is left of the name."""
        return label(self.build.name) or f"i-{self.build.instance_id[:8]}"

    @property
    def user_data(self) -> bytes:
        """Raises ValueError when the command bore no proper base64."""
        try:
            return base64.b64decode(self.build.user_data, validate=True)
        except binascii.Error as error:
            raise ValueError(f"user data: {error}") from error


def addresses(card: network.Card, version: int) -> list[network.CardAddress]:
    """The card's addresses of one family."""
    return [each for each in card.addresses if (":" in each.address) == (version == 6)]
