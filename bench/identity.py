"""What a token costs: checking one against a floor of the same run, issuing and validating one over HTTP.

`python -m bench.identity` is the part that runs inside the installation's own settings: it makes a user with a thousand
role assignments and prints, as JSON, medians in microseconds.
"""

import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from bench.figures import Figures
from cloudsite.launcher.stack import Stack

ASSIGNMENTS = 1000
_USER, _PASSWORD = "bench-identity", "a password for the bench"


def measure(stack: Stack, figures: Figures) -> None:
    """Adds the figures of the token path."""
    inside = json.loads(
        subprocess.run([sys.executable, "-m", "bench.identity"], env=stack.env, check=True, capture_output=True, text=True).stdout
    )
    figures.put("token check, p50 µs", inside["check_us"])
    figures.put("  floor: SELECT 1 through Django, p50 µs", inside["floor_us"])
    figures.put(f"token check, user with {ASSIGNMENTS} role assignments, p50 µs", inside["check_many_us"])
    figures.put("one password hash, p50 ms", inside["hash_us"] / 1000)
    web = _Web(stack.url)
    floor_ms = web.median(lambda: web.send("GET", "/identity/v3"))
    issue_ms = web.median(lambda: web.send("POST", "/identity/v3/auth/tokens", _sign_in(inside["project"])), rounds=15)
    secret = web.send("POST", "/identity/v3/auth/tokens", _sign_in(inside["project"]))["x-subject-token"]
    headers = {"X-Auth-Token": secret, "X-Subject-Token": secret}
    validate_ms = web.median(lambda: web.send("GET", "/identity/v3/auth/tokens", headers=headers))
    figures.put("floor: version document over HTTP, p50 ms", floor_ms, 2)
    figures.put("token by password over HTTP, p50 ms", issue_ms)
    figures.put("  less the password hash, ms", issue_ms - inside["hash_us"] / 1000)
    figures.put("token validation over HTTP, p50 ms", validate_ms, 2)


def _sign_in(project_id: str) -> dict[str, Any]:
    user = {"name": _USER, "domain": {"id": "default"}, "password": _PASSWORD}
    identity = {"methods": ["password"], "password": {"user": user}}
    return {"auth": {"identity": identity, "scope": {"project": {"id": project_id}}}}


class _Web:
    """One kept connection, so that only the answer is timed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> dict[str, str]:
        """Answer headers, in lower case; an assertion unless it went well."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        self._connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status < 400, content[:300]
        return {name.lower(): value for name, value in answer.getheaders()}

    def median(self, call: Callable[[], object], *, rounds: int = 200) -> float:
        """Milliseconds."""
        return _median_us(call, rounds=rounds) / 1000


def _median_us(call: Callable[[], object], *, rounds: int) -> float:
    for _ in range(max(3, rounds // 10)):
        call()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - began)
    return statistics.median(taken) / 1000


def _inside() -> dict[str, Any]:
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudsite.settings")
    import django

    django.setup()
    from django.contrib.auth.hashers import check_password, make_password
    from django.db import connection

    from apps.common.context import SYSTEM
    from apps.identity import builtin
    from apps.identity.services import assignments, projects, signin, tokens, users

    def given(user: Any, project: Any) -> None:
        role = builtin.ROLE_IDS[builtin.Role.MEMBER]
        assignments.give(actor=SYSTEM, given=assignments.Given(role_id=role, user_id=user.pk, place_id=project.pk))

    def select_one() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()

    plain, _ = users.ensure_user(actor=SYSTEM, username=_USER, password=_PASSWORD)
    many, _ = users.ensure_user(actor=SYSTEM, username=f"{_USER}-many", password=_PASSWORD)
    project = projects.ensure_project(actor=SYSTEM, name="bench-identity")
    given(plain, project)
    given(many, project)
    for number in range(ASSIGNMENTS - 1):
        given(many, projects.ensure_project(actor=SYSTEM, name=f"bench-identity-{number}"))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    secrets = [signin.issue_at_shell(user=user, project_id=project.pk).secret for user in (plain, many)]
    hashed = make_password(_PASSWORD)
    return {
        "project": str(project.pk),
        "floor_us": _median_us(select_one, rounds=2000),
        "check_us": _median_us(lambda: tokens.check(secret=secrets[0]), rounds=2000),
        "check_many_us": _median_us(lambda: tokens.check(secret=secrets[1]), rounds=2000),
        "hash_us": _median_us(lambda: check_password(_PASSWORD, hashed), rounds=10),
    }


if __name__ == "__main__":
    print(json.dumps(_inside()))
