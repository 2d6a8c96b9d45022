"""The running server keeps to its OpenAPI document, whatever it is sent: no internal error, no answer of another shape.

Addresses are given ids of throw-away things, so that nobody deletes, disables or locks out the one who asks. What is done to
oneself (passwords, second factors, one's tokens) is done by a throw-away user. Waits are short.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from cloudsite.launcher.stack import Stack
from tests.api.isolation import examples, operations
from tests.api.isolation.calls import body_of, filled
from tests.api.isolation.examples import PARTS, Example
from tests.api.isolation.expected import Thing
from tests.api.isolation.operations import Operation
from tests.scenarios.yard import PASSWORD, Client, Yard

pytestmark = pytest.mark.timeout(600)
Record = Callable[[str, object], None]
_CHECKS = [
    not_a_server_error, checks.status_code_conformance, checks.content_type_conformance, checks.response_headers_conformance,
    checks.response_schema_conformance,
]
# What is done to oneself.
_ONESELF = ("password_change", "tokens_create", "tokens_delete_current", "tokens_revoke_all", "totp_")
# By form: how many requests that somebody might send there are to each operation, beside those that are right.
_MANY = {
    "short": {GenerationMode.POSITIVE: 3, GenerationMode.NEGATIVE: 2}, "long": {GenerationMode.POSITIVE: 8, GenerationMode.NEGATIVE: 5},
}
_FEW = {
    "short": {GenerationMode.POSITIVE: 2, GenerationMode.NEGATIVE: 1}, "long": {GenerationMode.POSITIVE: 4, GenerationMode.NEGATIVE: 2},
}
_INSTANCE = {"name": "new", "flavor": "tiny", "image": "demo"}
# Where the example of the other test has things that are not here.
_OTHER: dict[str, tuple[Example, ...]] = {
    # Others have a use for it afterwards.
    "images_action": tuple(Example(parts={"image_id": "whole_image"}, body={"action": each}) for each in ("deactivate", "reactivate")),
    "images_convert": (Example(parts={"image_id": "whole_image"}, body={"disk_format": "qcow2"}),),
    "images_import": (Example(parts={"image_id": "idle_image"}, body={"url": "https://images.example.org/disk.raw"}),),
    "instances_create": (Example(body=_INSTANCE),),
    "instances_interfaces_detach": (Example(answers=("port.not_found",)),),  # it is plugged in nowhere
    "network_pools_create": (Example(body={"kind": "vxlan", "first": 100, "last": 199}),),
    "networks_create_whole": (Example(body={"name": "whole"}),),
    "objects_presign": (Example(body={"key": "new", "method": "PUT"}, answers=("access_key.none",)),),
    "ports_create": (Example(body={"network_id": "{network}"}),),
    "ports_update": (Example(body={"name": "changed", "security_groups": ["{security_group}"]}),),
    "project_tags_remove": (Example(parts={"tag": "=tag"}),),
    "role_assignments_create": (Example(body={"role": "reader", "user_id": "{user}", "project_id": "{project}"}),),
    "role_assignments_delete": (Example(),),
    "routers_interfaces_detach": (Example(answers=("router.not_attached",)),),
    "tokens_create": (Example(body={"username": "somebody", "password": PASSWORD}),),
}


class Things(Mapping[str, Thing]):
    """The yard, as examples take it."""

    def __init__(self, yard: Yard) -> None:
        self._yard = yard

    def __contains__(self, kind: object) -> bool:
        return kind in self._yard

    def __getitem__(self, kind: str) -> Thing:
        return Thing(key=self._yard.key(kind))

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass
class Walk:
    """One who calls everything. `wrong`: what was; `statuses`: by operation, which answers there were."""

    schema: Any
    client: Client
    yard: Yard
    wrong: list[str] = field(default_factory=list)
    statuses: dict[str, set[int]] = field(default_factory=dict)
    codes: dict[str, set[str]] = field(default_factory=dict)
    requests: int = 0

    def __post_init__(self) -> None:
        self._oneself = ""

    def examples(self, operation: Operation) -> None:
        """Requests that are right."""
        world: Any = SimpleNamespace(things=Things(self.yard))
        for example in _OTHER.get(operation.name, examples.given(operation)):
            parts = {part: self._part(part, example) for part in operation.parameters}
            body = filled(example.body if example.body is not None else body_of(operation), world)
            pairs = [pair.split("=") for pair in example.query.split("&") if pair]
            query = {name: filled(value, world) for name, value in pairs}
            more = {} if body is None else {"body": body, "media_type": operation.media}
            case = self._api(operation).Case(path_parameters=parts, query=query, **more)
            self._send(operation, case, example)

    def fuzz(self, operation: Operation, mode: GenerationMode, most: int) -> None:
        """Requests that somebody might send: right ones by the document, and wrong ones."""

        @settings(
            max_examples=most, phases=[Phase.generate], derandomize=True, database=None, deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=self._api(operation).as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            for part, value in case.path_parameters.items():
                # Where an address has something wrong in it on purpose, it stays, but for one's own tokens.
                if part in PARTS and (mode.is_positive or _is_id(value) or part == "token_id"):
                    case.path_parameters[part] = self._part(part, examples.given(operation)[-1])
            if "wait" in case.query and mode.is_positive:
                case.query = {**case.query, "wait": 0.1}
            self._send(operation, case)

        # Not every operation has a wrong form to make.
        excused = (schemathesis.errors.SchemathesisError,) if mode.is_negative else ()
        with contextlib.suppress(*excused):
            check()

    def _send(self, operation: Operation, case: Any, example: Example | None = None) -> None:
        headers = {"Authorization": f"Bearer {self._token(operation)}"} if self._token(operation) else {}
        self.requests += 1
        answer = case.call(base_url=self.client.url, headers=headers, session=self.client.session, timeout=60)
        self.statuses.setdefault(operation.name, set()).add(answer.status_code)
        code = _code(answer)
        self.codes.setdefault(operation.name, set()).add(code)
        try:
            case.validate_response(answer, checks=_CHECKS)
        except (FailureGroup, Failure) as error:
            found = error.exceptions if isinstance(error, FailureGroup) else [error]
            self.wrong += [f"{operation}: {each.title}: {str(each)[:600]}\n  {case!r}\n  {answer.status_code} {answer.text[:300]}" for each in found]
        if example is not None and answer.status_code >= 400 and code.startswith("request."):
            self.wrong.append(f"{operation}: the example is not right: {answer.text[:300]}")
        if answer.status_code in (200, 202, 204) and operation.method == "DELETE":
            self._use_up(operation)
        if operation.name.startswith(_ONESELF) and answer.status_code < 300 and operation.method != "GET":
            self._oneself = ""
            if not operation.name.startswith("tokens_"):
                self.yard.somebody_else("walk")

    def _use_up(self, operation: Operation) -> None:
        for example in _OTHER.get(operation.name, examples.given(operation)):
            for part in operation.parameters[-1:]:
                self.yard.used_up(example.parts.get(part, PARTS.get(part, "")))

    def _part(self, part: str, example: Example) -> str:
        kind = example.parts.get(part, PARTS.get(part, ""))
        return kind[1:] if kind.startswith("=") else self.yard.key(kind)

    def _token(self, operation: Operation) -> str:
        if not operation.name.startswith(_ONESELF):
            return self.client.token
        if not self._oneself:
            self._oneself = self.yard.oneself("walk")[0]
        return self._oneself

    def _api(self, operation: Operation) -> Any:
        return self.schema[operation.template][operation.method]


@pytest.fixture(scope="module", params=["short", pytest.param("long", marks=pytest.mark.slow)])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, form: str) -> Iterator[Stack]:
    """For each form a new one. Without limits of rates, on the database that the tests run on."""
    unlimited = {f"CLOUDSITE_RATE_{name}": "0" for name in ("ADDRESS", "PROJECT", "SIGN_IN")}
    database: Literal["sqlite", "postgresql"] = "sqlite" if request.config.getoption("--sqlite") else "postgresql"
    with Stack(tmp_path_factory.mktemp("stack"), database=database, simulated_hosts=1, env=unlimited) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Client:
    """An administrator of the installation, in a project without limits of its own."""
    client = Client(stack.url, stack.token)
    me = client("GET", "whoami")
    names = operations.document_of()["components"]["schemas"]["SetLimits"]["properties"]
    client("PUT", f"quotas/{me['project_id']}", dict.fromkeys(names, -1))
    somebody = client("POST", "users", {"username": "somebody", "password": PASSWORD})
    client("POST", "role-assignments", {"role": "member", "user_id": somebody["id"], "project_id": me["project_id"]})
    return client


@pytest.fixture(scope="module")
def member(stack: Stack, operator: Client) -> Client:
    return Client(stack.url, operator("POST", "tokens", {"username": "somebody", "password": PASSWORD})["secret"])


@pytest.fixture(scope="module")
def schema(stack: Stack) -> Any:
    return schemathesis.openapi.from_url(f"{stack.url}/api/v1/openapi.json")


def walked(schema: Any, client: Client, operator: Client, sizes: Mapping[GenerationMode, int]) -> tuple[Walk, list[Operation]]:
    """Everything called: first in the right way, then in all others."""
    every, walk = operations.native(), Walk(schema, client, Yard(client, operator))
    assert {f"{each.method} {each.template}" for each in every} == {each.ok().label for each in schema.get_all_operations()}
    for operation in every:
        walk.examples(operation)
    for operation in every:
        for mode, most in sizes.items():
            walk.fuzz(operation, mode, most)
    return walk, every


def test_an_administrator_gets_what_the_document_says(schema: Any, operator: Client, form: str, record_property: Record) -> None:
    walk, every = walked(schema, operator, operator, _MANY[form])
    record_property("figures of schemathesis", {"requests": walk.requests, "violations": len(walk.wrong)})
    assert walk.wrong == [], f"{len(walk.wrong)} wrong:\n\n" + "\n\n".join(walk.wrong[:20])
    never_well = {}
    for operation in every:
        given = _OTHER.get(operation.name, examples.given(operation))
        expected = {code for example in given for code in example.answers}
        if not (any(status < 400 for status in walk.statuses[operation.name]) or expected & walk.codes[operation.name]):
            never_well[operation.name] = (walk.statuses[operation.name], walk.codes[operation.name])
    assert not never_well, never_well


def test_a_member_gets_what_the_document_says(
    schema: Any, member: Client, operator: Client, form: str, record_property: Record
) -> None:
    walk, every = walked(schema, member, operator, _FEW[form])
    record_property("figures of schemathesis", {"requests": walk.requests, "violations": len(walk.wrong)})
    assert not walk.wrong, "\n\n".join(walk.wrong[:20])
    assert set(walk.statuses) == {operation.name for operation in every}
    # Nobody has locked it out, disabled it or deleted it on the way.
    assert member("GET", "whoami")["user_name"] == "somebody"


def _is_id(value: object) -> bool:
    return isinstance(value, str) and len(value) == 36 and value.count("-") == 4


def _code(answer: Any) -> str:
    try:
        found = answer.json()
    except ValueError:
        return ""
    return str(found.get("code", "")) if isinstance(found, dict) else ""

