"""The catalog: services with their endpoints, as tokens and `/auth/catalog` show it."""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from apps.identity import selectors

_NAME = re.compile(r"[%$]\((\w+)\)s")
_WHOLE = re.compile(r"(?:[^%$]|[%$]\(\w+\)s)*")


def render(*, project_id: uuid.UUID | None, user_id: uuid.UUID | None) -> list[dict[str, Any]]:
    """What is there, once per service and region and interface. An endpoint that needs a project is left out without one."""
    facts = {"public_url": settings.ENV.public_url, "user_id": user_id}
    if project_id is not None:
        facts |= {"project_id": project_id, "tenant_id": project_id}
    services: dict[uuid.UUID, dict[str, Any]] = {}
    for endpoint in selectors.catalog():
        url = fill(endpoint.url, facts)
        if url is None:
            continue
        service = services.setdefault(
            endpoint.service_id,
            {"id": endpoint.service_id, "type": endpoint.service_type, "name": endpoint.service_name, "endpoints": []},
        )
        service["endpoints"].append({
            "id": endpoint.id, "interface": endpoint.interface, "region": endpoint.region_id, "region_id": endpoint.region_id,
            "url": url,
        })
    return list(services.values())


def fill(url: str, facts: Mapping[str, Any]) -> str | None:
    """An endpoint's address with `%(name)s` and `$(name)s` filled in; None if a name has no value, or the address is broken."""
    if not _WHOLE.fullmatch(url) or any(name not in facts for name in _NAME.findall(url)):
        return None
    return _NAME.sub(lambda found: str(facts[found[1]]), url)
