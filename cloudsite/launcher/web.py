"""The HTTP API as the launcher uses it: like any other client, with a token."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

_PLAIN = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """The API said no; `status` and its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """`get`, `post` and `delete` of paths below /api/v1. Raise Refused, or OSError if nobody answers."""

    def __init__(self, url: str, token: str, *, host: str = "") -> None:
        """`host`: the name to ask for, if it is not that in `url`."""
        self._url, self._token, self._host = url, token, host

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("POST", path, body)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", "Content-Type": "application/json"}
        if self._host:
            headers["Host"] = self._host
        request = urllib.request.Request(f"{self._url}/api/v1/{path}", data=data, headers=headers, method=method)
        try:
            with _PLAIN.open(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, _words(error)) from None
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        return json.loads(text) if text else None


def answers_ready(url: str, host: str = "") -> bool:
    """Whether `/readyz` says so."""
    request = urllib.request.Request(f"{url}/readyz", headers={"Host": host} if host else {})
    try:
        with _PLAIN.open(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def _words(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(error.read())
        return f"{problem['detail']} ({problem['code']})"
    except (ValueError, KeyError, TypeError, OSError):
        return f"HTTP {error.code} {error.reason}"
