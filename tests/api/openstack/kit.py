"""A client that speaks Identity v3 to the views in this process."""

import json
from typing import Any

from django.test import Client

from apps.identity.models import Project, User
from tests.support import answers
from tests.support.identity import PASSWORD


class Answer(answers.Answer):
    """With refusals in this API's shape."""

    def refused(self, status: int) -> str:
        """The message of a refusal in the one shape that all have."""
        assert self.status == status, self.content[:500]
        error = self.json["error"]
        assert set(error) - {"identity"} == {"code", "title", "message"}
        assert error["code"] == status and error["title"] and error["message"]
        return str(error["message"])


class Keystone:
    """Requests below /identity/v3, with a token if there is one."""

    def __init__(self, token: str = "") -> None:
        self._client, self.token = Client(raise_request_exception=False), token

    def __call__(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **more: Any) -> Answer:
        sent = {**({"X-Auth-Token": self.token} if self.token else {}), **(headers or {})}
        if body is not None:
            more = {"data": body if isinstance(body, bytes) else json.dumps(body), "content_type": "application/json", **more}
        path = path if path.startswith("/") else f"/identity/v3/{path}"
        response = self._client.generic(method, path, headers=sent, **more)
        assert response["x-openstack-request-id"].startswith("req-")
        assert "X-Auth-Token" in response["Vary"]
        return Answer(response.status_code, dict(response.items()), response.content)

    def get(self, path: str, **more: Any) -> Answer:
        return self("GET", path, **more)

    def head(self, path: str, **more: Any) -> Answer:
        return self("HEAD", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self("PUT", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self("DELETE", path, **more)

    def sign_in(self, user: User, scope: Any = None, *, query: str = "", **more: Any) -> Answer:
        """POST /auth/tokens with the user's id and password; `scope` None: none is sent."""
        auth: dict[str, Any] = {"identity": by_password({"id": str(user.pk)}, **more)}
        if scope is not None:
            auth["scope"] = scope
        return self.post(f"auth/tokens{query}", {"auth": auth})


def by_password(user: dict[str, Any], password: str = PASSWORD) -> dict[str, Any]:
    """What is under `identity` for a user and a password."""
    return {"methods": ["password"], "password": {"user": {**user, "password": password}}}


def of(project: Project) -> dict[str, Any]:
    """The scope of a project."""
    return {"project": {"id": str(project.pk)}}


def signed_in(user: User, scope: Any = None) -> Keystone:
    """A client with a token of this scope."""
    answer = Keystone().sign_in(user, scope)
    answer.ok(201)
    return Keystone(answer.headers["X-Subject-Token"])
