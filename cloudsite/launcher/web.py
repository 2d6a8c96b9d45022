"""The HTTP API as the launcher uses it: like any other client, with a token."""

import http.client
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cloudsite import tls


class Refused(Exception):
    """The API said no; `status` and its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """`get`, `post` and `delete` of paths below /api/v1. Raise Refused, or OSError if nobody answers."""

    def __init__(self, url: str, token: str, *, host: str = "", certificate: Path | None = None) -> None:
        """`host`: the name to ask for, if it is not that in `url`. `certificate`: what an API of our own on this machine shows."""
        self._url, self._token, self._host = url, token, host
        self._opener = _opener(certificate)

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
            with self._opener.open(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, _words(error)) from None
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        return json.loads(text) if text else None


def answers_ready(url: str, host: str = "", certificate: Path | None = None, path: str = "/readyz") -> bool:
    """Whether `/readyz`, or what another process has instead, says so; arguments as for `Client`."""
    request = urllib.request.Request(f"{url}{path}", headers={"Host": host} if host else {})
    try:
        with _opener(certificate).open(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def _opener(certificate: Path | None) -> urllib.request.OpenerDirector:
    """Straight to the API, over no proxy."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if certificate is not None:
        handlers.append(urllib.request.HTTPSHandler(context=tls.trust(certificate)))
    return urllib.request.build_opener(*handlers)


def _words(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(error.read())
        return f"{problem['detail']} ({problem['code']})"
    except (ValueError, KeyError, TypeError, OSError):
        return f"HTTP {error.code} {error.reason}"
