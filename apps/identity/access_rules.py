"""Which requests an application credential with access rules may make. Pure, no database.

A rule is a service type, an HTTP method and a path: `*` and `{name}` stand for one segment, `**` for any number of them. Paths
are those that the service documents: below its own address for OpenStack's (`/v2.1/servers`), whole for the native API
(`/api/v1/instances`), whose service type is `cloudsite`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from apps.common.errors import Invalid

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
SERVICE, PATH = 64, 128
_SERVICE = re.compile(r"[A-Za-z0-9-]{1,64}")
_WILD = re.compile(r"\*\*|\*|\{[^{}/]*\}")


@dataclass(frozen=True, order=True)
class Rule:
    """One kind of request."""

    service: str
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} of {self.service}"


def check(rule: Rule, *, field: str = "access_rules") -> None:
    """Raises Invalid `access_rule.invalid`."""
    if not _SERVICE.fullmatch(rule.service):
        text = f"service: expected a service type such as compute, of at most {SERVICE} letters, digits and dashes."
    elif rule.method not in METHODS:
        text = f"method: expected one of {', '.join(METHODS)}."
    elif not rule.path.startswith("/") or len(rule.path) > PATH or not rule.path.isprintable():
        text = f"path: expected a path that begins with a slash, of at most {PATH} characters."
    else:
        return
    raise Invalid("access_rule.invalid", f"{field}: {text}", field=field)


def allows(rules: Iterable[Rule], *, service: str, method: str, path: str) -> bool:
    """Whether one of the rules is about this request. HEAD is a GET."""
    asked = {method, "GET"} if method == "HEAD" else {method}
    return any(rule.service == service and rule.method in asked and _matches(rule.path, path) for rule in rules)


def _matches(pattern: str, path: str) -> bool:
    """Where in the path the pattern may have come to, part by part: no pattern makes this slow, as it could a regular expression."""
    reached = {0}
    for literal, wild in _parts(pattern):
        reached = {at + len(literal) for at in reached if path.startswith(literal, at)}
        if not reached:
            return False
        if wild == "**":
            reached = set(range(min(reached), len(path) + 1))
        elif wild:
            reached = _in_segment(reached, path)
    return len(path) in reached


def _in_segment(starts: set[int], path: str) -> set[int]:
    """The ends of one or more characters that are no slash, from any of these starts."""
    found: set[int] = set()
    for start in starts:
        at = start
        while at < len(path) and path[at] != "/" and at + 1 not in found:
            at += 1
            found.add(at)
    return found


@lru_cache(maxsize=4096)
def _parts(pattern: str) -> tuple[tuple[str, str], ...]:
    """(literal text, the wild card behind it)."""
    found, last = [], 0
    for wild in _WILD.finditer(pattern):
        found.append((pattern[last : wild.start()], wild[0]))
        last = wild.end()
    return (*found, (pattern[last:], ""))
