"""The kinds of refusal that services raise. They know no HTTP: each dialect maps kinds in one table."""

from typing import Any, ClassVar


class CloudError(Exception):
    """A refusal with a stable code, a sentence for people, and facts for programs.

    `code` never changes once published; `field` names the input at fault, dotted for nested ones; `facts` hold what the
    reader needs to act (limit, used, asked, state …) and never anything of another tenant.
    """

    kind: ClassVar[str] = "error"

    def __init__(self, code: str, message: str, *, field: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.facts = facts

    def as_dict(self) -> dict[str, Any]:
        """For storing beside a failed operation or instance."""
        return {"code": self.code, "message": self.message, **({"facts": self.facts} if self.facts else {})}


class NotFound(CloudError):
    """There is none, or none that this actor may see: the two are not told apart."""

    kind = "not_found"


class Conflict(CloudError):
    """Somebody else was first, or the same token came with another request."""

    kind = "conflict"


class InvalidState(CloudError):
    """The thing exists, but not in a state in which this can be done."""

    kind = "invalid_state"


class QuotaExceeded(CloudError):
    """Facts: resource, limit, used, asked."""

    kind = "quota_exceeded"


class TooMany(CloudError):
    """Asked too often. Facts: limit, window_s, retry_after_s."""

    kind = "too_many"


class NoCapacity(CloudError):
    """No host fits; the facts say how near the nearest came."""

    kind = "no_capacity"


class Invalid(CloudError):
    """The input is wrong; `field` says where."""

    kind = "invalid"


class Forbidden(CloudError):
    """Known, but not allowed; the message names the missing role."""

    kind = "forbidden"


class Unauthenticated(CloudError):
    """Nobody we know."""

    kind = "unauthenticated"


class Unavailable(CloudError):
    """Something we depend on does not answer now; trying again later may help."""

    kind = "unavailable"
