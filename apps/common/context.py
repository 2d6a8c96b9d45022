"""Who is asking, and under which request id: passed to services as `actor`, bound to logs by the edges."""

import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="")


class _Everything(frozenset[str]):
    """Holds whatever it is asked for."""

    def __contains__(self, item: object) -> bool:
        return True


EVERYTHING: frozenset[str] = _Everything()


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The caller of a service, and what it may do; decided at the edge, asked by `identity.policy`.

    `project_id`: the project that the call works in; `domain_id`: instead of it the domain, for calls that rule over one.
    `roles`: names for people. `grants`: permissions in that project or domain; `system_grants`: everywhere; `own_grants`:
    over oneself. The system itself (sweep, reconcile) acts as `SYSTEM`.
    """

    user_id: uuid.UUID | None
    user_name: str
    project_id: uuid.UUID | None
    domain_id: uuid.UUID | None = None
    roles: tuple[str, ...] = ()
    grants: frozenset[str] = frozenset()
    system_grants: frozenset[str] = frozenset()
    own_grants: frozenset[str] = frozenset()
    request_id: str = ""
    address: str = ""
    token_id: uuid.UUID | None = None


def address_of(request: Any) -> str:
    """Where an HTTP request comes from, as `common.api.edge` has made it out; empty where there is none."""
    return "" if request is None else str(request.META.get("REMOTE_ADDR", ""))


SYSTEM = Actor(user_id=None, user_name="system", project_id=None, roles=("admin",), system_grants=EVERYTHING)
