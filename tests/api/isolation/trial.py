"""Every operation, called by everybody, and what was wrong with the answers."""

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.test import Client

from apps.common import clock
from apps.identity import policy
from apps.identity.models import PolicyVersion, Role, Token
from apps.identity.permissions import TABLE
from apps.identity.services import tokens
from tests.api.isolation import callers as everybody
from tests.api.isolation import examples, fingerprint
from tests.api.isolation.callers import Caller
from tests.api.isolation.calls import Call, Missing, calls_of
from tests.api.isolation.expected import HERE, READING, Thing, by_custom_role
from tests.api.isolation.operations import Operation
from tests.api.isolation.world import World

_CACHES = (policy.definitions, policy.grants, policy.role_names, tokens._grants)
_UNDECLARED = (
    "declares no permission: say in the view's `permissions` which one {method} needs (a row of apps/identity/permissions.py; "
    '"" if any valid token is enough), and ask for it in the service'
)


@dataclass(frozen=True)
class Answer:
    """`code`: of the refusal, as services raise it. `text`: body and headers. `asked`: the permission that was missing."""

    status: int
    code: str
    text: str
    asked: str = ""

    def __str__(self) -> str:
        return f"{self.status} {self.code} {self.text[:200]}".strip()


class Trial:
    """`requests`: how many were sent."""

    def __init__(self, world: World) -> None:
        self.world, self.requests = world, 0
        self._client = Client(raise_request_exception=False)
        self._callers = everybody.make(world)
        self._custom = everybody.custom(world)
        # What each request notes is undone, and would be noted by the next one again.
        Token.objects.update(last_used_at=clock.now() + timedelta(days=1))
        self._versions = 1000

    def of(self, operation: Operation) -> list[str]:
        """What is wrong with one operation."""
        return [f"{operation}: {text}" for text in self._of(operation)]

    def _of(self, operation: Operation) -> list[str]:
        if operation.permission is None:
            return [_UNDECLARED.format(method=operation.method)]
        if operation.permission and operation.permission not in TABLE:
            return [f"declares the permission {operation.permission}, which is not in apps/identity/permissions.py"]
        try:
            calls = calls_of(operation, self.world)
        except Missing as error:
            return [str(error)]
        if operation.public:
            return self._public(calls)
        found, through = [], 0
        for call in calls:
            permission = call.example.permission or operation.permission
            found += self._refusals(call, permission)
            said, passed = self._rightful(call, permission)
            found += [*said, *self._drawing_in(operation, call, permission)]
            through += passed
        return found if through or found else ["nobody gets through: give it an example in tests/api/isolation/examples.py that is right"]

    # Those who may.

    def _rightful(self, call: Call, permission: str) -> tuple[list[str], int]:
        """Whoever may by the table gets through: what is wrong, and how many came to the end."""
        found, through = [], 0
        for caller in self._callers:
            if caller.refused or not call.target.open_to(caller.rights, permission):
                continue
            with _undone():
                answer = self._send(call, caller)
            through += _went_well(answer, call)
            found += _told(caller, answer, [*_wrongly_refused(answer, call), *self._leaks(answer, call, caller)])
        if permission and not call.target.open_to(self._custom.rights, permission) and TABLE[permission].system is not None:
            found += self._sufficient(call, permission)
        return found, through

    def _sufficient(self, call: Call, permission: str) -> list[str]:
        """A role with this permission that also may look at everything is enough."""
        with _undone():
            caller = self._with_role({permission, *(name for name in TABLE if name.endswith(READING))}, f"{permission} and looking")
            answer = self._send(call, caller)
        return _told(caller, answer, _wrongly_refused(answer, call)) if call.target.open_to(caller.rights, permission) else []

    # Those who may not.

    def _refusals(self, call: Call, permission: str) -> list[str]:
        """Whoever may not is refused, is told nothing, and changes nothing."""
        found = []
        with _undone():
            refused = [each for each in self._callers if each.refused or not call.target.open_to(each.rights, permission)]
            if permission:
                without = self._with_role(set(TABLE) - {permission}, f"all but {permission}")
                refused += [] if call.target.open_to(without.rights, permission) else [without]
            before = fingerprint.take()
            for caller in refused:
                with fingerprint.writes() as written:
                    answer = self._send(call, caller)
                said = self._wrongly_let(answer, call, caller, permission)
                said += [f"has changed {table}" for table in sorted(_changed(before) if written else ())]
                found += _told(caller, answer, [*said, *self._leaks(answer, call, caller)])
            found += [f"refused requests have changed {table}" for table in sorted(_changed(before))]
        return found

    def _wrongly_let(self, answer: Answer, call: Call, caller: Caller, permission: str) -> list[str]:
        if caller.refused:
            status = 403 if caller.refused.startswith("policy.") else 401
            return [] if (answer.status, answer.code) == (status, caller.refused) else [f"expected {status} {caller.refused}"]
        forbidden = answer.status == 403 and answer.code == "policy.forbidden"
        # Where one is comes before what one may do there.
        forbidden |= answer.code == "auth.project_needed" and caller.rights.place is None
        hidden = [thing for thing in call.sent if thing.hidden_from(caller.knows)]
        if not isinstance(call.target, Thing):
            return [] if forbidden or (hidden and answer.status == 404) else ["expected 403 policy.forbidden"]
        if caller.rights.holds(permission):
            # Held, but not over this: what the caller cannot see is not there, what it sees it is told about.
            said = [] if answer.status == 404 or (answer.status == 403 and not hidden) or forbidden else ["expected 404 or 403"]
        else:
            said = [] if forbidden or (answer.status == 404 and hidden) else ["expected 403 policy.forbidden"]
        return said + self._tells(answer, call, caller, hidden)

    def _tells(self, answer: Answer, call: Call, caller: Caller, hidden: Sequence[Thing]) -> list[str]:
        """Whether the answer is another one than for things that there are not."""
        if not hidden:
            return []
        keys = {thing.key: _unknown(thing.key) for thing in hidden}
        with _undone():
            other = self._send(call.instead(keys), caller)
        if _same(answer, other, keys):
            return []
        return [f"tells that it exists: an unknown id gets {other}"]

    # Those who may, and name what they must not know of.

    def _drawing_in(self, operation: Operation, call: Call, permission: str) -> list[str]:
        """Others who do what they may do, and name the victim's things in fields and parameters."""
        if call.target is not HERE:
            return []
        found = []
        for caller in self._callers:
            if not caller.is_outside or not call.target.open_to(caller.rights, permission):
                continue
            for flag in operation.flags:
                answer = self._undone_send(replace(call, address=_with(call.address, flag, "true")), caller)
                found += _told(caller, answer, self._leaks(answer, call, caller), flag)
            for name, variant, thing in _variants(operation, call, self.world):
                if thing.hidden_from(caller.knows) and examples.BESIDE[name] not in call.example.strangers:
                    found += self._drawn_in(variant, caller, name, thing)
        return found

    def _drawn_in(self, call: Call, caller: Caller, name: str, thing: Thing) -> list[str]:
        keys = {thing.key: _unknown(thing.key)}
        answer, other = self._undone_send(call, caller), self._undone_send(call.instead(keys), caller)
        said = [] if _same(answer, other, keys, only_status=answer.status < 300) else [f"tells that it exists: an unknown one gets {other}"]
        return _told(caller, answer, [*said, *self._leaks(answer, call, caller)], f"{name}={thing.key}")

    # Those that need no token.

    def _public(self, calls: Iterable[Call]) -> list[str]:
        """It makes no difference who asks, and nobody's good token is refused."""
        found = []
        for call in calls:
            nobody = self._undone_send(call, self._callers[0])
            for caller in self._callers:
                if not caller.refused:
                    answer = self._undone_send(call, caller)
                    found += _told(caller, answer, [] if answer.status == nobody.status or answer.code == "policy.forbidden" else [f"nobody gets {nobody}"])
            found += [] if _went_well(nobody, call) else [f"nobody gets {nobody}: is the example right?"]
        return found

    def _with_role(self, permissions: set[str], shown: str) -> Caller:
        """The one with a role of the operator's own, which now has just these permissions."""
        self._versions += 1000
        Role.objects.filter(pk=self.world.rows["custom_role"].pk).update(permissions=sorted(permissions))
        PolicyVersion.objects.update(version=self._versions)
        rights = replace(self._custom.rights, everywhere=by_custom_role(permissions))
        return replace(self._custom, name=f"{self._custom.name} with {shown}", rights=rights, knows=rights)

    def _leaks(self, answer: Answer, call: Call, caller: Caller) -> list[str]:
        """Ids and names of hidden things that the caller did not send itself."""
        sent = json.dumps([call.address, _texts(call.body), dict(call.headers)])
        found = []
        told = {self.world.things[kind] for kind in call.example.strangers}
        for thing in self.world.things.values():
            for word in thing.words if thing not in told and thing.hidden_from(caller.knows) else ():
                if word in answer.text and word not in sent and re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", answer.text):
                    found.append(f"tells {word}")
        return found

    def _undone_send(self, call: Call, caller: Caller) -> Answer:
        with _undone():
            return self._send(call, caller)

    def _send(self, call: Call, caller: Caller) -> Answer:
        self.requests += 1
        headers, more = dict(call.headers), dict[str, Any]()
        if caller.token and call.address.startswith("/api/"):
            headers["Authorization"] = f"Bearer {caller.token}"
        elif caller.token:
            headers["X-Auth-Token"] = caller.token
        if isinstance(call.body, bytes):
            more = {"data": call.body, "content_type": "application/octet-stream"}
        elif call.body is not None:
            more = {"data": json.dumps(call.body), "content_type": "application/json"}
        response: Any = self._client.generic(call.method, call.address, headers=headers, **more)
        body = b"".join(response.streaming_content) if response.streaming else response.content
        refusal = getattr(response.wsgi_request, "cloudsite_refusal", None)
        text = " ".join([body.decode(errors="replace"), *(f"{name}: {value}" for name, value in response.items())])
        code = refusal.code if refusal is not None else _code(body)
        return Answer(response.status_code, code, text, str(refusal.facts.get("permission", "")) if refusal is not None else "")


