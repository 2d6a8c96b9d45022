"""Who is asking, and under which request id: passed to services as `actor`, bound to logs by the edges."""

import uuid
from contextvars import ContextVar
from dataclasses import dataclass

request_id: ContextVar[str] = ContextVar("request_id", default="")


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The caller of a service.

    `project_id` is the project that the call works in; `role` the actor's role there. `is_admin`: of the whole
    installation. The system itself (sweep, reconcile, commands at the shell) acts as `SYSTEM`.
    """

    user_id: uuid.UUID | None
    user_name: str
    project_id: uuid.UUID | None
    role: str = "reader"
    is_admin: bool = False
    request_id: str = ""
    address: str = ""


SYSTEM = Actor(user_id=None, user_name="system", project_id=None, role="admin", is_admin=True)
