"""Refusals on their way out: what is known of one, before a service gives it its own shape."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.common.errors import CloudError


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A refusal with its HTTP status. `code` and `facts` are the CloudError's; `named`: what the address names; `version`: the
    microversion that it is told in, where the service has any."""

    status: int
    title: str
    message: str
    code: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    named: Mapping[str, Any] = field(default_factory=dict)
    version: tuple[int, int] | None = None
    request_id: str = ""


class Refused(CloudError):
    """What only HTTP knows: a wrong method, a version that is not spoken. Says its status itself."""

    kind = "refused"

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **facts: Any) -> None:
        super().__init__(code, message, **facts)
        self.status = status
        self.headers = dict(headers or {})
