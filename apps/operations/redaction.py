"""What tenants may read of operations: the same as operators, without the names of hosts.

Operations and their events keep the texts whole: what a host says of a failure may name it, and its operator wants to read
that. What is copied onto a tenant's resource (`Instance.error`) is without the name from the start.
"""

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from apps.common.context import Actor
from apps.common.errors import CloudError
from apps.hosts import selectors as hosts
from apps.identity import policy

CONCEALED = "the host"


def names_in(*, actor: Actor, operations: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The host names to be kept from `actor` in texts of these operations (`host_name` and `excluded_hosts` of each)."""
    if policy.everywhere(actor, "hosts.host.list"):
        return frozenset()
    rows = list(operations)
    names = {row["host_name"] for row in rows} - {""}
    excluded = {uuid.UUID(host_id) for row in rows for host_id in row["excluded_hosts"]}
    return frozenset(names | set(hosts.names(excluded).values()) if excluded else names)


def conceal(text: str, names: Iterable[str]) -> str:
    """`text` without these host names."""
    for name in names:
        # A host may be called `debian`; the image `debian-12` is another thing.
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)", CONCEALED, text)
    return text


def conceal_error(error: dict[str, Any] | None, names: Iterable[str]) -> dict[str, Any] | None:
    """A stored error without these host names."""
    if error is None or "message" not in error:
        return error
    return {**error, "message": conceal(str(error["message"]), names)}


def shown_on_resource(error: CloudError, host_name: str) -> dict[str, Any]:
    """The form in which an error is stored on a tenant's resource."""
    return {**error.as_dict(), "message": conceal(error.message, (host_name,) if host_name else ())}
