"""What nobody changes: fields that a PATCH may repeat as they are, and that are refused otherwise."""

import uuid
from typing import Any

from apis.openstack.common.schema import as_uuid
from apps.common.errors import Invalid


def keeps_domain(wanted: dict[str, Any], domain_id: uuid.UUID | None) -> None:
    """Take `domain_id` out of the changes. Raises Invalid if it is another one than the thing is in."""
    if "domain_id" in wanted and not same(wanted.pop("domain_id"), domain_id):
        raise Invalid("request.domain_changed", "Cannot change Domain ID", field="domain_id")


def same(text: str | None, key: uuid.UUID | None) -> bool:
    """Whether an id in a body is the one that the thing has."""
    return (None if text is None else as_uuid(text) or text) == key
