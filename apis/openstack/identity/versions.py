"""`GET /identity` (300, all versions) and `GET /identity/v3`."""

from typing import ClassVar

from django.http import HttpResponse

from apis.openstack.common.versions import Document
from apis.openstack.common.views import Call, reply
from apis.openstack.identity.service import API, View

# The newest of the documented API; it has no microversions, and clients compare the number as a whole.
V3 = Document(
    id="v3.14", status="stable", updated="2020-04-07T00:00:00Z", media_type="application/vnd.openstack.identity-v3+json"
)


class Versions(View):
    """All versions."""

    public: ClassVar = frozenset({"GET"})

    def get(self, call: Call) -> HttpResponse:
        here = f"{API.root}/{API.version}/"
        return reply({"versions": {"values": [V3.render(API)]}}, 300, {"Location": here})


class Version(View):
    """The one there is."""

    public: ClassVar = frozenset({"GET"})

    def get(self, call: Call) -> HttpResponse:
        return reply({"version": V3.render(API)})


