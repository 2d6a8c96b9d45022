"""The base of all views."""

from typing import ClassVar

from rest_framework.views import APIView

from apps.common.api.inputs import Input


class View(APIView):
    """`bodies`: method → what its body must be; the browsable page makes its forms from it."""

    bodies: ClassVar[dict[str, type[Input]]] = {}

    def get_view_name(self) -> str:
        """The class's name in words: `InstanceList` → `Instance list`."""
        name = type(self).__name__
        return (name[0] + "".join(" " + char.lower() if char.isupper() else char for char in name[1:])).strip()
