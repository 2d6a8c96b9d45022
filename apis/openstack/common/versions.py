"""Version documents: what clients read first, without a token."""

from dataclasses import dataclass
from typing import Any

from apis.openstack.common.api import Api
from apis.openstack.common.microversions import number


@dataclass(frozen=True, kw_only=True)
class Document:
    """One version of an API. `updated`: when the described API last changed; clients show it and do not read it."""

    id: str
    status: str
    updated: str
    media_type: str = ""

    def render(self, api: Api) -> dict[str, Any]:
        """The document, with links by the public address."""
        content: dict[str, Any] = {
            "id": self.id, "status": self.status, "updated": self.updated,
            "links": [{"rel": "self", "href": f"{api.root}/{api.version}/"}],
        }
        if self.media_type:
            content["media-types"] = [{"base": "application/json", "type": self.media_type}]
        if api.microversions is not None:
            most, least = number(api.microversions.maximum), number(api.microversions.minimum)
            content |= {"version": most, "max_version": most, "min_version": least}
        return content
