"""What tells one OpenStack service from the other: an `Api` per service, which its views and errors are given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from django.conf import settings

from apis.openstack.common.faults import Fault
from apis.openstack.common.microversions import Microversions


@dataclass(frozen=True, kw_only=True)
class Api:
    """One service. `statuses`: HTTP status by an error's code or kind, where the common table does not fit."""

    type: str  # as in the catalog: "identity"
    path: str  # below the public address: "/identity"
    version: str  # part of the path: "v3"
    error: Callable[[Fault], dict[str, Any]]  # the body of a refusal
    statuses: Mapping[str, int] = field(default_factory=dict)
    microversions: Microversions | None = None

    @property
    def root(self) -> str:
        """The public address of its version documents."""
        return f"{settings.ENV.public_url}{self.path}"

    def url(self, *parts: object) -> str:
        """The public address of something in the current version: `url("users", user.pk)`."""
        return "/".join([self.root, self.version, *(quote(str(part), safe="") for part in parts)])

    def links(self, *parts: object) -> dict[str, str]:
        """The `links` of one thing."""
        return {"self": self.url(*parts)}
