"""`GET /placement`: the one version that there is, and its microversions."""

from typing import ClassVar

from django.http import HttpResponse

from apis.openstack.common.microversions import number
from apis.openstack.common.views import Call, reply
from apis.openstack.placement.service import API, View, stamped


class Versions(View):
    """For anybody, without a token."""

    public: ClassVar = frozenset({"GET"})
    renders: ClassVar = False

    def get(self, call: Call) -> HttpResponse:
        assert API.microversions is not None
        least, most = number(API.microversions.minimum), number(API.microversions.maximum)
        links = [{"rel": "self", "href": ""}]  # relative: whoever asked knows the address
        document = {"id": f"v{least}", "max_version": most, "min_version": least, "status": "CURRENT", "links": links}
        return stamped(call, reply({"versions": [document]}))
