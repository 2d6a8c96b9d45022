"""Requests out of the examples: what an address and the OpenAPI document tell is put in where an example says nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.api.isolation.examples import PARTS, VALUES, Example, given
from tests.api.isolation.expected import HERE, SYSTEM, Target, Thing
from tests.api.isolation.operations import Operation
from tests.api.isolation.world import World

_GRANT = re.compile(r"/(projects|domains)/\{\w+\}/(users|groups)/\{\w+\}/roles")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, with the things of a world in it. `sent`: those that it names, without strangers."""

    example: Example
    method: str
    address: str
    body: Any
    headers: Mapping[str, str]
    target: Target
    sent: tuple[Thing, ...]

    def instead(self, keys: Mapping[str, str]) -> "Call":
        """The same request about other things: key → key."""
        return replace(
            self, address=_swapped(self.address, keys), body=_swapped(self.body, keys), headers=_swapped(dict(self.headers), keys)
        )


class Missing(Exception):
    """There is no example; the text says what to add."""


def calls_of(operation: Operation, world: World) -> list[Call]:
    """Raises Missing."""
    return [_call(operation, each, world) for each in given(operation)]


def _call(operation: Operation, example: Example, world: World) -> Call:
    things, address = [], operation.template
    for part in operation.parameters:
        kind = example.parts.get(part, PARTS.get(part, ""))
        if kind not in world.things and not kind.startswith("="):
            raise Missing(f"nothing of the victim is named {part} in an address: add it to PARTS in tests/api/isolation/examples.py")
        if kind in world.things:
            things.append(kind)
        address = address.replace(f"{{{part}}}", kind[1:] if kind.startswith("=") else world.things[kind].key)
    body = example.body if example.body is not None else body_of(operation)
    headers = dict(example.headers)
    query = re.sub(r"\{(\w+)\}", lambda found: world.things[found[1]].key, example.query)
    kinds = {*things, *_kinds(body, world), *_kinds(headers, world), *re.findall(r"\{(\w+)\}", example.query)} - example.strangers
    return Call(
        example=example, method=operation.method, address=address + (f"?{query}" if query else ""),
        body=filled(body, world), headers=filled(headers, world), target=_target(operation, example, things, world),
        sent=tuple(world.things[kind] for kind in sorted(kinds)),
    )


def _target(operation: Operation, example: Example, things: Sequence[str], world: World) -> Target:
    if isinstance(example.target, Target):
        return example.target
    if "/v3/system/" in operation.template and not example.target:
        return SYSTEM
    kind = example.target or (things[0] if things else "")
    if not kind:
        return HERE
    if _GRANT.search(operation.template):
        # Roles of a user are also that user's own to read.
        holder = world.things[next((each for each in things if each in ("user", "clerk")), kind)]
        return replace(world.things[kind], users=holder.users, own_by=())
    return world.things[kind]


def _kinds(value: Any, world: World) -> set[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return set().union(*(_kinds(each, world) for each in value))
    return {value[1:-1]} if isinstance(value, str) and value.startswith("{") and value[1:-1] in world.things else set()


def _swapped(value: Any, keys: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _swapped(each, keys) for name, each in value.items()}
    if isinstance(value, list):
        return [_swapped(each, keys) for each in value]
    if not isinstance(value, str):
        return value
    for old, new in keys.items():
        value = value.replace(old, new)
    return value


def filled(value: Any, world: World) -> Any:
    """The value with keys of things in the place of `{kind}`."""
    if isinstance(value, str) and value.startswith("{") and value[1:-1] in world.things:
        return world.things[value[1:-1]].key
    if isinstance(value, dict):
        return {name: filled(each, world) for name, each in value.items()}
    return [filled(each, world) for each in value] if isinstance(value, list) else value


def body_of(operation: Operation) -> Any:
    """What the OpenAPI document asks for, with values that are right."""
    if operation.dialect:
        if operation.method in ("POST", "PATCH"):
            raise Missing(f"what a body of {operation.name} is, is not known: add one to GIVEN in tests/api/isolation/examples.py")
        return None
    if operation.body is None:
        return None
    if operation.media != "application/json":
        return b"\0" * 512
    return _sample("", operation.body, changing=operation.method == "PATCH")


def _sample(name: str, schema: Mapping[str, Any], *, changing: bool = False) -> Any:
    if name in VALUES:
        return VALUES[name]
    if name.endswith("_id") and name in PARTS:
        return f"{{{PARTS[name]}}}"
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        wanted = list(schema.get("required", ()))
        known = schema.get("properties", {})
        if changing and not wanted:
            wanted = [next((each for each in ("description", "name") if each in known), next(iter(known)))]
        return {each: _sample(each, known[each]) for each in wanted}
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    if kind == "boolean":
        return False
    if kind == "array":
        return [_sample("", schema["items"])]
    if kind == "string":
        return "new"
    raise Missing(f"no value for the field {name or 'itself'}: {schema}; add it to VALUES in tests/api/isolation/examples.py")
