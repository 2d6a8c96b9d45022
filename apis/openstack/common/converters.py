"""Ids in addresses: `<id:user_id>` takes them with and without dashes; what is no id is at no address, and so not found."""

import uuid

from django.urls import register_converter

from apis.openstack.common.schema import as_uuid


class Id:
    """A UUID; `default` is the default domain's."""

    regex = "[0-9A-Fa-f-]{32,36}|default"

    def to_python(self, value: str) -> uuid.UUID:
        found = as_uuid(value)
        if found is None:
            raise ValueError(value)
        return found

    def to_url(self, value: uuid.UUID) -> str:
        return str(value)


register_converter(Id, "id")