def _wrongly_refused(answer: Answer, call: Call) -> list[str]:
    if answer.status < 400 or answer.code in call.example.answers:
        return []
    if answer.status >= 500:
        return ["failed"]
    if answer.status in (401, 404) or answer.code.startswith("policy."):
        return ["may do this by the table"]
    if answer.code.startswith("request."):
        return ["the example is not right: correct it in tests/api/isolation/examples.py"]
    return []


def _went_well(answer: Answer, call: Call) -> bool:
    return answer.status < 400 or answer.code in call.example.answers


def _told(caller: Caller, answer: Answer, said: Iterable[str], what: str = "") -> list[str]:
    return [f"{caller.name}{f' with {what}' if what else ''}: {each}; got {answer}" for each in said]


def _variants(operation: Operation, call: Call, world: World) -> Iterator[tuple[str, Call, Thing]]:
    """The call with one thing of the victim's in a parameter or field that it could have."""
    listed = operation.method == "GET"
    query = operation.query if not operation.dialect else examples.DIALECT_QUERIES if listed else ()
    for name in query:
        if name in examples.BESIDE:
            thing = world.things[examples.BESIDE[name]]
            yield name, replace(call, address=_with(call.address, name, thing.key)), thing
    known = examples.DIALECT_FIELDS if operation.dialect else tuple((operation.body or {}).get("properties", ()))
    for name in known if isinstance(call.body, dict) else ():
        if name in examples.BESIDE:
            thing = world.things[examples.BESIDE[name]]
            yield name, replace(call, body=_inserted(call.body, name, thing.key)), thing


