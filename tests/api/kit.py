"""A client that speaks HTTP to the views in this process, as somebody."""

import json
from typing import Any

from django.test import Client

from apps.identity.models import Project, User
from tests.support import answers
from tests.support.identity import make_token


class Answer(answers.Answer):
    """With refusals in this API's shape."""

    def problem(self, status: int, code: str, field: str | None = None) -> Any:
        """A refusal in the one shape that all have."""
        assert self.status == status, self.content[:500]
        assert self.headers["Content-Type"] == "application/problem+json"
        problem = self.json
        assert problem["code"] == code, problem
        assert problem.get("field") == field, problem
        assert problem["status"] == status
        assert problem["type"] == f"urn:cloudsite:error:{code}"
        assert problem["detail"] and problem["title"] and problem["request_id"] == self.headers["X-Request-Id"]
        return problem


class Http:
    """Requests below /api/v1, with the token of a user in a project."""

    def __init__(self, user: User | None = None, project: Project | None = None) -> None:
        self._client = Client(raise_request_exception=False)
        self.user, self.project = user, project
        self.secret = make_token(user, project).secret if user and project else ""

    def __call__(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, **more: Any) -> Answer:
        sent = dict(headers or {})
        if self.secret:
            sent.setdefault("Authorization", f"Bearer {self.secret}")
        if body is not None:
            more = {"data": body if isinstance(body, bytes) else json.dumps(body), "content_type": "application/json", **more}
        path = path if path.startswith("/") else f"/api/v1/{path}"
        response = self._client.generic(method, path, headers=sent, **more)
        content = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]
        return Answer(response.status_code, dict(response.items()), content)

    def get(self, path: str, **more: Any) -> Answer:
        return self("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self("PUT", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self("DELETE", path, **more)
