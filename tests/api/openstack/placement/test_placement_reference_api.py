"""Each parameter of the public API reference: it does what it is for, a wrong value of it is refused, it is needed where the
reference says so, and it is not there before its first version."""

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
PUBLIC = "http://127.0.0.1:8600/placement/"
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


@pytest.mark.parametrize("title", CASES)
def test_parameters_do_what_the_reference_says(world: World, title: str) -> None:
    for where, name in CASES[title]:
        with undone():
            wrong = "; ".join(tried(world, title, where, name))
            assert not wrong, f"{where} {name}: {wrong}"


def tried(world: World, title: str, where: str, name: str) -> Iterator[str]:
    """What is wrong with one parameter that is sent."""
    operation, case, example = OPERATIONS[title], CASES[title][where, name], EXAMPLES[title]
    since, until = operation.parameters[where, name], operation.until
    with undone():
        answer = world.ask(operation, with_value(where, name, case, example, case.wrong), until)
        if case.refusal >= 400:
            answer.refused(case.refusal, case.code if until >= (1, 23) else "")
        elif answer.json != {"allocations": {}}:
            yield f"{case.wrong} is somebody"
    if where == "path":
        if world.ask(operation, example, until).status >= 300:
            yield "the example is refused"
        return
    with undone():
        answer = world.ask(operation, with_value(where, name, case, example, NOTHING), until)
        if (answer.status == 400) != case.needed:
            yield f"without it the status is {answer.status}"
        elif not case.needed and not case.silent and shows(world, case, answer):
            yield "without it the answer is the same"
    if since > operation.since:
        yield from early(world, title, where, name)
    with undone():
        answer = world.ask(operation, with_value(where, name, case, as_of(title, since), case.good), since)
        if answer.status >= 300 and case.at != ():
            yield f"in its first version it is refused: {answer.content!r}"
    answer = world.ask(operation, with_value(where, name, case, example, case.good), until)
    if answer.status >= 300 or not (case.silent or shows(world, case, answer)):
        yield f"{case.good} does not show: {answer.content!r}"


def early(world: World, title: str, where: str, name: str) -> Iterator[str]:
    """What is wrong with it in the version before its first."""
    operation, case = OPERATIONS[title], CASES[title][where, name]
    at = before(operation.parameters[where, name])
    with undone():
        if world.ask(operation, with_value(where, name, case, as_of(title, at), case.good), at).status != 400:
            yield "it is taken before its first version"
    with undone():
        if not case.beside and world.ask(operation, as_of(title, at), at).status >= 300:
            yield "the version before its first does not work without it"


@pytest.mark.parametrize("title", sorted({title for title, _, _ in SHOWN}))
def test_answers_have_what_the_reference_says(world: World, title: str) -> None:
    operation = OPERATIONS[title]
    with undone():
        newest = world.ask(operation, EXAMPLES[title], operation.until)
        assert newest.status < 300, newest.content
        for where, name in operation.parameters:
            if where == "header":
                address = newest.headers[name]
                assert address.startswith(PUBLIC) and world.placement.get(address.removeprefix(PUBLIC)).status < 300
            if where == "shows":
                found = list(values(newest.json, name))
                assert found and all(isinstance(each, KINDS[name]) for each in found), f"{name}: {found}"
    for (where, name), since in operation.parameters.items():
        if where == "shows" and since > operation.since:
            answer = world.ask(operation, as_of(title, before(since)), before(since))
            assert answer.status < 300 and not list(values(answer.json, name)), f"{name} before its first version"


@pytest.mark.parametrize("title", OPERATIONS)
def test_an_operation_has_a_first_version(world: World, title: str) -> None:
    operation = OPERATIONS[title]
    with undone():
        assert world.ask(operation, as_of(title, operation.since), operation.since).status < 300
    ranges = [each for each in OPERATIONS.values() if (each.method, each.path) == (operation.method, operation.path)]
    if operation.since > (1, 0) and len(ranges) == 1:
        status = 405 if title == "DELETE /resource_providers/{uuid}/inventories" else 404
        answer = world.ask(operation, as_of(title, operation.since), before(operation.since))
        answer.refused(status, "placement.undefined_code" if operation.since > (1, 23) else "")


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
