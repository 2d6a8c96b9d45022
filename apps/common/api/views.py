"""The base of all views."""

from typing import ClassVar

from rest_framework.request import Request
from rest_framework.views import APIView

from apps.common import rates
from apps.common.api.inputs import Input
from apps.common.context import Actor


class View(APIView):
    """`bodies`: method → what its body must be; the browsable page makes its forms from it.

    `permissions`: method → the permission that the service behind it asks for; "": none, a valid token or nothing is
    enough. The schema shows them, and tests hold every operation against them.
    """

    bodies: ClassVar[dict[str, type[Input]]] = {}
    permissions: ClassVar[dict[str, str]] = {}

    def check_throttles(self, request: Request) -> None:
        """DRF's place for it: behind authentication, before the view."""
        if isinstance(request.auth, Actor):
            rates.check_project(request.auth.project_id)

    def get_view_name(self) -> str:
        """The class's name in words: `InstanceList` → `Instance list`."""
        name = type(self).__name__
        return (name[0] + "".join(" " + char.lower() if char.isupper() else char for char in name[1:])).strip()