def _inserted(body: Mapping[str, Any], name: str, value: str) -> dict[str, Any]:
    """In the body, or in the one object that it consists of."""
    if len(body) == 1:
        [(key, inner)] = body.items()
        if isinstance(inner, dict):
            return {key: {**inner, name: value}}
    # An id in the place of a name that may stand there instead.
    return {**{key: each for key, each in body.items() if key != name.removesuffix("_id")}, name: value}


def _with(address: str, name: str, value: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}{name}={value}"


def _same(answer: Answer, other: Answer, keys: Mapping[str, str], *, only_status: bool = False) -> bool:
    if only_status or answer.status != other.status:
        return answer.status == other.status
    return _plain(answer.text, keys) == _plain(other.text, keys)


def _plain(text: str, keys: Mapping[str, str]) -> str:
    """Without what differs from request to request, and without the ids that were asked for."""
    for pair in keys.items():
        for key in pair:
            text = text.replace(key, "ID").replace(key.replace("-", ""), "ID")
    return re.sub(r"req-[\w-]+|Content-Length: \d+", "", text)


def _unknown(key: str) -> str:
    try:
        uuid.UUID(key)
    except ValueError:
        return f"{key[:4]}{uuid.uuid4().hex}"
    return str(uuid.uuid4())


def _code(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("code", "")) if isinstance(found, dict) else ""


def _texts(body: Any) -> Any:
    return body.decode(errors="replace") if isinstance(body, bytes) else body


def _changed(before: Mapping[str, str]) -> set[str]:
    """The tables that are other than they were."""
    return {table for table, rows in fingerprint.take().items() if before[table] != rows}


@contextmanager
def _undone() -> Iterator[None]:
    """Whatever is written within is not there afterwards."""
    block = transaction.atomic()
    # As in Django's own test cases: services that insist on the outermost transaction may take this one for it.
    block._from_testcase = True  # type: ignore[attr-defined]
    with fingerprint.writes() as written, block:
        yield
        transaction.set_rollback(True)
    if "identity_policyversion" in written:
        # This number comes again, and will stand for other roles then.
        for cached in _CACHES:
            cached.cache_clear()
