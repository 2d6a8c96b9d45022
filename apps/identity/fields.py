"""Checks of what domains, projects, users, groups and roles consist of, whichever way it comes in. Pure, no database."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from apps.common.checks import check_name
from apps.common.errors import Forbidden, Invalid

PROJECT_NAME, USER_NAME, GROUP_NAME, ROLE_NAME = 64, 255, 64, 255
DESCRIPTION, EMAIL = 4096, 254
MOST_TAGS, TAG = 80, 255
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
# What may be kept in `options`, and the type it has. `immutable`: neither changed nor deleted until that is taken back.
OF_PLACES: Mapping[str, type] = {"immutable": bool}
OF_ROLES: Mapping[str, type] = {"immutable": bool}
OF_USERS: Mapping[str, type] = {
    "ignore_change_password_upon_first_use": bool, "ignore_password_expiry": bool, "ignore_lockout_failure_attempts": bool,
    "lock_password": bool, "ignore_user_inactivity": bool, "multi_factor_auth_enabled": bool, "multi_factor_auth_rules": list,
}


def check_text(text: str, *, field: str = "description", most: int = DESCRIPTION) -> None:
    """Raises Invalid `text.invalid` unless it has at most `most` characters that can be stored."""
    if len(text) > most or _UNSTORABLE.search(text):
        raise Invalid("text.invalid", f"{field}: expected at most {most} characters, and no NUL.", field=field)


def check_email(text: str) -> None:
    """An address is for people, so anything without control characters goes. Raises Invalid `name.invalid`."""
    if text:
        check_name(text, field="email", most=EMAIL)


def check_tags(tags: Iterable[str], *, field: str = "tags") -> list[str]:
    """The tags, sorted. Raises Invalid `tag.invalid`, `tag.twice`, `tag.too_many`."""
    found = list(tags)
    for tag in found:
        if not 1 <= len(tag) <= TAG or _UNSTORABLE.search(tag) or "/" in tag or "," in tag or not tag.strip():
            raise Invalid("tag.invalid", f"{field}: expected 1 to {TAG} characters, none of them a slash or a comma.", field=field)
    if len(set(found)) < len(found):
        raise Invalid("tag.twice", f"{field}: a tag is given twice.", field=field)
    if len(found) > MOST_TAGS:
        raise Invalid("tag.too_many", f"{field}: at most {MOST_TAGS} tags, got {len(found)}.", field=field)
    return sorted(found)


def merged(old: Mapping[str, Any], given: Mapping[str, Any], known: Mapping[str, type]) -> dict[str, Any]:
    """`old` options with the given ones over them; null takes one away. Raises Invalid `options.unknown`, `options.value`."""
    for name, value in given.items():
        wanted = known.get(name)
        if wanted is None:
            raise Invalid(
                "options.unknown", f"options: there is no option {name[:64]!r}; known are {', '.join(known)}.", field="options"
            )
        if value is not None and not _is(value, wanted):
            expected = "true or false" if wanted is bool else "a list of lists of methods, each once"
            raise Invalid("options.value", f"options.{name}: expected {expected}.", field=f"options.{name}")
    return {name: value for name, value in {**old, **given}.items() if value is not None}


def check_mutable(options: Mapping[str, Any], changes: Mapping[str, Any] | None, thing: str) -> None:
    """Raises Forbidden `resource.immutable` for what its options protect, unless `changes` take the protection away."""
    if not options.get("immutable"):
        return
    given = (changes or {}).get("options") or {}
    if "immutable" not in given or given["immutable"]:
        raise Forbidden(
            "resource.immutable", f"This {thing} is immutable; set options.immutable to false first.", field="options.immutable"
        )


def _is(value: Any, wanted: type) -> bool:
    if wanted is bool:
        return isinstance(value, bool)
    return _are_distinct(value) and all(
        _are_distinct(rule) and rule and all(isinstance(method, str) and 1 <= len(method) <= 64 for method in rule) for rule in value
    )


def _are_distinct(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 64 and all(each not in value[:at] for at, each in enumerate(value))
