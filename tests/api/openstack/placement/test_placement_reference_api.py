"""Each parameter of the public API reference, one by one: it does what it is for, a wrong value of it is refused, it is needed
where the reference says so, and it is not there before its first version."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.api.openstack.placement.cases import CASES, EXAMPLES, KINDS, Case, Example
from tests.api.openstack.placement.reference import OPERATIONS, Version
from tests.api.openstack.placement.speaker import Answer, Speaker
from tests.api.openstack.placement.world import World, undone

pytestmark = pytest.mark.django_db
SENT = [(title, where, name) for title, each in OPERATIONS.items() for where, name in each.parameters if where in ("path", "query", "body")]
SHOWN = [(title, where, name) for title, each in OPERATIONS.items() for where, name in each.parameters if where in ("shows", "header")]
NOTHING = object()


@pytest.fixture
def world(placement: Speaker) -> World:
    return World(placement)


def dig(content: Any, path: tuple[Any, ...]) -> Any:
    """What is at that place; NOTHING if there is no such place."""
    for key in path:
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            return NOTHING
    return content


def with_value(where: str, name: str, case: Case, example: Example, value: Any) -> Example:
    """The example with this parameter set to a value; NOTHING: without the parameter."""
    changed = copy.deepcopy(example)
    if where == "path":
        changed.path[name] = value
    elif where == "query":
        changed.query |= case.beside
        changed.query.pop(case.alias or name, None)
        if value is not NOTHING:
            changed.query[case.alias or name] = value
    elif not case.place(name):
        changed.body = {} if value is NOTHING else value
    else:
        *above, last = case.place(name)
        inside = dig(changed.body, tuple(above))
        if value is not NOTHING:
            inside[last] = value
        elif isinstance(inside, dict):
            inside.pop(last, None)
    return changed


def as_of(title: str, version: Version) -> Example:
    """The example without what that version does not know yet."""
    example = EXAMPLES[title]
    for (where, name), since in OPERATIONS[title].parameters.items():
        if since > version and where in ("query", "body"):
            example = with_value(where, name, replace(CASES[title][where, name], beside={}), example, NOTHING)
    return example


def shows(world: World, case: Case, answer: Answer) -> bool:
    """Whether the good value is seen: in the answer, or at the address at which one looks."""
    assert answer.status < 300, answer.content
    content = world.placement.get(world.named(case.reads)).ok() if case.reads else answer.json
    if case.shows is not None:
        return case.shows(content, world.ids)
    return bool(dig(content, tuple(world.named(case.seen))) == world.named(case.good if case.value is None else case.value))


def before(version: Version) -> Version:
    return version[0], version[1] - 1


def test_every_parameter_of_the_reference_has_a_case() -> None:
    assert len(OPERATIONS) == 42 and len(SENT) + len(SHOWN) > 250
    assert set(CASES) == {title for title, _, _ in SENT}
    assert {(title, *key) for title, cases in CASES.items() for key in cases} == set(SENT)
    assert set(EXAMPLES) == set(OPERATIONS)
    assert {name for _, where, name in SHOWN if where == "shows"} == set(KINDS)


@pytest.mark.parametrize(("title", "where", "name"), SENT, ids=str)
def test_a_parameter_does_what_the_reference_says(world: World, title: str, where: str, name: str) -> None:
    operation, case, example = OPERATIONS[title], CASES[title][where, name], EXAMPLES[title]
    since, until = operation.parameters[where, name], operation.until
    with undone():
        answer = world.ask(operation, with_value(where, name, case, example, case.wrong), until)
        if case.refusal >= 400:
            answer.refused(case.refusal, case.code if until >= (1, 23) else "")
        else:
            assert answer.status == case.refusal and answer.json == {"allocations": {}}
    if where == "path":
        assert world.ask(operation, example, until).status < 300
        return
    left_out = with_value(where, name, case, example, NOTHING)
    with undone():
        answer = world.ask(operation, left_out, until)
        if case.needed:
            assert answer.status == 400, "it can be left out, and must not"
        else:
            assert answer.status < 300, answer.content
            assert case.silent or not shows(world, case, answer), "without it the answer is the same"
    if since > operation.since:
        early = as_of(title, before(since))
        with undone():
            assert world.ask(operation, with_value(where, name, case, early, case.good), before(since)).status == 400
        with undone():
            assert case.beside or world.ask(operation, early, before(since)).status < 300
    early = as_of(title, since)
    with undone():
        assert world.ask(operation, with_value(where, name, case, early, case.good), since).status < 300
    answer = world.ask(operation, with_value(where, name, case, example, case.good), until)
    assert answer.status < 300, answer.content
    assert case.silent or shows(world, case, answer)


@pytest.mark.parametrize(("title", "where", "name"), SHOWN, ids=str)
def test_an_answer_has_what_the_reference_says(world: World, title: str, where: str, name: str) -> None:
    operation = OPERATIONS[title]
    since = operation.parameters[where, name]
    with undone():
        answer = world.ask(operation, EXAMPLES[title], operation.until)
        if where == "header":
            address = answer.headers[name]
            assert address.startswith("http://127.0.0.1:8600/placement/") and answer.status < 300
            assert world.placement.get(address.removeprefix("http://127.0.0.1:8600/placement/")).status < 300
            return
        found = list(values(answer.ok(answer.status), name))
        assert answer.status < 300 and found and all(isinstance(each, KINDS[name]) for each in found), found
    if since > operation.since:
        answer = world.ask(operation, as_of(title, before(since)), before(since))
        assert answer.status < 300 and not list(values(answer.json, name))


@pytest.mark.parametrize("title", OPERATIONS)
def test_an_operation_has_a_first_version(world: World, title: str) -> None:
    operation = OPERATIONS[title]
    with undone():
        assert world.ask(operation, as_of(title, operation.since), operation.since).status < 300
    if operation.since > (1, 0) and sum(each.method == operation.method and each.path == operation.path for each in OPERATIONS.values()) == 1:
        world.ask(operation, as_of(title, operation.since), before(operation.since)).refused(405 if title.startswith("DELETE") and "inventories" in title else 404,
            "placement.undefined_code" if operation.since > (1, 23) else "")


def values(content: Any, name: str) -> Iterator[Any]:
    """All values under that key, however deep."""
    if isinstance(content, dict):
        for key, each in content.items():
            if key == name:
                yield each
            yield from values(each, name)
    elif isinstance(content, list):
        for each in content:
            yield from values(each, name)
