"""A client that speaks Placement to the views in this process."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from django.test import Client

from tests.support import answers

NEWEST = "1.39"
RED, BLUE = "red-project-of-another-cloud", "blue-project-of-another-cloud"
USER = "somebody"


class Answer(answers.Answer):
    """With refusals in this API's shape."""

    def refused(self, status: int, code: str = "placement.undefined_code") -> str:
        """The text of a refusal in the one shape that all have; `code` empty: of a version that tells none."""
        assert self.status == status, self.content[:500]
        assert self.headers["Content-Type"] == "application/json"
        [error] = self.json["errors"]
        assert error["status"] == status and error["title"] and error["detail"]
        assert error["request_id"] == self.headers["x-openstack-request-id"]
        assert error.get("code", "") == code, error
        return str(error["detail"])


class Speaker:
    """Requests below /placement, with a token if there is one, in the newest version unless another is named (`at`)."""

    def __init__(self, token: str = "", version: str = NEWEST) -> None:
        self._client, self.token, self.version = Client(raise_request_exception=False), token, version

    def __call__(
        self, method: str, path: str, body: Any = None, *, at: str | None = None, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        version = self.version if at is None else at
        sent = {"X-Auth-Token": self.token} if self.token else {}
        sent |= {"OpenStack-API-Version": f"placement {version}"} if version else {}
        if body is not None:
            more = {"data": body if isinstance(body, bytes) else json.dumps(body), "content_type": "application/json", **more}
        response = self._client.generic(method, f"/placement/{path}" if path else "/placement", headers={**sent, **(headers or {})}, **more)
        assert response["x-openstack-request-id"].startswith("req-")
        assert response["openstack-api-version"].startswith("placement 1.") and "OpenStack-API-Version" in response["Vary"]
        return Answer(response.status_code, dict(response.items()), response.content)

    def get(self, path: str, **more: Any) -> Answer:
        return self("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self("PUT", path, body, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self("DELETE", path, **more)

    # What tests begin with.

    def provider(self, name: str, *, parent: str | None = None, traits: tuple[str, ...] = (), aggregates: tuple[str, ...] = (), **stock: Any) -> str:
        """A provider with inventories (`VCPU=8`, or `DISK_GB={"total": 9, …}`), traits and aggregates; its id."""
        key: str = self.post("resource_providers", {"name": name, "parent_provider_uuid": parent}).ok()["uuid"]
        if stock:
            records = {kind: facts if isinstance(facts, dict) else {"total": facts} for kind, facts in stock.items()}
            self.put(f"resource_providers/{key}/inventories", {"inventories": records, "resource_provider_generation": self.generation(key)}).ok()
        if traits:
            self.put(f"resource_providers/{key}/traits", {"traits": list(traits), "resource_provider_generation": self.generation(key)}).ok()
        if aggregates:
            body = {"aggregates": list(aggregates), "resource_provider_generation": self.generation(key)}
            self.put(f"resource_providers/{key}/aggregates", body).ok()
        return key

    def generation(self, provider: str) -> int:
        """Of a provider."""
        found: int = self.get(f"resource_providers/{provider}").ok()["generation"]
        return found

    def claim(self, provider: str, consumer: str = "", *, project: str = RED, user: str = USER, kind: str = "INSTANCE", **resources: int) -> str:
        """Allocations of a new consumer; its id."""
        consumer = consumer or str(uuid.uuid4())
        self.put(f"allocations/{consumer}", claims({provider: resources}, project=project, user=user, kind=kind)).ok(204)
        return consumer


def claims(
    held: Mapping[str, Mapping[str, int]], *, generation: int | None = None, project: str = RED, user: str = USER, kind: str = "INSTANCE",
) -> dict[str, Any]:
    """A body of PUT /allocations in the newest version."""
    return {
        "allocations": {provider: {"resources": dict(resources)} for provider, resources in held.items()}, "project_id": project,
        "user_id": user, "consumer_generation": generation, "consumer_type": kind,
    }
